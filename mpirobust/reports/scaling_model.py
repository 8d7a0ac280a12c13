"""An α-β model of each phase of a round, fitted to runs on several numbers of processes; it predicts others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log2
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

LEAST = 4  # sizes that a model is fitted to


class Point(Protocol):
    """The quantities by which the model predicts a round; `reports.scaling.Size` is one.

    Attributes:
        processes: ranks, the center's included.
        workers: of all ranks together.
        nbytes: sent up in a round, by all workers together.
    """

    @property
    def processes(self) -> int: ...
    @property
    def workers(self) -> int: ...
    @property
    def nbytes(self) -> int: ...


class Timed(Point, Protocol):
    """A point with the seconds that were measured for each phase."""

    @property
    def phases(self) -> Mapping[str, float]: ...


@dataclass(frozen=True)
class Model:
    """Seconds by phase and by what they grow with: `terms["gather"]["byte up"]` is the β of the gather.

    What grows with a *stage* (the logarithm of the ranks to base 2, rounded up), a *rank* of workers or a *byte up* is
    communication. The *busiest* rank has so many workers; where ranks share cores, time grows with all *workers*.
    """

    terms: Mapping[str, Mapping[str, float]]

    def phases(self, point: Point) -> dict[str, float]:
        """Return the seconds of each phase."""
        amounts = _amounts(point)
        return {
            phase: sum(seconds * amounts[name] for name, seconds in terms.items())
            for phase, terms in self.terms.items()
        }

    def seconds(self, point: Point) -> float:
        """Return the seconds of a round."""
        return sum(self.phases(point).values())


_OF = {
    "broadcast": ("round", "stage", "rank"),  # of one length for all sizes
    "compute": ("round", "busiest", "worker"),
    "encode": ("round", "busiest", "worker"),
    "gather": ("round", "stage", "rank", "byte up"),
    "forge": ("round", "worker"),
    "aggregate": ("round", "worker"),
}


def fit(sizes: Sequence[Timed]) -> Model:
    """Fit the model to at least `LEAST` sizes; no term is negative, and what counts are relative errors of a round."""
    totals = np.array([sum(size.phases.values()) for size in sizes])
    found = {}
    for phase, names in _OF.items():
        features = np.array([[_amounts(size)[name] for name in names] for size in sizes], dtype=np.float64)
        seconds = np.array([size.phases.get(phase, 0.0) for size in sizes])
        found[phase] = dict(zip(names, least_relative(features, seconds, totals).tolist(), strict=True))
    return Model(found)


def held_out(sizes: Sequence[Timed]) -> list[float]:
    """Return for each size the seconds of a round that a model of all others predicts; [] if those are too few."""
    if len(sizes) <= LEAST:
        return []
    return [fit([other for other in sizes if other is not size]).seconds(size) for size in sizes]


def least_relative(
    features: NDArray[np.float64], values: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the coefficients >= 0, shape (k,), that minimise Σ ((features @ coefficients - values) / scale)².

    Args:
        features: shape (n, k). Columns may differ by orders of magnitude.
        values, scale: shape (n,).
    """
    from scipy.optimize import nnls

    weighted = features / scale[:, None]
    lengths = np.linalg.norm(weighted, axis=0)
    lengths[lengths == 0] = 1.0
    found: NDArray[np.float64] = nnls(weighted / lengths, values / scale)[0] / lengths
    return found


def _amounts(point: Point) -> dict[str, float]:
    others = max(1, point.processes - 1)  # than the center
    return {
        "round": 1,
        "stage": ceil(log2(point.processes)) if point.processes > 1 else 0,
        "rank": others,
        "busiest": ceil(point.workers / others),
        "worker": point.workers,
        "byte up": point.nbytes,
    }
