//! Disk images: partitions and file systems, put together from a finished tree in one sparse file.

mod assemble;
mod attach;
mod content;
mod draw;
mod error;
pub mod ext4;
mod extents;
pub mod gpt;
mod identity;
mod kind;
pub mod layout;
mod luks;
mod seal;
mod size_text;
mod split;
pub mod swap;
pub mod types;
pub mod verity;

pub use assemble::{Assembled, DiskSpec, Filling, Partition, Size, assemble};
pub use attach::{AttachedImage, host_dissects};
pub use content::Content;
pub use draw::{Style, draw};
pub use error::DiskError;
pub use identity::Seed;
pub use kind::PartitionKind;
pub use layout::{Layout, LayoutError};
pub use luks::{Encryption, HEADER as LUKS_HEADER, Passphrase};
pub use seal::verify;
pub use size_text::size_text;
pub use split::split;
pub use types::Architecture;
