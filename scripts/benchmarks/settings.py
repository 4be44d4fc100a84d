"""Reading a project's settings."""
import os

from benchmarks.measure import MKOSI, project, row, timed


def summary(runs, scratch):
    drop_ins = {
        f"mkosi.default.d/{i:02}-part.conf": f"[Packages]\nPackages=package-{i}\n[Output]\nHostname=h{i}\n"
        for i in range(10)
    }
    project(scratch, "[Distribution]\nDistribution=debian\n[Output]\nFormat=gpt_ext4\n", drop_ins)
    command = [MKOSI, "-C", scratch, "summary"]
    timed(command)
    figures = [timed(command)[0] * 1000 for _ in range(max(runs, 20))]
    row("mkosi summary, 10 drop-ins", figures, "ms")
