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


def measured(command):
    """Seconds that a command takes, and the most memory in MB that it itself used."""
    with tempfile.TemporaryFile() as output:
        start = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if process.returncode != 0:
        sys.exit(f"{command}: {text}")
    return seconds, usage.ru_maxrss / 1024, text


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
