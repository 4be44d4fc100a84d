"""What is made of a finished image: checksums and compressed files."""
import os
import statistics
import subprocess
import time

from benchmarks.measure import measured, row, steps


def artifacts(runs, scratch):
    program = steps("artifacts")
    data = os.path.join(scratch, "image")
    out = os.path.join(scratch, "out")
    for megabytes in (250, 2048):
        like_a_system(data, megabytes)
        for name, words, theirs in (
            ("SHA256SUMS", ["digest"], ["sha256sum", data]),
            ("xz", ["xz", out], ["xz", "-T0", "-k", "-c", data]),
            ("zstd", ["zstd", out], ["zstd", "-T0", "-q", "-c", data]),
            ("xz with checksum and map", ["xz", out, "map", "digest"], ["xz", "-T0", "-k", "-c", data]),
        ):
            if name.startswith("xz") and megabytes > 250:
                continue  # minutes, and no other result
            mine, others, memory = [], [], 0
            # Nothing to warm up in what takes most of a minute.
            for index in range(1, 2) if name.startswith("xz") else range(runs + 1):
                if os.path.exists(out):
                    os.unlink(out)
                seconds, used, _ = measured([program, data, *words])
                memory = max(memory, used)
                with open(out + ".theirs", "wb") as target:
                    start = time.monotonic()
                    subprocess.run(theirs, stdout=target, check=True)
                    reference = time.monotonic() - start
                if index > 0:  # the first only warms up
                    mine.append(seconds)
                    others.append(reference)
            row(f"{name} of {megabytes} MB", mine)
            row(" ".join(theirs[:2]).replace(data, ""), others)
            mid, base = statistics.median(mine), statistics.median(others)
            print(f"  {mid / base:.2f} of its time (at most {1.0 if name == 'SHA256SUMS' else 1.1}); "
                  f"at most {memory:.0f} MB of memory (below 300)")


def like_a_system(path, megabytes):
    """A file that compresses about as an installed system does."""
    with open(path, "wb") as target:
        left = megabytes << 20
        for directory, _, files in sorted(os.walk("/usr/lib")):
            for name in sorted(files):
                source = os.path.join(directory, name)
                if left == 0 or os.path.islink(source) or not os.path.isfile(source):
                    continue
                with open(source, "rb") as f:
                    content = f.read(left)
                target.write(content)
                left -= len(content)
        while left:
            content = os.urandom(min(left, 1 << 20)) if left % (3 << 20) else bytes(min(left, 1 << 20))
            target.write(content)
            left -= len(content)
