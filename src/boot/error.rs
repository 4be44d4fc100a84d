//! Why an image cannot be made to boot.

use std::io;
use std::path::{Path, PathBuf};

use super::uki::UkiError;
use crate::host::{CommandError, printable, printable_path};
use crate::tree::TreeError;

/// Why an image cannot be made to boot.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// There is nothing to boot.
    #[error(
        "Bootable=yes needs a kernel in the image, and there is none with its modules in \
         /usr/lib/modules; add its package to Packages="
    )]
    NoKernel,
    /// A program that has to be in the image is not.
    #[error("the image has no {program}; add the package {package} to Packages=")]
    NotInImage {
        /// The program or file.
        program: String,
        /// The package that has it.
        package: &'static str,
    },
    /// Firmware does not start such a kernel.
    #[error(
        "the kernel {} is no program that UEFI firmware can start; take one that was made with \
         CONFIG_EFI_STUB and is not packed with gzip, or BootProtocols=bios",
        printable(release)
    )]
    NoEfiStub {
        /// The kernel's release.
        release: String,
    },
    /// The initrd could not be made.
    #[error("dracut made no initrd for the kernel {}", printable(release))]
    Initrd {
        /// The kernel's release.
        release: String,
        /// What dracut said.
        #[source]
        source: CommandError,
    },
    /// dracut made something else.
    #[error("what dracut made for the kernel {} is no initrd", printable(release))]
    NoInitrd {
        /// The kernel's release.
        release: String,
    },
    /// A unified kernel image could not be put together.
    #[error("cannot make the unified kernel image of {}", printable(release))]
    Uki {
        /// The kernel's release.
        release: String,
        /// Why.
        #[source]
        source: UkiError,
    },
    /// Something could not be signed.
    #[error("cannot sign {}", printable_path(path))]
    Sign {
        /// What.
        path: PathBuf,
        /// What sbsign said.
        #[source]
        source: CommandError,
    },
    /// The key and the certificate do not belong together.
    #[error(
        "{} is not the certificate of {}",
        printable_path(certificate),
        printable_path(key)
    )]
    NotThePair {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// What sbverify said.
        #[source]
        source: CommandError,
    },
    /// The same, found out before any work.
    #[error(
        "{} is not the certificate of {}; `mkosi genkey` makes a pair",
        printable_path(certificate),
        printable_path(key)
    )]
    NotOfOnePair {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// The certificate has expired.
    #[error(
        "the certificate {} is no longer valid; `mkosi genkey --force` makes another key and \
         certificate, which machines have to be told of",
        printable_path(path)
    )]
    Expired {
        /// The certificate.
        path: PathBuf,
    },
    /// The key could only be used with a passphrase.
    #[error(
        "the key {path} is encrypted, and signing cannot ask for its passphrase; `openssl pkey -in \
         {path} -out NEW` writes it in the clear: keep that from others (mode 0600)",
        path = printable_path(path)
    )]
    KeyEncrypted {
        /// The key.
        path: PathBuf,
    },
    /// What should be a key is none.
    #[error("{} is no private key in PEM", printable_path(path))]
    NoKey {
        /// The file.
        path: PathBuf,
        /// What openssl said.
        #[source]
        source: CommandError,
    },
    /// GRUB could not be made.
    #[error("cannot make GRUB's core image")]
    Grub(#[source] CommandError),
    /// What GRUB's programs made is not what it should be.
    #[error("GRUB's {file} is not what it should be: {what}")]
    GrubFile {
        /// The file.
        file: &'static str,
        /// What is odd about it.
        what: &'static str,
    },
    /// Keys could not be made.
    #[error("cannot make a key")]
    Key(#[source] CommandError),
    /// A certificate cannot be read.
    #[error("{} is no X.509 certificate in PEM", printable_path(path))]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// What a certificate is could not be found out.
    #[error("cannot look at {}", printable_path(path))]
    Unseen {
        /// The file.
        path: PathBuf,
        /// Why openssl did not run.
        #[source]
        source: CommandError,
    },
    /// A firmware's variable store is not what it should be.
    #[error(
        "{} is no variable store of UEFI firmware: {what}",
        printable_path(path)
    )]
    Variables {
        /// The file.
        path: PathBuf,
        /// What is odd about it.
        what: &'static str,
    },
    /// A file could not be used.
    #[error("cannot {doing} {}", printable_path(path))]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Something in the tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The build was interrupted.
    #[error("interrupted")]
    Cancelled,
}

impl BootError {
    /// For `map_err`: that `doing` (a verb) failed on `path`.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }

    /// For `map_err`: what openssl's refusal of the file `path` means. That openssl could not be run says
    /// nothing of the file.
    pub(super) fn refused(
        path: &Path,
        refusal: impl FnOnce(PathBuf) -> Self,
    ) -> impl FnOnce(CommandError) -> Self {
        let path = path.to_owned();
        move |source| match source {
            CommandError::Failed { code: Some(_), .. } => refusal(path),
            source => Self::Unseen { path, source },
        }
    }

    /// For `map_err`: an interrupted command, or what `other` makes of it.
    pub(super) fn command(
        other: impl FnOnce(CommandError) -> Self,
    ) -> impl FnOnce(CommandError) -> Self {
        move |source| match source {
            CommandError::Cancelled => Self::Cancelled,
            source => other(source),
        }
    }
}
