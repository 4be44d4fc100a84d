"""Time and memory against size: whether twice as much takes twice as long."""
import os
import shutil
import statistics
import subprocess

from benchmarks.measure import MKOSI, costs, project

# What one unit may cost at the largest size, of what it costs at the smallest.
MOST = 1.3

HEADER = "[Distribution]\nDistribution=debian\nRelease=bookworm\n[Output]\nFormat=%s\nOutput=%s\n"


def scale(runs, scratch):
    """In memory: file systems on disks have costs of their own. ext4 without a journal, for one, looks at every
    file that was removed in the last minutes whenever it makes one."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80%", "tmpfs", scratch], check=True)
    try:
        lines(runs, scratch)
    finally:
        subprocess.run(["umount", scratch], check=True)


def lines(runs, scratch):
    print("  seconds, processor seconds and peak memory; the last column is the processor time of one unit")
    for name, sizes, unit, prepare in (
        ("summary, drop-ins", (125, 250, 500), "file", drop_ins),
        ("summary, packages", (250, 500, 1000), "package", named),
        ("plan, packages", (250, 500, 1000), "package", planned),
        ("directory, files", (50_000, 100_000, 200_000), "file", of_files("directory")),
        ("gpt_ext4, files", (50_000, 100_000, 200_000), "file", of_files("gpt_ext4")),
        ("gpt_btrfs, files", (50_000, 100_000, 200_000), "file", of_files("gpt_btrfs")),
        ("tar, files", (50_000, 100_000, 200_000), "file", of_files("tar")),
        ("diff, files", (50_000, 100_000, 200_000), "file", compared),
        ("directory, paths of 4000 bytes", (500, 1000, 2000), "file", long_paths),
        ("gpt_ext4, MB", (750, 1500, 3000), "MB", bytes_in("gpt_ext4")),
    ):
        line(name, sizes, unit, prepare, runs, scratch)


def line(name, sizes, unit, prepare, runs, scratch):
    """Measures one series and says whether it is a straight line."""
    points = []
    for size in sizes:
        where = os.path.join(scratch, "project")
        command = prepare(where, size)
        measured = []
        for _ in range(runs):
            measured.append(costs(command)[:3])
        seconds, processor, memory = (statistics.median(column) for column in zip(*measured))
        points.append((size, processor))
        print(f"  {name:<32} {size:>7} {seconds:8.2f} s {processor:8.3f} s {memory:7.0f} MB"
              f" {processor / size * 1e6:10.0f} us per {unit}", flush=True)
        shutil.rmtree(where)
    (least, first), *_, (most, last) = points
    ratio = (last / most) / (first / least)
    print(f"  {name:<32} {'':>7} one {unit} costs {ratio:.2f} of what it did (at most {MOST}):"
          f" {'kept' if ratio <= MOST else 'MISSED'}")


def drop_ins(where, count):
    files = {
        f"mkosi.default.d/{i:03}.conf":
            f"[Packages]\nPackages=package-{i} !other-{i}\nEnvironment=V{i}={i}\n[Output]\nHostname=h{i}\n"
        for i in range(count)
    }
    project(where, HEADER % ("gpt_ext4", "image.raw"), files)
    return [MKOSI, "-C", where, "summary"]


def named(where, count):
    names = "".join(f"  package-{i}\n" for i in range(count))
    project(where, HEADER % ("gpt_ext4", "image.raw") + "[Packages]\nPackages=\n" + names, {})
    return [MKOSI, "-C", where, "summary"]


def planned(where, count):
    named(where, count)
    return [MKOSI, "-C", where, "plan"]


def base(where):
    """A tree that costs nothing: what is measured comes from the extra tree."""
    project(os.path.join(where, "base"), "", {"usr/lib/os-release": "ID=debian\nVERSION_ID=12\n"})
    os.unlink(os.path.join(where, "base", "mkosi.default"))
    return "[Packages]\nExtraTrees=extra\n[Distribution]\nBaseImage=base\n"


def build(where, form):
    output = "tree" if form == "directory" else "image"
    project(where, HEADER % (form, output) + base(where), {})
    return [MKOSI, "-C", where, "--force", "build"]


def fill(top, count):
    """So many small files, a hundred to a directory."""
    for number in range(count):
        if number % 100 == 0:
            directory = os.path.join(top, f"d{number // 10_000}", f"e{number // 100}")
            os.makedirs(directory)
        with open(os.path.join(directory, f"file-{number}"), "w") as f:
            f.write(f"{number}\n" * 50)


def of_files(form):
    def prepare(where, count):
        fill(os.path.join(where, "extra"), count)
        return build(where, form)
    return prepare


def compared(where, count):
    fill(os.path.join(where, "a"), count)
    shutil.copytree(os.path.join(where, "a"), os.path.join(where, "b"))
    return [MKOSI, "-C", where, "diff", "a", "b"]


def long_paths(where, count):
    """Each in a directory whose path takes 3,700 bytes; the last is a directory of its own."""
    top = os.path.join(where, "extra")
    os.makedirs(top)
    at = os.open(top, os.O_DIRECTORY)
    for _ in range(15):
        os.mkdir("d" * 240, dir_fd=at)
        below = os.open("d" * 240, os.O_DIRECTORY, dir_fd=at)
        os.close(at)
        at = below
    for number in range(count):
        name = f"{number:0240}"
        os.mkdir(name, dir_fd=at)
        os.close(os.open(f"{name}/x", os.O_CREAT | os.O_WRONLY, dir_fd=at))
    os.close(at)
    return build(where, "directory")


def bytes_in(form):
    def prepare(where, megabytes):
        top = os.path.join(where, "extra")
        os.makedirs(top)
        piece = os.urandom(1 << 20)
        for number in range(megabytes // 3):
            with open(os.path.join(top, f"file-{number}"), "wb") as f:
                for _ in range(3):
                    f.write(number.to_bytes(4, "little") + piece[4:])
        return build(where, form)
    return prepare
