
use builtin;
use str;

set edit:completion:arg-completer[mkosi] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'mkosi'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'mkosi'= {
            cand -d 'The distribution to install'
            cand --distribution 'The distribution to install'
            cand -r 'The release of the distribution: a number or a code name'
            cand --release 'The release of the distribution: a number or a code name'
            cand --architecture 'The architecture of the image (x86_64, aarch64, …'
            cand --repositories 'Additional repositories, or components of the distribution''s'
            cand -m 'Where packages come from: a URL (http, https, file) or a path'
            cand --mirror 'Where packages come from: a URL (http, https, file) or a path'
            cand --local-mirror 'The only repository to build from'
            cand --repository-directory 'Directories with the repository files to use'
            cand -t 'What kind of image to write'
            cand --format 'What kind of image to write'
            cand -o 'Where the image is written'
            cand --output 'Where the image is written'
            cand -O 'Where everything that a build writes goes, unless Output has a slash'
            cand --output-dir 'Where everything that a build writes goes, unless Output has a slash'
            cand -f 'Replace an existing output'
            cand --force 'Replace an existing output'
            cand --boot-protocols 'What starts a bootable image'
            cand --kernel-command-line 'The command line of the kernel'
            cand --secure-boot-key 'The private key to sign with, PEM'
            cand --secure-boot-certificate 'The certificate of the key, X.509'
            cand --secure-boot-common-name 'Who the certificate of a new key names'
            cand --secure-boot-valid-days 'How many days the certificate of a new key is valid'
            cand --encrypt 'Encrypt the root, home and srv partitions (all), or home and srv only (data)'
            cand --compress 'Compress within the file system: btrfs and squashfs'
            cand --compress-fs 'Another spelling of Compress'
            cand --mksquashfs 'The program to call instead of mksquashfs'
            cand --compress-output 'Compress the finished image with this program'
            cand --hostname 'The host name of the image'
            cand --layers-size 'How much room the cached images of an output directory may take together'
            cand --image-id 'The name of the image: part of the output''s name, and IMAGE_ID in os-release'
            cand --image-version 'The version of the image: part of the output''s name, and IMAGE_VERSION in os-release'
            cand --manifest-format 'How to write the list of installed packages'
            cand --machine-id 'The machine id of the image, 32 hexadecimal digits'
            cand --gpt-first-lba 'The first sector that a partition may use, in sectors of 512 bytes'
            cand --workspace-dir 'Where images are put together'
            cand -p 'Packages to install'
            cand --package 'Packages to install'
            cand --lock-file 'The file that --update-lock writes: each package with its version and checksum'
            cand --cache 'The directory where the package manager keeps what it downloads'
            cand --extra-tree 'Directories or tars to copy over the image (files of a directory belong to root there)'
            cand --skeleton-tree 'Directories or tars to copy into the image before packages are installed'
            cand --build-script 'Builds a project within a development image'
            cand --build-sources 'The sources for the build script'
            cand --source-file-transfer 'How the sources reach the development image'
            cand --build-directory 'A directory that the build script finds again at the next build'
            cand --build-packages 'Packages of the development image only'
            cand --postinst-script 'Runs inside the image after everything is in it'
            cand --finalize-script 'Runs on the host, after the script inside the image, with BUILDROOT'
            cand --settings 'The .nspawn file for the image'
            cand --base-packages 'Whether packages are installed that no setting names'
            cand --clean-package-metadata 'Whether the package database is removed'
            cand --remove-files 'Paths in the image to remove at the end'
            cand --remove-package 'Packages to remove at the end'
            cand --environment 'Variables for scripts'
            cand --prepare-script 'Runs inside the image, with network, after packages are installed'
            cand --install-dir 'Keep what the build script installed'
            cand --source-file-transfer-final 'How the sources reach the final image too'
            cand --include-directory 'Keep the header files of the development image here'
            cand --root-size 'The size of the root file system'
            cand --esp-size 'The size of the EFI system partition'
            cand --xbootldr-size 'The size of an extended boot loader partition'
            cand --swap-size 'The size of a swap partition'
            cand --home-size 'The size of a /home partition'
            cand --srv-size 'The size of a /srv partition'
            cand --base-image 'A directory, tar or disk image to begin from'
            cand --key 'The key to sign with'
            cand --password 'The password of root'
            cand --extra-search-paths 'Directories to look for programs in, before those of PATH'
            cand --secrets 'The directory of the project''s secrets: commands that print them'
            cand --revealed 'Use secrets that mkosi secrets reveal wrote to this directory'
            cand --qemu-smp 'How many processors a virtual machine has'
            cand --qemu-mem 'How much memory a virtual machine has'
            cand --qemu-kvm 'Whether a virtual machine uses the processor directly'
            cand --tools-tree 'Run the host''s programs from this tree'
            cand -C 'Change there before anything else'
            cand --directory 'Change there before anything else'
            cand --default 'The settings file (default: mkosi.default; PATH.d/ is read too)'
            cand --all-directory 'Where --all looks (default: mkosi.files)'
            cand -j 'How many images --all builds at a time (default: the number of processors)'
            cand --jobs 'How many images --all builds at a time (default: the number of processors)'
            cand --debug 'Print every command that is run'
            cand --progress 'How to show running work: auto, terminal, plain or json (default: auto)'
            cand --timings 'Write a page about where time and space went (default: OUTPUT.timings.html)'
            cand --repository-key-check 'Whether signatures of packages are checked'
            cand --use-host-repositories 'Use the repositories that the host uses'
            cand -b 'Put a kernel, an initrd and a boot loader into the image'
            cand --bootable 'Put a kernel, an initrd and a boot loader into the image'
            cand --secure-boot 'Sign what the firmware starts'
            cand --read-only 'Make the root file system read-only'
            cand --verity 'Protect the root file system with dm-verity, and write its root hash beside the image'
            cand --xz 'Compress the finished image with xz'
            cand --qcow2 'Convert the finished disk image to QCOW2'
            cand --no-chown 'Leave what is written to root, under sudo too'
            cand -i 'Keep the trees as they are after packages are installed, and start from them next time'
            cand --incremental 'Keep the trees as they are after packages are installed, and start from them next time'
            cand --minimize 'Shrink the root file system to what it holds'
            cand --without-unified-kernel-images 'Put kernel, initrd and command line into one file for the firmware to start'
            cand --hostonly-initrd 'Make an initrd for the hardware of this host only'
            cand --cache-initrd 'Use the initrd of a cached image again'
            cand --sign-expected-pcr 'Sign the values that a TPM will measure at boot'
            cand --split-artifacts 'Write the root partition, its hash tree, kernel and initrd as files of their own too'
            cand --usr-only 'Write a /usr partition in place of a root partition'
            cand --tar-strip-selinux-context 'Leave security.selinux out of a tar'
            cand --with-docs 'Keep documentation'
            cand -T 'Let the build script run its tests'
            cand --without-tests 'Let the build script run its tests'
            cand --locked 'Build from exactly the packages of the lock file, or say which are gone'
            cand --with-network 'Let scripts use the network'
            cand --warn-only 'Take what comes of a template although it printed an error'
            cand --skip-final-phase 'Stop after the build script'
            cand --checksum 'Write SHA256SUMS of everything that a build writes'
            cand --sign 'Sign SHA256SUMS with gpg'
            cand --bmap 'Write a block map for bmaptool'
            cand --password-is-hashed 'Password is a crypt(3) hash'
            cand --autologin 'Log root in on the console'
            cand --qemu-headless 'Show a virtual machine''s serial console instead of a window'
            cand --network-veth 'Connect a container or virtual machine to the host by a virtual network link'
            cand --netdev 'Configure the network devices of the image'
            cand --ssh 'Put an ssh server into the image, which accepts a key made for it: see `mkosi ssh`'
            cand -a 'Do it for every mkosi.* file of the all-directory'
            cand --all 'Do it for every mkosi.* file of the all-directory'
            cand --json 'Answer in JSON'
            cand -v 'Say more; with summary: where each value came from'
            cand --verbose 'Say more; with summary: where each value came from'
            cand --keep 'Keep the working directory of a build that fails, to look into'
            cand --wait 'Wait for another run that builds the same output, instead of failing'
            cand --update-lock 'Write the lock file: the packages of this build, each with its version and checksum'
            cand --version 'Print the version'
            cand -h 'Say what every verb and flag is for'
            cand --help 'Say what every verb and flag is for'
        }
    ]
    $completions[$command]
}

var flags~ = $edit:completion:arg-completer[mkosi]
var verbs = [build clean summary init check plan why doctor diff shell boot qemu ssh genkey secret secrets modes completion help]
var known = [
    &completion=[bash zsh fish elvish]
    &modes=[record apply]
    &secrets=[reveal]
    &-d=[fedora debian ubuntu arch opensuse mageia centos centos_epel clear alpine]
    &--distribution=[fedora debian ubuntu arch opensuse mageia centos centos_epel clear alpine]
    &-r=[10 10-stream 15.0 15.1 15.2 15.3 15.4 15.5 15.6 16.0 16.1 25 26 27 28 29 3.10 3.11 3.12 3.13 3.14 3.15 3.16 3.17 3.18 3.19 3.20 3.21 3.22 3.23 3.24 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 7 8 8-stream 9 9-stream artful bionic bookworm bullseye buster cauldron cosmic disco edge eoan focal forky groovy hirsute impish jammy kinetic latest lunar mantic noble oracular plucky questing rawhide resolute rolling sid stonking stretch trixie tumbleweed xenial yakkety zesty]
    &--release=[10 10-stream 15.0 15.1 15.2 15.3 15.4 15.5 15.6 16.0 16.1 25 26 27 28 29 3.10 3.11 3.12 3.13 3.14 3.15 3.16 3.17 3.18 3.19 3.20 3.21 3.22 3.23 3.24 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 7 8 8-stream 9 9-stream artful bionic bookworm bullseye buster cauldron cosmic disco edge eoan focal forky groovy hirsute impish jammy kinetic latest lunar mantic noble oracular plucky questing rawhide resolute rolling sid stonking stretch trixie tumbleweed xenial yakkety zesty]
    &--architecture=[x86_64 i686 aarch64 armv7l riscv64 ppc64le s390x loongarch64]
    &-t=[directory subvolume tar gpt_ext4 gpt_xfs gpt_btrfs gpt_squashfs plain_squashfs]
    &--format=[directory subvolume tar gpt_ext4 gpt_xfs gpt_btrfs gpt_squashfs plain_squashfs]
    &-f=[yes no NUMBER]
    &--force=[yes no NUMBER]
    &--boot-protocols=[uefi bios]
    &--encrypt=[all data]
    &--compress=[yes no zlib lzo zstd lz4 xz]
    &--compress-fs=[yes no zlib lzo zstd lz4 xz]
    &--compress-output=[yes no xz zstd gz bz2]
    &--manifest-format=[json changelog packages]
    &--source-file-transfer=[copy-all copy-git-cached copy-git-others mount]
    &--base-packages=[yes no conditional]
    &--clean-package-metadata=[yes no auto]
    &--source-file-transfer-final=[copy-all copy-git-cached copy-git-others mount]
    &--qemu-kvm=[yes no auto]
    &--debug=[run]
    &--progress=[auto terminal plain json]
]
set edit:completion:arg-completer[mkosi] = {|@words|
    var last = $words[-1]
    var before = $words[-2]
    if (has-key $known $before) {
        all $known[$before]
    } elif (str:has-prefix $last '-') {
        var flag = (str:split &max=2 '=' $last | take 1)
        if (and (str:contains $last '=') (has-key $known $flag)) {
            each {|value| put $flag'='$value } $known[$flag]
        } else {
            flags $@words
        }
    } else {
        all $verbs
        edit:complete-filename $last
    }
}
