//! Everything that changes a directory tree that is going to be an image: copying into it,
//! extracting archives over it, its password, names and identities, and what is cleaned away.
//!
//! All of it goes through [`Root`], which resolves every path beneath the image's root.

pub mod adapt;
mod alike;
pub(crate) mod archive;
mod aside;
pub(crate) mod attributes;
mod autologin;
mod changes;
mod cleanup;
pub mod compare;
mod copy;
mod describe;
mod docs;
pub(crate) mod error;
mod files;
mod give;
mod globs;
mod hostname;
mod inventory;
pub(crate) mod listing;
mod machine_id;
pub mod modes;
mod os_release;
mod overlay;
mod overlay_marks;
mod package_managers;
mod password;
pub mod patch;
mod remove;
pub(crate) mod resolve;
pub(crate) mod root;
pub(crate) mod shown;
mod size;
pub mod ssh;
pub(crate) mod stat;
mod survey;
mod times;
pub(crate) mod xattrs;

pub use adapt::apply_patches;
pub use archive::{Extracted, extract, is_tar, open_compressed};
pub use aside::set_aside;
pub use autologin::set_autologin;
pub use changes::{Changes, copy_changes};
pub use cleanup::{clean_up, remove_host_keys};
pub use copy::{Copied, CopyOptions, Owner, Select, copy_one, copy_tree};
pub use describe::{Described, describe, describe_inside};
pub use docs::remove_docs;
pub use error::TreeError;
pub use globs::{Pattern, remove_files};
pub use hostname::{check_hostname, set_hostname};
pub use inventory::{Inventory, directory_id, inventory};
pub use listing::Entry;
pub use machine_id::{parse_machine_id, set_machine_id};
pub use os_release::set_image_version;
pub use overlay::add_tree;
pub use package_managers::{CleanPackageMetadata, has_package_database, remove_package_metadata};
pub use password::{RootPassword, set_root_password, set_user_password};
pub use root::Root;
pub use shown::shown as shown_path;
pub use size::{TreeSize, measure};
pub use ssh::set_up_ssh;
pub use stat::{Kind, Metadata};
pub use survey::{Survey, survey};
pub use times::make_no_later;
