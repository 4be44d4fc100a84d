"""What all benchmarks share: projects, times, and rows of figures."""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MKOSI = os.path.join(TOP, "target/release/mkosi")
SCRATCH = os.path.join(TOP, "target/bench")

SETTINGS = """[Distribution]
Distribution=debian
Release=bookworm
[Output]
Format=%s
Output=%s
[Packages]
Cache={cache}
Packages=%s
"""


def timed(command, **options):
    """Seconds that a command takes; its failure ends the run."""
    start = time.monotonic()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, **options)
    seconds = time.monotonic() - start
    if done.returncode != 0:
        sys.exit(f"{command}: {done.stderr.decode(errors='replace')}")
    return seconds, done.stdout


# A process begins with the peak of the one that started it (`ru_maxrss` is not reset by exec), and this
# one may have read all of Debian's package lists: a small one stands in between.
START = """
import json, os, sys, time
start = time.monotonic()
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
with open(int(sys.argv[1]), "w") as report:
    json.dump([time.monotonic() - start, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status),
               usage.ru_utime + usage.ru_stime], report)
"""


def measured(command):
    """Seconds that a command takes, the memory in MB of the largest of its processes, and what it says."""
    seconds, _, memory, text = costs(command)
    return seconds, memory, text


def costs(command):
    """As `measured`, with the seconds of processor time of all its processes after those on the clock."""
    reader, writer = os.pipe()
    with tempfile.TemporaryFile() as output, open(reader) as report:
        starter = subprocess.Popen([sys.executable, "-I", "-S", "-c", START, str(writer), *command],
                                   stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=[writer])
        os.close(writer)
        said = report.read()
        starter.wait()
        output.seek(0)
        text = output.read().decode(errors="replace")
    seconds, memory, code, processor = json.loads(said or "[0, 0, 1, 0]")
    if code != 0:
        sys.exit(f"{command}: {text}")
    return seconds, processor, memory, text


def project(directory, settings, files):
    os.makedirs(directory, exist_ok=True)
    for name, content in {"mkosi.default": settings, **files}.items():
        path = os.path.join(directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(content)


def packages():
    cache = os.path.join(SCRATCH, "packages")
    os.makedirs(cache, exist_ok=True)
    return cache


def row(name, figures, unit="s"):
    low, mid, high = min(figures), statistics.median(figures), max(figures)
    print(f"  {name:<44} {low:8.3f} {mid:8.3f} {high:8.3f} {unit}")
    return mid


def at_most(mine, base, factor, plus):
    a, b = statistics.median(mine), statistics.median(base)
    bound = factor * b + plus
    print(f"  {a:.3f} s, at most {factor} x {b:.3f} s + {plus} s = {bound:.3f} s: {'kept' if a <= bound else 'MISSED'}")


def compare(ours, theirs, bound):
    mid, base = statistics.median(ours), statistics.median(theirs)
    pairs = statistics.median(b / a for a, b in zip(ours, theirs))
    print(f"  {base / mid:.2f} times as fast, pair by pair {pairs:.2f}{bound}")


def step_seconds(events, title):
    lines = [json.loads(line) for line in events.decode().splitlines()]
    return sum(e["seconds"] for e in lines if e["event"] == "step-finished" and title in e["title"])


def steps(name):
    """The program that runs single steps, built if need be."""
    command = ["cargo", "bench", "--quiet", "--no-run", "--bench", name, "--message-format=json"]
    lines = subprocess.check_output(command, cwd=TOP).decode().splitlines()
    built = [json.loads(line) for line in lines if line.startswith("{")]
    return next(b["executable"] for b in built if b.get("executable") and b["target"]["name"] == name)
