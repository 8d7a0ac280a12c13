"""The outcome of the runs of one variant, over seeds."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.errors import SetupFault
from mpirobust.observers.base import Status
from mpirobust.records.layout import TRACE
from mpirobust.records.tables import open_trace
from mpirobust.reports.series import curve
from mpirobust.reports.summary import DONE, summary


@dataclass(frozen=True)
class Outcome:
    """A metric over the rounds, for every seed.

    Attributes:
        rounds: when it was audited, shape (A,).
        at: the same on the axis of the figure (rounds, or bytes sent, up and down; the mean over seeds), shape (A,).
        values: shape (seeds, A); +inf after a run diverged, the last value after it ended.
        diverged: shape (seeds,).
    """

    rounds: NDArray[np.int64]
    at: NDArray[np.float64]
    values: NDArray[np.float64]
    diverged: NDArray[np.bool_]

    @property
    def final(self) -> NDArray[np.float64]:
        """The last value of every seed, shape (seeds,)."""
        return self.values[:, -1]

    def after(self, round: int) -> NDArray[np.float64]:
        """Return the value of every seed after that round, shape (seeds,); raise `SetupFault` if it was not audited."""
        found = np.flatnonzero(self.rounds == round)
        if not found.size:
            raise SetupFault(f"there is no audit after round {round}; the last is after round {self.rounds[-1]}")
        values: NDArray[np.float64] = self.values[:, found[0]]
        return values


@dataclass(frozen=True)
class Facts:
    """The identity of a run, what rounded its sums, and a digest of its kept sets.

    Attributes:
        data: the name of the file of the data, or the kind of what was drawn.
        workers, dimension, rounds: m, d, and the rounds of the plan.
        kept: the first 16 digits of the SHA-256 of the workers kept in every round.
        blas: the libraries of all ranks, as `numerics/blas.py` names them.
    """

    data: str
    workers: int
    dimension: int
    rounds: int
    kept: str
    blas: str

    def __str__(self) -> str:
        return f"{self.data}, m = {self.workers}, d = {self.dimension}, {self.rounds} rounds"


def facts(folder: Path) -> Facts:
    """Return the facts of the run in `folder`; raise `SetupFault` if there is none."""
    with open_trace(folder / TRACE) as file:
        plan, kept = tomllib.loads(file.attrs["plan"]), file["rounds/kept"][:]
        digest = hashlib.sha256(np.packbits(kept, axis=1).tobytes()).hexdigest()[:16]
        data = Path(plan["data"].get("path", plan["data"]["kind"])).name
        data += f" with {plan['data']['rows']} rows" if "rows" in plan["data"] else ""
        size, rounds = file["model/x"].size, plan["algorithm"]["rounds"]
        return Facts(data, kept.shape[1], size, rounds, digest, _blas(file))


def libraries(folder: Path) -> str:
    """Return the libraries of BLAS of the run in `folder`, as `Facts` has them; raise `SetupFault` if there is none."""
    with open_trace(folder / TRACE) as file:
        return _blas(file)


def _blas(file: Any) -> str:
    return str(file.attrs.get("blas", ""))  # earlier versions did not write it


def outcome(folders: Sequence[Path], metric: str, against: str = "round") -> Outcome:
    """Return the outcome of the runs in `folders`, one for each seed.

    Different seeds may be audited at different rounds: between its audits, a seed keeps its last value.

    Raises:
        SetupFault: a run has no such metric, or has not come to its end.
    """
    traces = [curve(folder, metric, "round") for folder in folders]
    axes = [own for own, _ in traces] if against == "round" else [curve(each, metric, against)[0] for each in folders]
    ends = [summary(folder)["status"] for folder in folders]
    for folder, end in zip(folders, ends, strict=True):
        if end not in DONE:
            raise SetupFault(f"{folder}: {end}, not done; the same command goes on with it")
    rounds = np.unique(np.concatenate([own for own, _ in traces]))
    values, at = np.empty((len(traces), rounds.size)), np.empty((len(traces), rounds.size))
    for row, place, (own, found), axis, end in zip(values, at, traces, axes, ends, strict=True):
        last = np.searchsorted(own, rounds, side="right") - 1
        row[:], place[:] = found[last], axis[last]
        if end == Status.DIVERGED:
            row[~np.isfinite(row)] = np.inf
            row[rounds >= own[-1]] = np.inf
    return Outcome(rounds, at.mean(axis=0), values, np.array([end == Status.DIVERGED for end in ends]))
