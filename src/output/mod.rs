//! What a build leaves behind: artifacts' names, tar archives, compression, checksums and their
//! signature, block maps, the manifest.

mod apk;
pub mod bmap;
mod changelog;
pub mod checksums;
pub mod compress;
mod contents;
pub mod digest;
mod dpkg;
mod error;
pub mod file_lists;
mod gzip;
mod inside;
pub mod manifest;
mod material;
pub mod names;
mod ordered;
mod pacman;
mod pax;
mod pieces;
pub mod qcow2;
mod read_image;
mod rpm;
mod sign;
mod swupd;
pub mod tar;
mod xz;
mod xz_container;
mod zstd_frames;

pub use bmap::BlockMap;
pub use changelog::Changelog;
pub use compress::{Compression, Compressor};
pub use contents::{Contents, Large, Share};
pub use digest::Digest;
pub use error::OutputError;
pub use manifest::{Manifest, Package, Source, Subject};
pub use material::{Material, MaterialKind};
pub use names::Artifacts;
pub use read_image::{Made, Wanted, read_image};
pub use sign::Signer;
