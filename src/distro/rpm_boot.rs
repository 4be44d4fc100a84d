//! What Fedora and CentOS have in common when it comes to booting.

use super::Boots;

/// Packages for boot protocols and protected partitions, besides kernel, dracut and systemd-boot.
pub fn red_hat(architecture: &str, boots: Boots) -> Vec<&'static str> {
    let mut packages = Vec::new();
    if boots.bios && matches!(architecture, "x86_64" | "i386") {
        packages.extend(["grub2-pc-modules", "grub2-tools"]);
    }
    if boots.verity || boots.encrypted {
        packages.push("device-mapper");
    }
    if boots.verity {
        packages.push("veritysetup");
    }
    if boots.encrypted {
        packages.push("cryptsetup");
    }
    packages
}

/// Whether a package of Fedora or CentOS is a kernel.
pub fn is_red_hat_kernel(package: &str) -> bool {
    matches!(
        package,
        "kernel"
            | "kernel-core"
            | "kernel-debug"
            | "kernel-debug-core"
            | "kernel-rt"
            | "kernel-rt-core"
    ) || package.starts_with("kernel-core-")
        || package.starts_with("kernel-16k")
        || package.starts_with("kernel-64k")
}
