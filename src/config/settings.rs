//! The table of settings: one row for each, and nothing about a setting anywhere else. A row is a
//! field of [`Config`] with its help, type and default, then its name, flag and properties.

use std::path::PathBuf;

use super::Auto;
use super::spec::{distribution, host, output, packages, partitions, validation};
use super::table::settings;
use super::values::{
    Architecture, BasePackages, BootProtocol, CompressOutput, Compression, Distribution, Encrypt,
    Force, Format, ManifestFormat, PackageList, SearchPaths, Secret, Size, SourceTransfer,
    Tristate, Variables,
};

const SCRIPTED: &str = "a build script";
const BOOTABLE: &str = "Bootable";
const UEFI: &str = "Bootable and BootProtocols=uefi";
const DISK: &str = "a disk image (Format=gpt_…)";
const RAW: &str = "a raw disk image (Format=gpt_… and no QCow2)";

settings! { (cx)
    /// The distribution to install
    distribution: Distribution = cx.host_distribution().unwrap_or(Distribution::Debian)
        => distribution("Distribution", "distribution").short('d').default_text("the host's");
    /// The release of the distribution: a number or a code name
    release: String = cx.default_release(distribution)
        => distribution("Release", "release").short('r').default_text("the host's, or a current one");
    /// The architecture of the image (x86_64, aarch64, …; Debian's names are accepted too)
    architecture: Architecture = Architecture::host()
        => distribution("Architecture", "architecture").default_text("the host's");
    /// Additional repositories, or components of the distribution's; a URL adds a repository
    repositories: Vec<String> = Vec::new()
        => distribution("Repositories", "repositories").default_text("the distribution's");
    /// Where packages come from: a URL (http, https, file) or a path
    mirror: Option<String> = cx.default_mirror(distribution, architecture)
        => distribution("Mirror", "mirror").short('m').default_text("the distribution's");
    /// The only repository to build from; the image does not know of it
    local_mirror: Option<String> = None
        => distribution("LocalMirror", "local-mirror");
    /// Whether signatures of packages are checked
    repository_key_check: bool = true
        => distribution("RepositoryKeyCheck", "repository-key-check");
    /// Use the repositories that the host uses
    use_host_repositories: bool = false
        => distribution("UseHostRepositories", "use-host-repositories");
    /// Directories with the repository files to use
    repository_directories: Vec<PathBuf> = Vec::new()
        => distribution("RepositoryDirectories", "repository-directory").also_flags(&["repository-directories"])
            .auto(Auto::Directory("mkosi.reposdir"));

    /// What kind of image to write
    format: Format = Format::GptExt4
        => output("Format", "format").short('t');
    /// Where the image is written
    output: PathBuf = PathBuf::new()
        => output("Output", "output").short('o').default_text("image with the format's suffix");
    /// Where everything that a build writes goes, unless Output has a slash
    output_directory: Option<PathBuf> = None
        => output("OutputDirectory", "output-dir").short('O').also(&["OutputDir"]).also_flags(&["output-directory"])
            .auto(Auto::Directory("mkosi.output"));
    /// Replace an existing output; twice: drop cached images too; three times: the package cache too
    force: Force = Force(0)
        => output("Force", "force").short('f');
    /// Put a kernel, an initrd and a boot loader into the image
    bootable: bool = false
        => output("Bootable", "bootable").short('b');
    /// What starts a bootable image
    boot_protocols: Vec<BootProtocol> = vec![BootProtocol::Uefi]
        => output("BootProtocols", "boot-protocols").also_flags(&["boot-protocol"])
            .needs(BOOTABLE, |c| c.bootable);
    /// The command line of the kernel
    kernel_command_line: String = "rhgb quiet selinux=0 audit=0 rw".into()
        => output("KernelCommandLine", "kernel-command-line").also_flags(&["kernel-commandline"])
            .needs(BOOTABLE, |c| c.bootable);
    /// Sign what the firmware starts
    secure_boot: bool = false
        => output("SecureBoot", "secure-boot").needs(BOOTABLE, |c| c.bootable);
    /// The private key to sign with, PEM
    secure_boot_key: Option<PathBuf> = None
        => output("SecureBootKey", "secure-boot-key")
            .auto(Auto::SecretFile(&["mkosi.secure-boot.key", "mkosi.secureboot.key"]))
            .needs("SecureBoot", |c| c.secure_boot && c.bootable);
    /// The certificate of the key, X.509
    secure_boot_certificate: Option<PathBuf> = None
        => output("SecureBootCertificate", "secure-boot-certificate")
            .auto(Auto::File(&["mkosi.secure-boot.crt", "mkosi.secureboot.crt"]))
            .needs("SecureBoot", |c| c.secure_boot && c.bootable);
    /// Who the certificate of a new key names; %u is the user
    secure_boot_common_name: String = "mkosi of %u".into()
        => output("SecureBootCommonName", "secure-boot-common-name").not_for_builds();
    /// How many days the certificate of a new key is valid
    secure_boot_valid_days: u32 = 730
        => output("SecureBootValidDays", "secure-boot-valid-days").not_for_builds();
    /// Make the root file system read-only; squashfs and Verity imply it
    read_only: bool = false
        => output("ReadOnly", "read-only");
    /// Encrypt the root, home and srv partitions (all), or home and srv only (data)
    encrypt: Option<Encrypt> = None
        => output("Encrypt", "encrypt").bare("all");
    /// Protect the root file system with dm-verity, and write its root hash beside the image
    verity: bool = false
        => output("Verity", "verity");
    /// Compress within the file system: btrfs and squashfs
    compress: Compression = if format.is_squashfs() { Compression::On } else { Compression::Off }
        => output("Compress", "compress").default_text("yes for squashfs, otherwise no")
            .needs("btrfs or squashfs", |c| c.format.is_btrfs() || c.format.is_squashfs());
    /// Another spelling of Compress
    compress_fs: Compression = compress
        => output("CompressFs", "compress-fs").default_text("as Compress")
            .needs("btrfs or squashfs", |c| c.format.is_btrfs() || c.format.is_squashfs());
    /// The program to call instead of mksquashfs
    mksquashfs: Option<PathBuf> = None
        => output("Mksquashfs", "mksquashfs").auto(Auto::Script("mkosi.mksquashfs-tool"))
            .needs("squashfs", |c| c.format.is_squashfs());
    /// Compress the finished image with xz
    xz: bool = false
        => output("XZ", "xz").default_text("yes for tar, otherwise no");
    /// Compress the finished image with this program
    compress_output: Option<CompressOutput> = None
        => output("CompressOutput", "compress-output").default_text("as XZ");
    /// Convert the finished disk image to QCOW2
    qcow2: bool = false
        => output("QCow2", "qcow2").needs(DISK, |c| c.format.is_disk());
    /// The host name of the image
    hostname: Option<String> = None
        => output("Hostname", "hostname");
    /// Leave what is written to root, under sudo too
    no_chown: bool = false
        => output("NoChown", "no-chown");
    /// Keep the trees as they are after packages are installed, and start from them next time
    incremental: bool = false
        => output("Incremental", "incremental").short('i');
    /// How much room the cached images of an output directory may take together
    layers_size: Size = Size::mib(10 * 1024)
        => output("LayersSize", "layers-size").needs("Incremental", |c| c.incremental);
    /// The name of the image: part of the output's name, and IMAGE_ID in os-release
    image_id: Option<String> = None
        => output("ImageId", "image-id").also(&["ImageID"]);
    /// The version of the image: part of the output's name, and IMAGE_VERSION in os-release
    image_version: Option<String> = None
        => output("ImageVersion", "image-version");
    /// How to write the list of installed packages
    manifest_format: Vec<ManifestFormat> = vec![ManifestFormat::Json]
        => output("ManifestFormat", "manifest-format");
    /// Shrink the root file system to what it holds
    minimize: bool = false
        => output("Minimize", "minimize").needs(DISK, |c| c.format.is_disk());
    /// The machine id of the image, 32 hexadecimal digits
    machine_id: Option<String> = None
        => output("MachineID", "machine-id").also(&["MachineId"]);
    /// The first sector that a partition may use, in sectors of 512 bytes
    gpt_first_lba: u64 = 2048
        => output("GPTFirstLBA", "gpt-first-lba").needs(DISK, |c| c.format.is_disk());
    /// Put kernel, initrd and command line into one file for the firmware to start
    with_unified_kernel_images: bool = true
        => output("WithUnifiedKernelImages", "without-unified-kernel-images").negated()
            .needs(UEFI, |c| c.bootable && c.boot_protocols.contains(&BootProtocol::Uefi));
    /// Make an initrd for the hardware of this host only
    hostonly_initrd: bool = false
        => output("HostonlyInitrd", "hostonly-initrd").needs(BOOTABLE, |c| c.bootable);
    /// Use the initrd of a cached image again
    cache_initrd: bool = true
        => output("CacheInitrd", "cache-initrd").needs(BOOTABLE, |c| c.bootable);
    /// Sign the values that a TPM will measure at boot
    sign_expected_pcr: bool = false
        => output("SignExpectedPCR", "sign-expected-pcr").needs(BOOTABLE, |c| c.bootable).later("signed PCR values");
    /// Write the root partition, its hash tree, kernel and initrd as files of their own too
    split_artifacts: bool = false
        => output("SplitArtifacts", "split-artifacts").needs(DISK, |c| c.format.is_disk());
    /// Write a /usr partition in place of a root partition
    usr_only: bool = false
        => output("UsrOnly", "usr-only").later("/usr images");
    /// Where images are put together
    workspace_directory: Option<PathBuf> = None
        => output("WorkspaceDirectory", "workspace-dir").also_flags(&["workspace-directory"])
            .default_text("beside the output");
    /// Leave security.selinux out of a tar
    tar_strip_selinux_context: bool = false
        => output("TarStripSELinuxContext", "tar-strip-selinux-context").needs("Format=tar", |c| c.format == Format::Tar);

    /// Packages to install; !NAME takes one out that was named before
    packages: PackageList = PackageList::default()
        => packages("Packages", "package").short('p').also_flags(&["packages"]);
    /// Keep documentation
    with_docs: bool = false
        => packages("WithDocs", "with-docs");
    /// Let the build script run its tests
    with_tests: bool = true
        => packages("WithTests", "without-tests").short('T').negated().needs(SCRIPTED, |c| c.build_script.is_some());
    /// Build from exactly the packages of the lock file, or say which are gone
    locked: bool = false
        => packages("Locked", "locked");
    /// The file that --update-lock writes: each package with its version and checksum
    lock_file: Option<PathBuf> = None
        => packages("LockFile", "lock-file")
            .default_text("mkosi.lock, or another settings file's name with .lock");
    /// The directory where the package manager keeps what it downloads
    cache: Option<PathBuf> = None
        => packages("Cache", "cache").auto(Auto::Directory("mkosi.cache"))
            .default_text("mkosi.cache/DISTRIBUTION~RELEASE if mkosi.cache/ exists");
    /// Directories or tars to copy over the image (files of a directory belong to root there)
    extra_trees: Vec<PathBuf> = Vec::new()
        => packages("ExtraTrees", "extra-tree").also_flags(&["extra-trees"]).auto(Auto::Tree("mkosi.extra"));
    /// Directories or tars to copy into the image before packages are installed
    skeleton_trees: Vec<PathBuf> = Vec::new()
        => packages("SkeletonTrees", "skeleton-tree").also_flags(&["skeleton-trees"]).auto(Auto::Tree("mkosi.skeleton"));
    /// Builds a project within a development image; its presence makes the build two-phased
    build_script: Option<PathBuf> = None
        => packages("BuildScript", "build-script").auto(Auto::Script("mkosi.build"));
    /// The sources for the build script
    build_sources: PathBuf = cx.directory.clone()
        => packages("BuildSources", "build-sources").default_text("the project's directory")
            .needs(SCRIPTED, |c| c.build_script.is_some() || c.source_file_transfer_final.is_some());
    /// How the sources reach the development image
    source_file_transfer: SourceTransfer =
        if cx.is_git_tree(&build_sources) { SourceTransfer::CopyGitCached } else { SourceTransfer::CopyAll }
        => packages("SourceFileTransfer", "source-file-transfer").default_text("copy-git-cached in a git tree, otherwise copy-all")
            .needs(SCRIPTED, |c| c.build_script.is_some());
    /// A directory that the build script finds again at the next build
    build_directory: Option<PathBuf> = None
        => packages("BuildDirectory", "build-directory").also_flags(&["build-dir"]).also(&["BuildDir"])
            .auto(Auto::Directory("mkosi.builddir")).needs(SCRIPTED, |c| c.build_script.is_some());
    /// Packages of the development image only
    build_packages: PackageList = PackageList::default()
        => packages("BuildPackages", "build-packages").also_flags(&["build-package"])
            .needs(SCRIPTED, |c| c.build_script.is_some());
    /// Runs inside the image after everything is in it
    post_installation_script: Option<PathBuf> = None
        => packages("PostInstallationScript", "postinst-script").also(&["PostinstallScript"])
            .also_flags(&["postinstall-script", "post-installation-script"]).auto(Auto::Script("mkosi.postinst"));
    /// Runs on the host, after the script inside the image, with BUILDROOT
    finalize_script: Option<PathBuf> = None
        => packages("FinalizeScript", "finalize-script").auto(Auto::Script("mkosi.finalize"));
    /// Let scripts use the network
    with_network: bool = false
        => packages("WithNetwork", "with-network");
    /// The .nspawn file for the image
    nspawn_settings: Option<PathBuf> = None
        => packages("NSpawnSettings", "settings").auto(Auto::File(&["mkosi.nspawn"]));
    /// Whether packages are installed that no setting names
    base_packages: BasePackages = BasePackages::Yes
        => packages("BasePackages", "base-packages");
    /// Whether the package database is removed; auto: when the package manager is not in the image
    clean_package_metadata: Tristate = Tristate::Auto
        => packages("CleanPackageMetadata", "clean-package-metadata");
    /// Paths in the image to remove at the end; * and ? match
    remove_files: Vec<String> = Vec::new()
        => packages("RemoveFiles", "remove-files").also_flags(&["remove-file"]);
    /// Packages to remove at the end
    remove_packages: Vec<String> = Vec::new()
        => packages("RemovePackages", "remove-package").also_flags(&["remove-packages"]);
    /// Take what comes of a template although it printed an error
    warn_only: bool = false
        => packages("WarnOnly", "warn-only");
    /// Variables for scripts; NAME alone passes on the caller's
    environment: Variables = Variables::default()
        => packages("Environment", "environment");
    /// Runs inside the image, with network, after packages are installed
    prepare_script: Option<PathBuf> = None
        => packages("PrepareScript", "prepare-script").auto(Auto::Script("mkosi.prepare"));
    /// Stop after the build script
    skip_final_phase: bool = false
        => packages("SkipFinalPhase", "skip-final-phase").needs(SCRIPTED, |c| c.build_script.is_some());
    /// Keep what the build script installed
    install_directory: Option<PathBuf> = None
        => packages("InstallDirectory", "install-dir").also_flags(&["install-directory"])
            .auto(Auto::Directory("mkosi.installdir")).needs(SCRIPTED, |c| c.build_script.is_some());
    /// How the sources reach the final image too
    source_file_transfer_final: Option<SourceTransfer> = None
        => packages("SourceFileTransferFinal", "source-file-transfer-final");
    /// Keep the header files of the development image here
    include_directory: Option<PathBuf> = None
        => packages("IncludeDirectory", "include-directory").also_flags(&["include-dir"])
            .auto(Auto::Directory("mkosi.includedir")).needs(SCRIPTED, |c| c.build_script.is_some());

    /// The size of the root file system
    root_size: Option<Size> = None
        => partitions("RootSize", "root-size").default_text("what the files need, at least 1G")
            .needs("Format=gpt_ext4, gpt_xfs or gpt_btrfs", |c| c.format.has_root_size());
    /// The size of the EFI system partition
    esp_size: Size = Size::mib(256)
        => partitions("ESPSize", "esp-size").needs(UEFI, |c| c.bootable && c.boot_protocols.contains(&BootProtocol::Uefi));
    /// The size of an extended boot loader partition
    xbootldr_size: Option<Size> = None
        => partitions("XBootldrSize", "xbootldr-size").needs(BOOTABLE, |c| c.bootable);
    /// The size of a swap partition
    swap_size: Option<Size> = None
        => partitions("SwapSize", "swap-size").needs(DISK, |c| c.format.is_disk());
    /// The size of a /home partition
    home_size: Option<Size> = None
        => partitions("HomeSize", "home-size").needs(DISK, |c| c.format.is_disk());
    /// The size of a /srv partition
    srv_size: Option<Size> = None
        => partitions("SrvSize", "srv-size").needs(DISK, |c| c.format.is_disk());
    /// A directory, tar or disk image to begin from; the output holds what differs from it
    base_image: Option<PathBuf> = None
        => partitions("BaseImage", "base-image");

    /// Write SHA256SUMS of everything that a build writes
    checksum: bool = false
        => validation("CheckSum", "checksum");
    /// Sign SHA256SUMS with gpg; implies CheckSum
    sign: bool = false
        => validation("Sign", "sign");
    /// The key to sign with
    key: Option<String> = None
        => validation("Key", "key").default_text("gpg's default").needs("Sign", |c| c.sign);
    /// Write a block map for bmaptool
    bmap: bool = false
        => validation("BMap", "bmap").also(&["Bmap"]).needs(RAW, |c| c.format.is_disk() && !c.qcow2);
    /// The password of root; empty: none is asked; "hashed:" before a crypt(3) hash
    password: Option<Secret> = None
        => validation("Password", "password").default_text("mkosi.rootpw, otherwise root cannot log in")
            .auto(Auto::SecretText("mkosi.rootpw"));
    /// Password is a crypt(3) hash
    password_is_hashed: bool = false
        => validation("PasswordIsHashed", "password-is-hashed").needs("Password", |c| c.password.is_some());
    /// Log root in on the console
    autologin: bool = false
        => validation("Autologin", "autologin");

    /// Directories to look for programs in, before those of PATH; $VARIABLES are put in
    extra_search_paths: SearchPaths = SearchPaths::default()
        => host("ExtraSearchPaths", "extra-search-paths").also_flags(&["extra-search-path"]);
    /// The directory of the project's secrets: commands that print them
    secrets: Option<PathBuf> = None
        => host("Secrets", "secrets").auto(Auto::Directory("secrets"));
    /// Use secrets that mkosi secrets reveal wrote to this directory
    revealed: Option<PathBuf> = None
        => host("Revealed", "revealed");
    /// Show a virtual machine's serial console instead of a window
    qemu_headless: bool = false
        => host("QemuHeadless", "qemu-headless").not_for_builds();
    /// How many processors a virtual machine has
    qemu_smp: u32 = 2
        => host("QemuSmp", "qemu-smp").not_for_builds();
    /// How much memory a virtual machine has
    qemu_mem: Size = Size::mib(1024)
        => host("QemuMem", "qemu-mem").not_for_builds();
    /// Whether a virtual machine uses the processor directly
    qemu_kvm: Tristate = Tristate::Auto
        => host("QemuKvm", "qemu-kvm").not_for_builds();
    /// Connect a container or virtual machine to the host by a virtual network link
    network_veth: bool = false
        => host("NetworkVeth", "network-veth").not_for_builds();
    /// Configure the network devices of the image
    netdev: bool = false
        => host("Netdev", "netdev").later("network configuration");
    /// Put an ssh server into the image, which accepts a key made for it: see `mkosi ssh`
    ssh: bool = false
        => host("Ssh", "ssh");
    /// Run the host's programs from this tree
    tools_tree: Option<PathBuf> = None
        => host("ToolsTree", "tools-tree").later("tools trees");
}

/// Where a setting is in [`SETTINGS`].
pub(crate) fn index_of(name: &str) -> Option<usize> {
    SETTINGS.iter().position(|row| row.spec.name == name)
}

/// The setting that a name in a settings file stands for.
pub(crate) fn find(name: &str) -> Option<usize> {
    SETTINGS
        .iter()
        .position(|row| row.spec.name == name || row.spec.aliases.contains(&name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_flags_are_unique_and_explained() {
        let mut names = BTreeSet::new();
        let mut flags = BTreeSet::new();
        let mut letters = BTreeSet::new();
        for row in SETTINGS {
            let spec = row.spec;
            for name in std::iter::once(spec.name).chain(spec.aliases.iter().copied()) {
                assert!(names.insert(name), "{name} twice");
            }
            for flag in std::iter::once(spec.flag).chain(spec.flag_aliases.iter().copied()) {
                assert!(flags.insert(flag), "--{flag} twice");
            }
            if let Some(letter) = spec.short {
                assert!(letters.insert(letter), "-{letter} twice");
            }
            assert!(row.help.len() > 10, "{} needs an explanation", spec.name);
            assert_eq!(find(spec.name), index_of(spec.name));
        }
    }
}
