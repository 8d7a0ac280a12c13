"""The outcome of the runs of one variant, over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpirobust.errors import SetupFault
from mpirobust.observers.base import Status
from mpirobust.reports.curves import curve
from mpirobust.reports.summary import DONE, summary


@dataclass(frozen=True)
class Outcome:
    """A metric over the rounds, for every seed.

    Attributes:
        rounds: when it was audited, shape (A,).
        at: the same on the axis of the figure (rounds, or bytes sent up; the mean over seeds), shape (A,).
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


def outcome(folders: Sequence[Path], metric: str, against: str = "round") -> Outcome:
    """Return the outcome of the runs in `folders`, one for each seed.

    Different seeds may be audited at different rounds: between its audits, a seed keeps its last value.

    Raises:
        SetupFault: a run has no such metric, or has not come to its end.
    """
    traces = [curve(folder, metric, "round") for folder in folders]
    axes = [curve(folder, metric, against)[0] for folder in folders]
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
