"""What came of the runs of one variant, over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpirobust.errors import SetupFault
from mpirobust.reports.curves import curve
from mpirobust.reports.summary import summary


@dataclass(frozen=True)
class Outcome:
    """A metric over the rounds, for every seed.

    Attributes:
        rounds: when it was audited, shape (A,).
        at: where that is on the axis that was asked for (rounds, or bytes sent up; the mean over seeds), shape (A,).
        values: shape (seeds, A); +inf from where a run diverged on, the last value from where it converged on.
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
        """The value of every seed after that round; raises `SetupFault` where it was not audited."""
        found = np.flatnonzero(self.rounds == round)
        if not found.size:
            raise SetupFault(f"there is no audit after round {round}; the last is after round {self.rounds[-1]}")
        values: NDArray[np.float64] = self.values[:, found[0]]
        return values


def outcome(folders: Sequence[Path], metric: str, against: str = "round") -> Outcome:
    """The outcome of the runs in `folders`, one for each seed; raises `SetupFault` where there is no such metric."""
    traces = [curve(folder, metric, "round") for folder in folders]
    diverged = np.array([summary(folder)["status"] == "diverged" for folder in folders])
    rounds = max((rounds for rounds, _ in traces), key=len)
    values = np.empty((len(traces), rounds.size))
    for row, (_, found), lost in zip(values, traces, diverged, strict=True):
        row[: found.size] = np.where(np.isfinite(found), found, np.inf) if lost else found
        row[found.size :] = np.inf if lost else found[-1]
        if lost:
            row[-1] = np.inf
    axes = [at for at, _ in (curve(folder, metric, against) for folder in folders)]
    whole = [at for at in axes if at.size == rounds.size]
    return Outcome(rounds, np.mean(whole, axis=0, dtype=np.float64), values, diverged)
