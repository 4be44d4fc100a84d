//! What starts a machine from an image: kernels, initrds, unified kernel images, boot loaders and
//! their signatures.

mod certificate;
mod cpio;
mod entries;
mod error;
pub mod grub;
mod initrd;
mod initrd_inputs;
mod kernels;
pub mod keys;
mod pair;
mod sign;
mod systemd_boot;
pub mod uki;
mod unversioned;
pub mod variables;

pub use certificate::read_certificate;
#[cfg(any(test, fuzzing))]
pub(crate) use cpio::archives as initrd_archives;
pub use entries::Entry;
pub use error::BootError;
pub use initrd::{Wanted, make as make_initrd};
pub use initrd_inputs::Inputs;
pub use kernels::{Kernel, find as find_kernels};
pub use pair::check_pair;
pub use sign::{SigningKey, sign, tools as signing_tools};
pub use systemd_boot::{Programs, efi_suffix};
pub use uki::Uki;
