complete -c mkosi -s d -l distribution -d 'The distribution to install' -r -f -a "fedora\t''
debian\t''
ubuntu\t''
arch\t''
opensuse\t''
mageia\t''
centos\t''
centos_epel\t''
clear\t''
alpine\t''"
complete -c mkosi -s r -l release -d 'The release of the distribution: a number or a code name' -r -f -a "10\t''
10-stream\t''
15.0\t''
15.1\t''
15.2\t''
15.3\t''
15.4\t''
15.5\t''
15.6\t''
16.0\t''
16.1\t''
25\t''
26\t''
27\t''
28\t''
29\t''
3.10\t''
3.11\t''
3.12\t''
3.13\t''
3.14\t''
3.15\t''
3.16\t''
3.17\t''
3.18\t''
3.19\t''
3.20\t''
3.21\t''
3.22\t''
3.23\t''
3.24\t''
30\t''
31\t''
32\t''
33\t''
34\t''
35\t''
36\t''
37\t''
38\t''
39\t''
40\t''
41\t''
42\t''
43\t''
44\t''
45\t''
7\t''
8\t''
8-stream\t''
9\t''
9-stream\t''
artful\t''
bionic\t''
bookworm\t''
bullseye\t''
buster\t''
cauldron\t''
cosmic\t''
disco\t''
edge\t''
eoan\t''
focal\t''
forky\t''
groovy\t''
hirsute\t''
impish\t''
jammy\t''
kinetic\t''
latest\t''
lunar\t''
mantic\t''
noble\t''
oracular\t''
plucky\t''
questing\t''
rawhide\t''
resolute\t''
rolling\t''
sid\t''
stonking\t''
stretch\t''
trixie\t''
tumbleweed\t''
xenial\t''
yakkety\t''
zesty\t''"
complete -c mkosi -l architecture -d 'The architecture of the image (x86_64, aarch64, …' -r -f -a "x86_64\t''
i686\t''
aarch64\t''
armv7l\t''
riscv64\t''
ppc64le\t''
s390x\t''
loongarch64\t''"
complete -c mkosi -l repositories -d 'Additional repositories, or components of the distribution\'s' -r -f
complete -c mkosi -s m -l mirror -d 'Where packages come from: a URL (http, https, file) or a path' -r -f
complete -c mkosi -l local-mirror -d 'The only repository to build from' -r -f
complete -c mkosi -l repository-directory -d 'Directories with the repository files to use' -r -f -a "(__fish_complete_directories)"
complete -c mkosi -s t -l format -d 'What kind of image to write' -r -f -a "directory\t''
subvolume\t''
tar\t''
gpt_ext4\t''
gpt_xfs\t''
gpt_btrfs\t''
gpt_squashfs\t''
plain_squashfs\t''"
complete -c mkosi -s o -l output -d 'Where the image is written' -r -F
complete -c mkosi -s O -l output-dir -d 'Where everything that a build writes goes, unless Output has a slash' -r -f -a "(__fish_complete_directories)"
complete -c mkosi -s f -l force -d 'Replace an existing output' -r -f -a "yes\t''
no\t''
NUMBER\t''"
complete -c mkosi -l boot-protocols -d 'What starts a bootable image' -r -f -a "uefi\t''
bios\t''"
complete -c mkosi -l kernel-command-line -d 'The command line of the kernel' -r -f
complete -c mkosi -l secure-boot-key -d 'The private key to sign with, PEM' -r -F
complete -c mkosi -l secure-boot-certificate -d 'The certificate of the key, X.509' -r -F
complete -c mkosi -l secure-boot-common-name -d 'Who the certificate of a new key names' -r -f
complete -c mkosi -l secure-boot-valid-days -d 'How many days the certificate of a new key is valid' -r -f
complete -c mkosi -l encrypt -d 'Encrypt the root, home and srv partitions (all), or home and srv only (data)' -r -f -a "all\t''
data\t''"
complete -c mkosi -l compress -d 'Compress within the file system: btrfs and squashfs' -r -f -a "yes\t''
no\t''
zlib\t''
lzo\t''
zstd\t''
lz4\t''
xz\t''"
complete -c mkosi -l compress-fs -d 'Another spelling of Compress' -r -f -a "yes\t''
no\t''
zlib\t''
lzo\t''
zstd\t''
lz4\t''
xz\t''"
complete -c mkosi -l mksquashfs -d 'The program to call instead of mksquashfs' -r -F
complete -c mkosi -l compress-output -d 'Compress the finished image with this program' -r -f -a "yes\t''
no\t''
xz\t''
zstd\t''
gz\t''
bz2\t''"
complete -c mkosi -l hostname -d 'The host name of the image' -r -f
complete -c mkosi -l layers-size -d 'How much room the cached images of an output directory may take together' -r -f
complete -c mkosi -l image-id -d 'The name of the image: part of the output\'s name, and IMAGE_ID in os-release' -r -f
complete -c mkosi -l image-version -d 'The version of the image: part of the output\'s name, and IMAGE_VERSION in os-release' -r -f
complete -c mkosi -l manifest-format -d 'How to write the list of installed packages' -r -f -a "json\t''
changelog\t''
packages\t''"
complete -c mkosi -l machine-id -d 'The machine id of the image, 32 hexadecimal digits' -r -f
complete -c mkosi -l gpt-first-lba -d 'The first sector that a partition may use, in sectors of 512 bytes' -r -f
complete -c mkosi -l workspace-dir -d 'Where images are put together' -r -F
complete -c mkosi -s p -l package -d 'Packages to install' -r -f
complete -c mkosi -l lock-file -d 'The file that --update-lock writes: each package with its version and checksum' -r -F
complete -c mkosi -l cache -d 'The directory where the package manager keeps what it downloads' -r -f -a "(__fish_complete_directories)"
complete -c mkosi -l extra-tree -d 'Directories or tars to copy over the image (files of a directory belong to root there)' -r -F
complete -c mkosi -l skeleton-tree -d 'Directories or tars to copy into the image before packages are installed' -r -F
complete -c mkosi -l build-script -d 'Builds a project within a development image' -r -F
complete -c mkosi -l build-sources -d 'The sources for the build script' -r -F
complete -c mkosi -l source-file-transfer -d 'How the sources reach the development image' -r -f -a "copy-all\t''
copy-git-cached\t''
copy-git-others\t''
mount\t''"
complete -c mkosi -l build-directory -d 'A directory that the build script finds again at the next build' -r -f -a "(__fish_complete_directories)"
complete -c mkosi -l build-packages -d 'Packages of the development image only' -r -f
complete -c mkosi -l postinst-script -d 'Runs inside the image after everything is in it' -r -F
complete -c mkosi -l finalize-script -d 'Runs on the host, after the script inside the image, with BUILDROOT' -r -F
complete -c mkosi -l settings -d 'The .nspawn file for the image' -r -F
complete -c mkosi -l base-packages -d 'Whether packages are installed that no setting names' -r -f -a "yes\t''
no\t''
conditional\t''"
complete -c mkosi -l clean-package-metadata -d 'Whether the package database is removed' -r -f -a "yes\t''
no\t''
auto\t''"
complete -c mkosi -l remove-files -d 'Paths in the image to remove at the end' -r -f
complete -c mkosi -l remove-package -d 'Packages to remove at the end' -r -f
complete -c mkosi -l environment -d 'Variables for scripts' -r -f
complete -c mkosi -l prepare-script -d 'Runs inside the image, with network, after packages are installed' -r -F
complete -c mkosi -l install-dir -d 'Keep what the build script installed' -r -f -a "(__fish_complete_directories)"
complete -c mkosi -l source-file-transfer-final -d 'How the sources reach the final image too' -r -f -a "copy-all\t''
copy-git-cached\t''
copy-git-others\t''
mount\t''"
complete -c mkosi -l include-directory -d 'Keep the header files of the development image here' -r -f -a "(__fish_complete_directories)"
complete -c mkosi -l root-size -d 'The size of the root file system' -r -f
complete -c mkosi -l esp-size -d 'The size of the EFI system partition' -r -f
complete -c mkosi -l xbootldr-size -d 'The size of an extended boot loader partition' -r -f
complete -c mkosi -l swap-size -d 'The size of a swap partition' -r -f
complete -c mkosi -l home-size -d 'The size of a /home partition' -r -f
complete -c mkosi -l srv-size -d 'The size of a /srv partition' -r -f
complete -c mkosi -l base-image -d 'A directory, tar or disk image to begin from' -r -F
complete -c mkosi -l key -d 'The key to sign with' -r -f
complete -c mkosi -l password -d 'The password of root' -r -f
complete -c mkosi -l extra-search-paths -d 'Directories to look for programs in, before those of PATH' -r -F
complete -c mkosi -l secrets -d 'The directory of the project\'s secrets: commands that print them' -r -f -a "(__fish_complete_directories)"
complete -c mkosi -l revealed -d 'Use secrets that mkosi secrets reveal wrote to this directory' -r -F
complete -c mkosi -l qemu-smp -d 'How many processors a virtual machine has' -r -f
complete -c mkosi -l qemu-mem -d 'How much memory a virtual machine has' -r -f
complete -c mkosi -l qemu-kvm -d 'Whether a virtual machine uses the processor directly' -r -f -a "yes\t''
no\t''
auto\t''"
complete -c mkosi -l tools-tree -d 'Run the host\'s programs from this tree' -r -F
complete -c mkosi -s C -l directory -d 'Change there before anything else' -r -F
complete -c mkosi -l default -d 'The settings file (default: mkosi.default; PATH.d/ is read too)' -r -F
complete -c mkosi -l all-directory -d 'Where --all looks (default: mkosi.files)' -r -F
complete -c mkosi -s j -l jobs -d 'How many images --all builds at a time (default: the number of processors)' -r -f
complete -c mkosi -l debug -d 'Print every command that is run' -r -f -a "run\t''"
complete -c mkosi -l progress -d 'How to show running work: auto, terminal, plain or json (default: auto)' -r -f -a "auto\t''
terminal\t''
plain\t''
json\t''"
complete -c mkosi -l timings -d 'Write a page about where time and space went (default: OUTPUT.timings.html)' -r -F
complete -c mkosi -l repository-key-check -d 'Whether signatures of packages are checked'
complete -c mkosi -l use-host-repositories -d 'Use the repositories that the host uses'
complete -c mkosi -s b -l bootable -d 'Put a kernel, an initrd and a boot loader into the image'
complete -c mkosi -l secure-boot -d 'Sign what the firmware starts'
complete -c mkosi -l read-only -d 'Make the root file system read-only'
complete -c mkosi -l verity -d 'Protect the root file system with dm-verity, and write its root hash beside the image'
complete -c mkosi -l xz -d 'Compress the finished image with xz'
complete -c mkosi -l qcow2 -d 'Convert the finished disk image to QCOW2'
complete -c mkosi -l no-chown -d 'Leave what is written to root, under sudo too'
complete -c mkosi -s i -l incremental -d 'Keep the trees as they are after packages are installed, and start from them next time'
complete -c mkosi -l minimize -d 'Shrink the root file system to what it holds'
complete -c mkosi -l without-unified-kernel-images -d 'Put kernel, initrd and command line into one file for the firmware to start'
complete -c mkosi -l hostonly-initrd -d 'Make an initrd for the hardware of this host only'
complete -c mkosi -l cache-initrd -d 'Use the initrd of a cached image again'
complete -c mkosi -l sign-expected-pcr -d 'Sign the values that a TPM will measure at boot'
complete -c mkosi -l split-artifacts -d 'Write the root partition, its hash tree, kernel and initrd as files of their own too'
complete -c mkosi -l usr-only -d 'Write a /usr partition in place of a root partition'
complete -c mkosi -l tar-strip-selinux-context -d 'Leave security.selinux out of a tar'
complete -c mkosi -l with-docs -d 'Keep documentation'
complete -c mkosi -s T -l without-tests -d 'Let the build script run its tests'
complete -c mkosi -l locked -d 'Build from exactly the packages of the lock file, or say which are gone'
complete -c mkosi -l with-network -d 'Let scripts use the network'
complete -c mkosi -l warn-only -d 'Take what comes of a template although it printed an error'
complete -c mkosi -l skip-final-phase -d 'Stop after the build script'
complete -c mkosi -l checksum -d 'Write SHA256SUMS of everything that a build writes'
complete -c mkosi -l sign -d 'Sign SHA256SUMS with gpg'
complete -c mkosi -l bmap -d 'Write a block map for bmaptool'
complete -c mkosi -l password-is-hashed -d 'Password is a crypt(3) hash'
complete -c mkosi -l autologin -d 'Log root in on the console'
complete -c mkosi -l qemu-headless -d 'Show a virtual machine\'s serial console instead of a window'
complete -c mkosi -l network-veth -d 'Connect a container or virtual machine to the host by a virtual network link'
complete -c mkosi -l netdev -d 'Configure the network devices of the image'
complete -c mkosi -l ssh -d 'Put an ssh server into the image, which accepts a key made for it: see `mkosi ssh`'
complete -c mkosi -s a -l all -d 'Do it for every mkosi.* file of the all-directory'
complete -c mkosi -l json -d 'Answer in JSON'
complete -c mkosi -s v -l verbose -d 'Say more; with summary: where each value came from'
complete -c mkosi -l keep -d 'Keep the working directory of a build that fails, to look into'
complete -c mkosi -l wait -d 'Wait for another run that builds the same output, instead of failing'
complete -c mkosi -l update-lock -d 'Write the lock file: the packages of this build, each with its version and checksum'
complete -c mkosi -l version -d 'Print the version'
complete -c mkosi -s h -l help -d 'Say what every verb and flag is for'
complete -c mkosi -n 'not __fish_seen_subcommand_from build clean summary init check plan why doctor diff shell boot qemu ssh genkey secret secrets modes completion help' -f -a build -d 'Build the image (what happens when no verb is given)'
complete -c mkosi -n 'not __fish_seen_subcommand_from build clean summary init check plan why doctor diff shell boot qemu ssh genkey secret secrets modes completion help' -f -a clean -d 'Remove what builds wrote; -f: cached images and build directory too; -ff: package cache too'
complete -c mkosi -n 'not __fish_seen_subcommand_from build clean summary init check plan why doctor diff shell boot qemu ssh genkey secret secrets modes completion help' -f -a summary -d 'Print the whole configuration'
complete -c mkosi -n 'not __fish_seen_subcommand_from build clean summary init check plan why doctor diff shell boot qemu ssh genkey secret secrets modes completion help' -f -a init -d 'Begin a project: write mkosi.default for this host, with what flags say; never over a file'
complete -c mkosi -n 'not __fish_seen_subcommand_from build clean summary init check plan why doctor diff shell boot qemu ssh genkey secret secrets modes completion help' -f -a check -d 'Say everything that is wrong: settings, files, scripts, packages, and what this host lacks'
complete -c mkosi -n 'not __fish_seen_subcommand_from build clean summary init check plan why doctor diff shell boot qemu ssh genkey secret secrets modes completion help' -f -a plan -d 'Say what a build would do, step by step, and what this host lacks for it; does none of it'
complete -c mkosi -n 'not __fish_seen_subcommand_from build clean summary init check plan why doctor diff shell boot qemu ssh genkey secret secrets modes completion help' -f -a why -d 'Say which cached images a build would use, and what changed for those it would not'
complete -c mkosi -n 'not __fish_seen_subcommand_from build clean summary init check plan why doctor diff shell boot qemu ssh genkey secret secrets modes completion help' -f -a doctor -d 'Say what this host can build and run, and the command that installs what it lacks'
complete -c mkosi -n 'not __fish_seen_subcommand_from build clean summary init check plan why doctor diff shell boot qemu ssh genkey secret secrets modes completion help' -f -a diff -d 'Compare two images of any form, by package and by file; with one, with the project\'s image'
complete -c mkosi -n 'not __fish_seen_subcommand_from build clean summary init check plan why doctor diff shell boot qemu ssh genkey secret secrets modes completion help' -f -a shell -d 'Run a shell, or the given command, in the image; build it first if needed'
complete -c mkosi -n 'not __fish_seen_subcommand_from build clean summary init check plan why doctor diff shell boot qemu ssh genkey secret secrets modes completion help' -f -a boot -d 'Boot the image in a container; arguments go to its init system'
complete -c mkosi -n 'not __fish_seen_subcommand_from build clean summary init check plan why doctor diff shell boot qemu ssh genkey secret secrets modes completion help' -f -a qemu -d 'Boot the image in a virtual machine; arguments go to qemu'
complete -c mkosi -n 'not __fish_seen_subcommand_from build clean summary init check plan why doctor diff shell boot qemu ssh genkey secret secrets modes completion help' -f -a ssh -d 'Log in to the image that `boot` or `qemu` runs, or run a command in it; takes Ssh=yes'
complete -c mkosi -n 'not __fish_seen_subcommand_from build clean summary init check plan why doctor diff shell boot qemu ssh genkey secret secrets modes completion help' -f -a genkey -d 'Make a key and a certificate for SecureBoot; -f: in place of those that are there'
complete -c mkosi -n 'not __fish_seen_subcommand_from build clean summary init check plan why doctor diff shell boot qemu ssh genkey secret secrets modes completion help' -f -a secret -d 'Print the secret of this name'
complete -c mkosi -n 'not __fish_seen_subcommand_from build clean summary init check plan why doctor diff shell boot qemu ssh genkey secret secrets modes completion help' -f -a secrets -d 'Write all secrets to files in a directory, for --revealed'
complete -c mkosi -n 'not __fish_seen_subcommand_from build clean summary init check plan why doctor diff shell boot qemu ssh genkey secret secrets modes completion help' -f -a modes -d 'Note the modes of the trees\' files, which git does not keep (record), or set them again (apply)'
complete -c mkosi -n 'not __fish_seen_subcommand_from build clean summary init check plan why doctor diff shell boot qemu ssh genkey secret secrets modes completion help' -f -a completion -d 'Print what makes a shell complete this program\'s command lines: bash, zsh, fish or elvish'
complete -c mkosi -n 'not __fish_seen_subcommand_from build clean summary init check plan why doctor diff shell boot qemu ssh genkey secret secrets modes completion help' -f -a help -d 'Say what every verb and flag is for'
complete -c mkosi -n '__fish_seen_subcommand_from completion' -f -a 'bash zsh fish elvish'
complete -c mkosi -n '__fish_seen_subcommand_from modes' -f -a 'record apply'
complete -c mkosi -n '__fish_seen_subcommand_from secrets' -f -a 'reveal'
