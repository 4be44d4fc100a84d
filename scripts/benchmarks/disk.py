"""Parts of a disk image: hash trees, encryption, sparse files."""
import os
import statistics
import subprocess
import sys
import uuid

from benchmarks.measure import compare, measured, row, steps


def verity(runs, scratch):
    program = steps("disk")
    for megabytes in (250, 2048):
        data = os.path.join(scratch, "data")
        with open(data, "wb") as f:
            for _ in range(megabytes):
                f.write(os.urandom(1 << 20))
        ours, theirs, memory = [], [], 0
        for index in range(runs + 1):
            mine = os.path.join(scratch, "ours")
            seconds, used, said = measured([program, "verity", data, mine])
            other = os.path.join(scratch, "theirs")
            if os.path.exists(other):
                os.unlink(other)
            reference, _, printed = measured(
                ["veritysetup", "format", "--salt", "07" * 32, "--uuid", str(uuid.UUID(int=1)), data, other])
            if said.split()[-1] not in printed:
                sys.exit(f"the root hashes differ: {said} {printed}")
            subprocess.run(["cmp", mine, other], check=True)
            memory = max(memory, used)
            if index > 0:  # the first only warms up
                ours.append(seconds)
                theirs.append(reference)
        row(f"hash tree of {megabytes} MB", ours)
        row("veritysetup format", theirs)
        compare(ours, theirs, " (at least 1.6)")
        print(f"  at most {memory:.0f} MB of memory (below 300)")


def encrypt(runs, scratch):
    program = steps("disk")
    tree = os.path.join(scratch, "tree")
    os.mkdir(tree)
    for number in range(1000):
        with open(os.path.join(tree, str(number)), "wb") as f:
            f.write(os.urandom(256 << 10))
    passphrase = os.path.join(scratch, "passphrase")
    with open(passphrase, "w") as f:
        f.write("benchmark")
    plain, ours, theirs, memory = [], [], [], 0
    image = os.path.join(scratch, "image")
    for index in range(runs + 1):
        figures = []
        for words in ([], ["encrypted"]):
            seconds, used, _ = measured([program, "image", tree, image, *words])
            figures.append(seconds)
            memory = max(memory, used)
            used_blocks = os.stat(image).st_blocks
            os.unlink(image)
        with open(image, "w") as f:
            f.truncate(1 << 30)
        reference = measured(["mkfs.ext4", "-q", "-d", tree, image])[0]
        os.truncate(image, (1 << 30) + (32 << 20))
        reference += measured(
            ["cryptsetup", "reencrypt", "--encrypt", "--type=luks2", "--batch-mode", "--reduce-device-size=32M",
             "--pbkdf=argon2id", "--pbkdf-memory=262144", "--pbkdf-force-iterations=4", "--pbkdf-parallel=1",
             f"--key-file={passphrase}", image])[0]
        their_blocks = os.stat(image).st_blocks
        os.unlink(image)
        if index > 0:  # the first only warms up
            plain.append(figures[0])
            ours.append(figures[1])
            theirs.append(reference)
    row("ext4 image of 250 MB in 1 GB", plain)
    row("the same, encrypted", ours)
    row("mkfs.ext4 -d, cryptsetup reencrypt --encrypt", theirs)
    compare(ours, theirs, "")
    print(f"  {used_blocks / 2048:.0f} MB on the disk, theirs {their_blocks / 2048:.0f} MB; "
          f"at most {memory:.0f} MB of memory (below 300)")


def sparse(runs, scratch):
    program, disk = steps("artifacts"), steps("disk")
    tree = os.path.join(scratch, "tree")
    os.mkdir(tree)
    for number in range(1200):
        with open(os.path.join(tree, str(number)), "wb") as f:
            f.write(os.urandom(256 << 10))
    image, out = os.path.join(scratch, "image"), os.path.join(scratch, "out")
    chain = {
        "encrypted": lambda size: [disk, "image", tree, image, "encrypted", size],
        "sealed": lambda size: [disk, "image", tree, image, "sealed", size],
        "zstd, map, digest": lambda size: [program, image, "zstd", out, "map", "digest"],
        "qcow2": lambda size: ["qemu-img", "convert", "-O", "qcow2", image, out],
    }
    figures, blocks = {}, {}
    for index in range(runs + 1):
        for size in ("1", "20"):
            for step, command in chain.items():
                words = command(size)
                target = words[3] if words[0] == disk else out
                if os.path.exists(target):
                    os.unlink(target)
                seconds, used, _ = measured(words)
                if index > 0:
                    figures.setdefault((step, size), []).append((seconds, used))
                blocks[(step, size)] = os.stat(target).st_blocks >> 11
            os.unlink(image)
    for step in chain:
        small = row(f"{step}, 300 MB in 1 GB", [s for s, _ in figures[(step, "1")]])
        large = row(f"{step}, 300 MB in 20 GB", [s for s, _ in figures[(step, "20")]])
        most = max(m for size in ("1", "20") for _, m in figures[(step, size)])
        print(f"  {large / small:.2f} of the time; {blocks[(step, '1')]} and {blocks[(step, '20')]} MB on the disk; "
              f"at most {most:.0f} MB of memory (below 300)")
