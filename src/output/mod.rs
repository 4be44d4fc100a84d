//! What a build leaves behind: artifacts' names, tar archives, compression, the manifest.

pub mod compress;
mod compress_file;
mod dpkg;
mod error;
mod gzip;
pub mod manifest;
pub mod names;
pub mod tar;

pub use compress::{Compression, Compressor};
pub use compress_file::compress_file;
pub use error::OutputError;
pub use manifest::{Manifest, Package, Subject};
pub use names::Artifacts;
