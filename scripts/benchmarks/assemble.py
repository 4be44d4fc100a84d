"""Everything after the packages are installed."""
import json
import os
import shutil
import statistics
import subprocess
import sys

from benchmarks.measure import MKOSI, SETTINGS, packages, project, row, timed


def assemble(runs, scratch):
    settings = SETTINGS.replace("{cache}", packages())
    names = "git iproute2 nano openssh-server python3"
    extra = {"mkosi.extra/etc/motd": "benchmark\n"}
    # The same tree as a directory, for the other side.
    directory = os.path.join(scratch, "directory")
    project(directory, settings % ("directory", "tree", names), extra)
    timed([MKOSI, "-C", directory, "--force", "build"])
    tree = os.path.join(directory, "tree")
    size = int(subprocess.check_output(["du", "-sxm", tree]).split()[0])
    print(f"  tree of {size} MB")

    disk = os.path.join(scratch, "disk")
    project(disk, settings % ("gpt_ext4", "image.raw", names), extra)
    ours, theirs = [], []
    copy = os.path.join(scratch, "copy")
    image = os.path.join(scratch, "copy.raw")
    for index in range(runs + 1):
        _, events = timed([MKOSI, "-C", disk, "--progress=json", "--force", "build"])
        seconds = after_install(events)
        reference = timed(["cp", "-a", tree, copy])[0]
        with open(image, "w") as f:
            f.truncate(1 << 30)
        reference += timed(["mkfs.ext4", "-q", "-d", copy, image])[0]
        shutil.rmtree(copy)
        os.unlink(image)
        if index > 0:  # the first only warms up
            ours.append(seconds)
            theirs.append(reference)
    mid = row("mkosi, from extra trees to the published image", ours)
    base = row("cp -a + mkfs.ext4 -d of the same tree", theirs)
    print(f"  ratio of medians {mid / base:.2f}, pair by pair "
          f"{statistics.median(a / b for a, b in zip(ours, theirs)):.2f} (at most 1.5)")


def after_install(events):
    """Seconds from the end of the installation to the end of the build."""
    finished = None
    total = None
    for line in events.decode().splitlines():
        event = json.loads(line)
        if event["event"] == "step-finished" and "Installing" in event["title"]:
            finished = event["at"]
        if event["event"] == "build-finished":
            total = event["at"]
    if finished is None or total is None:
        sys.exit("the build did not report its installation")
    return total - finished
