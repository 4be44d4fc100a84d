"""Rebuilds from cached trees, and several builds that share work."""
import os
import shutil
import statistics
import subprocess
import sys

from benchmarks.measure import MKOSI, SETTINGS, at_most, packages, project, row, step_seconds, timed


def layers(runs, scratch):
    settings = SETTINGS.replace("{cache}", packages())
    names = "git iproute2 nano openssh-server python3"
    extra = {"mkosi.extra/etc/motd": "benchmark\n"}
    directory, disk = os.path.join(scratch, "directory"), os.path.join(scratch, "disk")
    project(directory, settings % ("directory", "tree", names), extra)
    project(disk, settings % ("gpt_ext4", "image.raw", names), extra)
    # Both outputs share one store.
    for where in (directory, disk):
        timed([MKOSI, "-C", where, "-if", "-O", scratch, "build"])
    tree = os.path.join(scratch, "tree")
    size = int(subprocess.check_output(["du", "-sxm", tree]).split()[0])
    print(f"  tree of {size} MB")
    copy, image = os.path.join(scratch, "copy"), os.path.join(scratch, "copy.raw")
    figures = {name: [] for name in ("disk", "mkfs", "directory", "cp", "outside", "outside directory")}
    for index in range(runs + 1):
        one = {}
        for where, name in ((disk, "disk"), (directory, "directory")):
            with open(os.path.join(where, "mkosi.extra/etc/motd"), "w") as f:
                f.write(f"benchmark {index}\n")
            one[name], _ = timed([MKOSI, "-C", where, "--progress=json", "-if", "-O", scratch, "build"])
        # Nothing changed: what is not the file-system tool's.
        seconds, events = timed([MKOSI, "-C", disk, "--progress=json", "-if", "-O", scratch, "build"])
        one["outside"] = seconds - step_seconds(events, "Writing the disk image")
        seconds, events = timed([MKOSI, "-C", directory, "--progress=json", "-if", "-O", scratch, "build"])
        one["outside directory"] = seconds - step_seconds(events, "Finishing the directory")
        with open(image, "w") as f:
            f.truncate(1 << 30)
        one["mkfs"] = timed(["mkfs.ext4", "-q", "-d", tree, image])[0]
        os.unlink(image)
        one["cp"] = timed(["cp", "-a", tree, copy])[0]
        shutil.rmtree(copy)
        if index > 0:  # the first only warms up
            for name, value in one.items():
                figures[name].append(value)
    row("mkosi -i, gpt_ext4, one extra file changed", figures["disk"])
    row("mkfs.ext4 -d of the same tree", figures["mkfs"])
    at_most(figures["disk"], figures["mkfs"], 1.2, 0.5)
    row("mkosi -i, directory, one extra file changed", figures["directory"])
    row("cp -a of the same tree", figures["cp"])
    at_most(figures["directory"], figures["cp"], 1, 0.5)
    row("mkosi -i, nothing changed, without writing the image", figures["outside"])
    at_most(figures["outside"], [0], 1, 0.3)
    row("the same for the directory, without copying it", figures["outside directory"])


def phases(runs, scratch):
    settings = SETTINGS.replace("{cache}", packages())
    final, development = "nano iproute2", "gcc make libc6-dev"
    once, twice = os.path.join(scratch, "once"), os.path.join(scratch, "twice")
    project(once, settings % ("directory", "tree", f"{final} {development}"), {})
    script = {"mkosi.build": "#!/bin/sh\nmkdir -p $DESTDIR/usr/bin\necho > $DESTDIR/usr/bin/built\n"}
    project(twice, settings % ("directory", "tree", final) + f"BuildPackages={development}\n", script)
    os.chmod(os.path.join(twice, "mkosi.build"), 0o755)
    ours, theirs = [], []
    for index in range(min(runs, 3) + 1):
        one = [timed([MKOSI, "-C", where, "-f", "build"])[0] for where in (once, twice)]
        if index > 0:  # the first only warms up
            theirs.append(one[0])
            ours.append(one[1])
    row("two phases", ours)
    row("all packages installed at once", theirs)
    at_most(ours, theirs, 1.15, 0)


def all_images(runs, scratch):
    cache = packages()
    for form in ("gpt_ext4", "directory"):
        directory = os.path.join(scratch, form)
        files = {}
        for number in range(10):
            files[f"mkosi.files/mkosi.{number}"] = f"""[Distribution]
Distribution=debian
Release=bookworm
[Output]
Format={form}
Output=image{number}
OutputDirectory=out
Hostname=host{number}
[Packages]
Cache={cache}
ExtraTrees=extra{number}
"""
            files[f"extra{number}/etc/motd"] = f"{number}\n"
        project(directory, "", files)
        output = os.path.join(directory, "out")
        one, ten = [], []
        for index in range(runs + 1):
            first = timed([MKOSI, "-C", directory, "--default=mkosi.files/mkosi.0", "build"])[0]
            shutil.rmtree(output)
            all_of_them = timed([MKOSI, "-C", directory, "--all", "build"])[0]
            built = [n for n in range(10) if os.path.exists(os.path.join(output, f"image{n}"))]
            if len(built) != 10:
                sys.exit(f"only {built} were built")
            shutil.rmtree(output)
            if index > 0:  # the first only warms up
                one.append(first)
                ten.append(all_of_them)
        base = row(f"one {form} image", one)
        mid = row("ten of them with --all", ten)
        print(f"  ratio of medians {mid / base:.2f}, pair by pair "
              f"{statistics.median(a / b for a, b in zip(ten, one)):.2f} (at most 3)")
