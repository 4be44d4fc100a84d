"""Debian's packages into an empty tree, beside mmdebstrap and debootstrap."""
import hashlib
import json
import os
import shutil

from benchmarks.measure import MKOSI, SCRATCH, SETTINGS, measured, project, row, timed


# Packages of a desktop and a server; with what they need, more than 300 besides the minimal system.
MANY = ("at avahi-daemon build-essential ca-certificates cron fontconfig fuse3 git gnupg iputils-ping "
        "libgl1-mesa-dri lightdm locales logrotate man-db molly-guard mtr-tiny network-manager nginx "
        "openssh-server python3 rsyslog screen sudo tmux udisks2 uidmap vim xauth xfce4-panel "
        "xfce4-session xfwm4 xserver-xorg-core xterm zsh").split()
# What every bootable Debian of mkosi has besides the essential packages.
BASE = ["dbus", "libpam-systemd", "login", "systemd", "systemd-sysv"]


def install_minimal(runs, scratch):
    install(runs, scratch, "minimal", [], 0.30)


def install_large(runs, scratch):
    install(runs, scratch, "with 300 packages more", MANY, 0.45)


def install(runs, scratch, name, packages, limit):
    repository = the_repository(scratch)
    cache = os.path.join(scratch, "cache")
    os.makedirs(cache)
    mirror = f"LocalMirror=file://{repository}\nRepositoryKeyCheck=no\n[Output]"
    settings = SETTINGS.replace("[Output]", mirror).replace("{cache}", cache)
    directory = os.path.join(scratch, "project")
    project(directory, settings % ("directory", "tree", " ".join(packages)), {})
    ours, theirs, others, memory = [], [], [], 0
    for index in range(runs + 1):
        # Nothing is removed between runs: ext4 without a journal passes over every file that was deleted
        # in the last minutes, one by one, whenever it makes a file, and the next tool would pay for it.
        beside = os.path.join(scratch, str(index))
        seconds, peak = install_with_mkosi(directory, empty(beside, "mkosi"))
        reference = install_with_mmdebstrap(repository, BASE + packages, empty(beside, "mmdebstrap"))
        other = None if packages else install_with_debootstrap(repository, BASE, empty(beside, "debootstrap"))
        if index > 0:  # the first only warms up
            ours.append(seconds)
            theirs.append(reference)
            others.append(other)
            memory = max(memory, peak)
    mid = row(f"mkosi, {name}", ours)
    base = row(f"mmdebstrap, {name}", theirs)
    print(f"  ratio of medians {mid / base:.2f} (at most {limit:.2f}); peak memory {memory:.0f} MB (at most 300)")
    if not packages:
        base = row(f"debootstrap, {name}", others)
        print(f"  ratio of medians {mid / base:.2f} (at most 0.12)")


def the_repository(scratch):
    """A repository on the disk of what a first build downloads; made once."""
    repository = os.path.join(SCRATCH, "repository")
    if os.path.exists(repository):
        return repository
    cache = os.path.join(SCRATCH, "install-packages")
    os.makedirs(cache, exist_ok=True)
    first = os.path.join(scratch, "first")
    project(first, SETTINGS.replace("{cache}", cache) % ("directory", "tree", " ".join(MANY)), {})
    timed([MKOSI, "-C", first, "--force", "build"])
    shutil.rmtree(first)
    making = os.path.join(scratch, "repository")
    make_repository(cache, making)
    os.rename(making, repository)
    return repository


def make_repository(cache, repository):
    """An unsigned repository of the packages in a cache, described as their own repository does."""
    stanzas = {}
    lists = os.path.join(cache, "apt")
    for directory, _, names in os.walk(lists):
        for name in names:
            if name.endswith("_Packages"):
                with open(os.path.join(directory, name)) as f:
                    for stanza in f.read().split("\n\n"):
                        fields = dict(line.split(": ", 1) for line in stanza.split("\n")
                                      if line.startswith(("Package: ", "Version: ", "Architecture: ")))
                        if fields:
                            version = fields["Version"].replace(":", "%3a")
                            stanzas[f"{fields['Package']}_{version}_{fields['Architecture']}.deb"] = stanza
    pool = os.path.join(repository, "pool")
    index = os.path.join(repository, "dists/bookworm/main/binary-amd64")
    os.makedirs(pool)
    os.makedirs(index)
    packages = []
    for number, name in enumerate(sorted(os.listdir(cache))):
        if name in stanzas:
            os.link(os.path.join(cache, name), os.path.join(pool, f"{number}.deb"))
            lines = [line for line in stanzas[name].split("\n") if not line.startswith("Filename: ")]
            packages.append("\n".join(lines + [f"Filename: pool/{number}.deb"]))
    content = "\n\n".join(packages) + "\n\n"
    with open(os.path.join(index, "Packages"), "w") as f:
        f.write(content)
    digest = hashlib.sha256(content.encode()).hexdigest()
    with open(os.path.join(repository, "dists/bookworm/Release"), "w") as f:
        f.write("Suite: bookworm\nCodename: bookworm\nArchitectures: amd64\nComponents: main\n"
                "Date: Thu, 01 Jan 2026 00:00:00 UTC\n"
                f"SHA256:\n {digest} {len(content.encode())} main/binary-amd64/Packages\n")


def install_with_mkosi(directory, output):
    """Seconds of the step that installs, and the memory of the largest process in MB."""
    _, memory, said = measured([MKOSI, "-C", directory, "-O", output, "--progress=json", "build"])
    times = {}
    for line in said.splitlines():
        if line.startswith("{"):
            event = json.loads(line)
            if "Installing" in event.get("title", ""):
                times[event["event"]] = event["at"]
    return times["step-finished"] - min(times.values()), memory


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
    return timed(["mmdebstrap", "--mode=root", "--format=directory", "--variant=minbase", "--architectures=amd64",
                  "--skip=check/empty,check/signed-by,cleanup/apt", "--dpkgopt=force-unsafe-io",
                  f"--include={','.join(packages + ['usr-is-merged'])}", "bookworm", tree,
                  f"deb [trusted=yes] copy:{repository} bookworm main"])[0]


def install_with_debootstrap(repository, packages, tree):
    return timed(["debootstrap", "--variant=minbase", "--no-check-gpg", "--merged-usr",
                  f"--include={','.join(packages + ['usr-is-merged'])}", "bookworm", tree,
                  f"file://{repository}"])[0]
