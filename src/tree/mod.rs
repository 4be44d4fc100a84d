//! Everything that changes a directory tree that is going to be an image: copying into it,
//! extracting archives over it, its password, names and identities, and what is cleaned away.
//!
//! All of it goes through [`Root`], which resolves every path beneath the image's root.

mod archive;
mod aside;
mod attributes;
mod autologin;
mod cleanup;
mod copy;
mod docs;
mod error;
mod files;
mod globs;
mod hostname;
mod listing;
mod machine_id;
mod os_release;
mod overlay;
mod package_managers;
mod password;
mod remove;
mod resolve;
mod root;
mod shown;
mod size;
mod stat;
mod xattrs;

pub use archive::{Extracted, extract};
pub use aside::set_aside;
pub use autologin::set_autologin;
pub use cleanup::{clean_up, remove_host_keys};
pub use copy::{Copied, CopyOptions, Owner, Select, copy_tree};
pub use docs::remove_docs;
pub use error::TreeError;
pub use globs::{Pattern, remove_files};
pub use hostname::{check_hostname, set_hostname};
pub use listing::Entry;
pub use machine_id::{parse_machine_id, set_machine_id};
pub use os_release::set_image_version;
pub use overlay::add_tree;
pub use package_managers::{CleanPackageMetadata, remove_package_metadata};
pub use password::{RootPassword, set_root_password};
pub use root::Root;
pub use size::{TreeSize, measure};
pub use stat::{Kind, Metadata};
