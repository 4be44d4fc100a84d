//! Processor architectures, by the kernel's names.

use super::keyword::{keyword_value, keywords};

keywords! {
    /// What an image's programs run on.
    Architecture {
        /// 64-bit x86.
        X86_64 = "x86_64" | "amd64" | "x86-64" | "x64",
        /// 32-bit x86.
        I686 = "i686" | "i386" | "i486" | "i586" | "x86",
        /// 64-bit ARM.
        Aarch64 = "aarch64" | "arm64",
        /// 32-bit ARM with hardware floating point.
        Armv7 = "armv7l" | "armhf" | "armv7hl" | "armv7h" | "armv7" | "arm",
        /// 64-bit RISC-V.
        Riscv64 = "riscv64",
        /// 64-bit POWER, little-endian.
        Ppc64le = "ppc64le" | "ppc64el",
        /// IBM Z.
        S390x = "s390x",
        /// 64-bit LoongArch.
        Loongarch64 = "loongarch64" | "loong64",
    }
}

keyword_value!(Architecture);

impl Architecture {
    /// What this program was built for.
    #[must_use]
    pub const fn host() -> Self {
        if cfg!(target_arch = "x86") {
            Self::I686
        } else if cfg!(target_arch = "aarch64") {
            Self::Aarch64
        } else if cfg!(target_arch = "arm") {
            Self::Armv7
        } else if cfg!(target_arch = "riscv64") {
            Self::Riscv64
        } else if cfg!(target_arch = "powerpc64") {
            Self::Ppc64le
        } else if cfg!(target_arch = "s390x") {
            Self::S390x
        } else if cfg!(target_arch = "loongarch64") {
            Self::Loongarch64
        } else {
            Self::X86_64
        }
    }

    /// Debian's name for it.
    #[must_use]
    pub const fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::I686 => "i386",
            Self::Aarch64 => "arm64",
            Self::Armv7 => "armhf",
            Self::Riscv64 => "riscv64",
            Self::Ppc64le => "ppc64el",
            Self::S390x => "s390x",
            Self::Loongarch64 => "loong64",
        }
    }
}
