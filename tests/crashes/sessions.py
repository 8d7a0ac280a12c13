"""Starts runs that die at chosen write points, and compares what was resumed with a run that nothing disturbed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.launching import REPOSITORY
from tests.support.traces import assert_same

DYING = str(REPOSITORY / "tests" / "crashes" / "dying.py")
HERE = {"PYTHONPATH": str(REPOSITORY)}  # a script finds the package that stands beside the tests
KILLED = -9
PLAN = """
seed = 3
workers = 6
feedback = "residual"
data = { kind = "regression", rows = 48, features = 10 }
problem.kind = "least-squares"
algorithm = { kind = "first-order", rounds = 7, step = 0.05 }
compressor.kind = "l1-qsgd"
aggregator = { kind = "norm-trim", beta = 0.25 }
attack = { kind = "gaussian", alpha = 0.2 }
audit.every = 2
checkpoint.every = 3
"""


@dataclass(frozen=True)
class Session:
    """One start of `mpirobust run`, to die at the write point `at`; -1 to live."""

    out: Path
    at: int = -1
    how: str = "kill"
    more: tuple[str, ...] = ("--resume",)
    often: bool = True  # the trace is written after every round


@dataclass(frozen=True)
class End:
    """Exit code (minus the signal), output, and the write points that were passed: `step file`."""

    code: int
    said: str
    points: list[str]


@dataclass(frozen=True)
class Undisturbed:
    """The run that all others must equal, the write points that it passed, and its plan."""

    folder: Path
    points: list[str]
    plan: Path
    often: bool

    @classmethod
    def of(cls, folder: Path, text: str = PLAN, often: bool = True) -> Undisturbed:
        plan = folder / "plan.toml"
        plan.write_text(text)
        (end,) = carry_out(plan, [Session(folder / "run", often=often)])
        assert end.code == 0, end.said
        return cls(folder / "run", end.points, plan, often)

    def where(self, step: str, file: str = "") -> list[int]:
        """The places of the points of this step at files that are called so."""
        named = [each.split(" ") for each in self.points]
        return [at for at, (what, name) in enumerate(named) if what == step and name.startswith(file)]

    def promised(self, at: int) -> int:
        """The round of the newest checkpoint that was written for good before point `at`: another file was begun."""
        files = [each.partition(" ")[2] for each in self.points]
        written = [n for n in self.where("rename", "checkpoint") if set(files[n:at]) - {files[n]}]
        return max((round_of(self.points[n]) for n in written), default=0)


def round_of(point: str) -> int:
    return int(point.rpartition("-")[2].removesuffix(".h5"))


def carry_out(plan: Path, sessions: Sequence[Session]) -> list[End]:
    """What became of each; those of one folder one after the other, and two folders at a time."""
    folders = list(dict.fromkeys(each.out for each in sessions))
    halves = [[n for n, each in enumerate(sessions) if each.out in chosen] for chosen in (folders[::2], folders[1::2])]
    env = {**os.environ, **HERE, "OPENBLAS_NUM_THREADS": "1"}  # it forks: there must be one thread
    command = [sys.executable, DYING]
    running = []
    for half in halves:
        jobs = [_job(plan, sessions[n]) for n in half]
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
        )
        assert child.stdin is not None
        child.stdin.write(json.dumps(jobs))
        child.stdin.close()
        child.stdin = None
        running.append(child)
    found: dict[int, End] = {}
    for half, child in zip(halves, running, strict=True):
        out, err = child.communicate(timeout=600)
        assert child.returncode == 0, err
        found |= {n: End(**end) for n, end in zip(half, json.loads(out), strict=True)}
    return [found[n] for n in range(len(sessions))]


def _job(plan: Path, each: Session) -> list[Any]:
    cache = str(each.out.with_name(f"{each.out.name}-cache"))
    return [each.at, each.how, each.often, cache, ["run", str(plan), "--out", str(each.out), *each.more]]


def assert_whole(undisturbed: Undisturbed, folder: Path) -> None:
    """The same bits, and the same files."""
    assert_same(undisturbed.folder, folder)
    assert {path.name for path in folder.iterdir()} == {path.name for path in undisturbed.folder.iterdir()}


def crash_and_resume(undisturbed: Undisturbed, folder: Path, crashes: Sequence[tuple[int, str]]) -> None:
    """A run for each of `crashes` that dies there and is resumed.

    Every one must equal the undisturbed run, and none may do again the rounds before a checkpoint that was written.
    """
    sessions = []
    for at, how in crashes:
        out = folder / f"{how}-{at}"
        sessions += [Session(out, at, how, often=undisturbed.often), Session(out, often=undisturbed.often)]
    done = carry_out(undisturbed.plan, sessions)
    for dead, died, alive in zip(sessions[::2], done[::2], done[1::2], strict=True):
        where = f"{dead.how} at {dead.at}, {undisturbed.points[dead.at]}"
        assert died.code == KILLED, f"{where}: {died.said}"
        assert alive.code == 0, f"{where}: {alive.said}"
        try:
            assert_whole(undisturbed, dead.out)
        except AssertionError as error:
            raise AssertionError(where) from error
        again = [round_of(point) for point in alive.points if point.startswith("rename checkpoint")]
        assert min(again, default=99) > undisturbed.promised(dead.at), f"{where}: lost a checkpoint"
        shutil.rmtree(dead.out)
