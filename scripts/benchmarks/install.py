"""Debian's packages into an empty tree, beside mmdebstrap and debootstrap."""
import gzip
import hashlib
import json
import lzma
import os
import shutil

from benchmarks.measure import MKOSI, SCRATCH, SETTINGS, costs, project, row, timed


# Packages of a desktop and a server; with what they need, more than 300 besides the minimal system.
MANY = ("at avahi-daemon build-essential ca-certificates cron fontconfig fuse3 git gnupg iputils-ping "
        "libgl1-mesa-dri lightdm locales logrotate man-db molly-guard mtr-tiny network-manager nginx "
        "openssh-server python3 rsyslog screen sudo tmux udisks2 uidmap vim xauth xfce4-panel "
        "xfce4-session xfwm4 xserver-xorg-core xterm zsh").split()
# What every bootable Debian of mkosi has besides the essential packages.
BASE = ["dbus", "libpam-systemd", "login", "systemd", "systemd-sysv"]


# An index of the packages in the pool alone, which every tool reads in no time, and one of all of Debian's
# packages, as a mirror has it, for which the limits hold.
INDICES = {"small": "index of the packages used", "whole": "whole index"}


# Each build makes copies while scripts run, which of a minimal system are soon done.
BUILDS_BEFORE = 6


def install_minimal(runs, scratch):
    for index in INDICES:
        install(runs, scratch, index, "minimal", [], 0.30)


def install_large(runs, scratch):
    for index in INDICES:
        install(runs, scratch, index, "with 300 packages more", MANY, 0.45)


def install(runs, scratch, index, name, packages, limit):
    """The limits hold for a cache that has had some builds, with the packages, what apt chose and copies that
    are fast to decompress, and for the first build, which has none of it. Processor time is that of the whole
    command, and steadier where others work beside it."""
    repository = the_repository(scratch, index)
    scratch = os.path.join(scratch, index)
    mirror = f"LocalMirror=file://{repository}\nRepositoryKeyCheck=no\n[Output]"
    settings = SETTINGS.replace("[Output]", mirror) % ("directory", "tree", " ".join(packages))
    directory, cold = os.path.join(scratch, "project"), os.path.join(scratch, "cold")
    project(directory, settings.replace("{cache}", empty(scratch, "cache")), {})
    ours, first, theirs, others, memory = [], [], [], [], 0
    processor = {"mkosi": [], "mkosi, empty cache": [], "mmdebstrap": []}
    for number in range(BUILDS_BEFORE):
        install_with_mkosi(directory, empty(os.path.join(scratch, "before", str(number)), "mkosi"))
    for number in range(runs + 1):
        # Nothing is removed between runs: ext4 without a journal passes over every file that was deleted
        # in the last minutes, one by one, whenever it makes a file, and the next tool would pay for it.
        beside = os.path.join(scratch, str(number))
        seconds, work, peak = install_with_mkosi(directory, empty(beside, "mkosi"))
        project(cold, settings.replace("{cache}", empty(beside, "cache")), {})
        uncached, cold_work, _ = install_with_mkosi(cold, empty(beside, "cold"))
        reference, reference_work = install_with_mmdebstrap(repository, BASE + packages, empty(beside, "mmdebstrap"))
        other = None if packages else install_with_debootstrap(repository, BASE, empty(beside, "debootstrap"))
        if number > 0:  # the first only warms up
            ours.append(seconds)
            first.append(uncached)
            theirs.append(reference)
            others.append(other)
            for figures, figure in zip(processor.values(), [work, cold_work, reference_work]):
                figures.append(figure)
            memory = max(memory, peak)
    print(f"  {INDICES[index]}:")
    mid = row(f"mkosi, {name}", ours)
    first = row(f"mkosi, {name}, empty cache", first)
    for tool, times, most in [("mmdebstrap", theirs, limit), ("debootstrap", others, 0.12)]:
        if None not in times:
            base = row(f"{tool}, {name}", times)
            bound = f" (at most {most:.2f})" if index == "whole" else ""
            print(f"  ratio of medians {mid / base:.2f}{bound}, with an empty cache {first / base:.2f}{bound}")
    for tool, figures in processor.items():
        row(f"{tool}, processor time", figures)
    print(f"  peak memory {memory:.0f} MB (at most 300)")


def the_repository(scratch, index):
    """A repository on the disk of what a first build downloads; made once."""
    repositories = os.path.join(SCRATCH, "repositories")
    if not os.path.exists(repositories):
        cache = os.path.join(SCRATCH, "install-packages")
        os.makedirs(cache, exist_ok=True)
        first = os.path.join(scratch, "first")
        project(first, SETTINGS.replace("{cache}", cache) % ("directory", "tree", " ".join(MANY)), {})
        timed([MKOSI, "-C", first, "--force", "build"])
        shutil.rmtree(first)
        making = os.path.join(scratch, "repositories")
        make_repositories(cache, making)
        os.rename(making, repositories)
    return os.path.join(repositories, index)


def make_repositories(cache, directory):
    """Unsigned repositories of the packages in a cache, described as their own repository does."""
    stanzas, pool = described(cache), {}
    for number, name in enumerate(sorted(os.listdir(cache))):
        if name in stanzas:
            fields, stanza = stanzas[name]
            lines = [line for line in stanza.split("\n") if not line.startswith("Filename: ")]
            pool[fields["Package"]] = (name, f"pool/{number}.deb", "\n".join(lines))
    for index in INDICES:
        repository = os.path.join(directory, index)
        os.makedirs(os.path.join(repository, "pool"))
        for name, path, _ in pool.values():
            os.link(os.path.join(cache, name), os.path.join(repository, path))
    packages = {package: f"{stanza}\nFilename: {path}" for package, (_, path, stanza) in pool.items()}
    write_index(os.path.join(directory, "small"), packages, [])
    # One version of each package, so that all tools agree on what to install.
    packages.update((fields["Package"], stanza) for fields, stanza in stanzas.values()
                    if fields["Package"] not in packages)
    write_index(os.path.join(directory, "whole"), packages, [("xz", lzma.compress), ("gz", gzip.compress)])


def described(cache):
    """What the lists in a cache say of packages, by the names of their files in the cache."""
    stanzas = {}
    for directory, _, names in os.walk(os.path.join(cache, "apt")):
        for name in names:
            if name.endswith("_Packages"):
                with open(os.path.join(directory, name)) as f:
                    for stanza in f.read().split("\n\n"):
                        fields = dict(line.split(": ", 1) for line in stanza.split("\n")
                                      if line.startswith(("Package: ", "Version: ", "Architecture: ")))
                        if fields:
                            version = fields["Version"].replace(":", "%3a")
                            stanzas[f"{fields['Package']}_{version}_{fields['Architecture']}.deb"] = fields, stanza
    return stanzas


def write_index(repository, packages, compressions):
    """The index of packages, as it is or compressed in these ways, and its checksums."""
    directory = os.path.join(repository, "dists/bookworm/main/binary-amd64")
    os.makedirs(directory)
    plain = "".join(packages[name].strip("\n") + "\n\n" for name in sorted(packages)).encode()
    files = {"Packages": plain, **{f"Packages.{kind}": compress(plain) for kind, compress in compressions}}
    # A mirror tells the checksum of the index as it is, too, but does not have it.
    for name in list(files)[1 if compressions else 0:]:
        with open(os.path.join(directory, name), "wb") as f:
            f.write(files[name])
    sums = "".join(f" {hashlib.sha256(content).hexdigest()} {len(content)} main/binary-amd64/{name}\n"
                   for name, content in files.items())
    with open(os.path.join(repository, "dists/bookworm/Release"), "w") as f:
        f.write("Suite: bookworm\nCodename: bookworm\nArchitectures: amd64\nComponents: main\n"
                f"Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n{sums}")


def install_with_mkosi(directory, output):
    """Seconds of the step that installs, of processor time of the whole command, and the memory of the largest
    process in MB."""
    os.sync()  # what others have left to be written is not this one's burden; likewise below
    _, processor, memory, said = costs([MKOSI, "-C", directory, "-O", output, "--progress=json", "build"])
    times = {}
    for line in said.splitlines():
        if line.startswith("{"):
            event = json.loads(line)
            if "Installing" in event.get("title", ""):
                times[event["event"]] = event["at"]
    return times["step-finished"] - min(times.values()), processor, memory


def empty(directory, name):
    path = os.path.join(directory, name)
    os.makedirs(path)
    return path


def install_with_mmdebstrap(repository, packages, tree):
    # As mkosi prepares the tree for mmdebstrap: without these links and this entry, usrmerge and perl
    # come in.
    for name in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"]:
        os.makedirs(os.path.join(tree, "usr", name))
        os.symlink(f"usr/{name}", os.path.join(tree, name))
    status = ("Package: usr-is-merged\nStatus: install ok installed\nMaintainer: mkosi\n"
              "Architecture: all\nMulti-Arch: foreign\nVersion: 0~\nDescription: x\n\n")
    nodoc = "".join(f"path-exclude=/usr/share/{d}/*\n" for d in ["doc", "man", "info", "groff", "lintian"])
    for path, content in (("var/lib/dpkg/status", status),
                          ("etc/dpkg/dpkg.cfg.d/01_nodoc", nodoc + "path-include=/usr/share/doc/*/copyright\n")):
        path = os.path.join(tree, path)
        os.makedirs(os.path.dirname(path))
        with open(path, "w") as f:
            f.write(content)
    os.sync()
    return costs(["mmdebstrap", "--mode=root", "--format=directory", "--variant=minbase", "--architectures=amd64",
                  "--skip=check/empty,check/signed-by,cleanup/apt", "--dpkgopt=force-unsafe-io",
                  f"--include={','.join(packages + ['usr-is-merged'])}", "bookworm", tree,
                  f"deb [trusted=yes] copy:{repository} bookworm main"])[:2]


def install_with_debootstrap(repository, packages, tree):
    os.sync()
    return timed(["debootstrap", "--variant=minbase", "--no-check-gpg", "--merged-usr",
                  f"--include={','.join(packages + ['usr-is-merged'])}", "bookworm", tree,
                  f"file://{repository}"])[0]
