"""The verdicts of a rule on the messages of every worker, in as many cells as a page shows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.reports.scales import scale_of

COLUMNS, ROWS = 300, 200  # of a map, at most
_LEAST_ROWS = 16  # of each of the two sorts of workers, where there are so many
_TENTHS = np.frombuffer(b"0123456789X-", np.uint8)  # of the messages of a cell, those that were kept; -: there was none
_ABSENT = len(_TENTHS) - 1
_SHARES = (0.1, 0.5, 0.9)  # quantiles of the norms


def bins(count: int, most: int) -> NDArray[np.intp]:
    """Return where at most `most` bins of `count` items begin, and the end of the last, ascending."""
    return np.unique(np.linspace(0, count, min(count, most) + 1).round().astype(np.intp))


class _Sort:
    """The workers of one sort, Byzantine or honest: their rows of the map, their shares, and their norms."""

    def __init__(self, name: str, own: NDArray[np.intp], workers: int) -> None:
        self.name, self.own = name, own
        self._cuts = bins(own.size, max(_LEAST_ROWS, ROWS * own.size // workers))
        self._columns: list[Iterable[str]] = []
        self._there = self._stayed = np.zeros(self._cuts.size - 1, np.intp)
        self.norms: list[list[float | None]] = []

    def add(self, kept: NDArray[np.bool_], present: NDArray[np.bool_], norms: NDArray[np.float64]) -> None:
        """Add a bin of rounds; the arrays of all workers have the shape (rounds, m)."""
        kept, present, norms = kept[:, self.own], present[:, self.own], norms[:, self.own]
        there, stayed = (np.add.reduceat(each.sum(axis=0), self._cuts[:-1]) for each in (present, kept & present))
        tenths = np.clip(10 * stayed // np.maximum(there, 1), stayed > 0, 10)  # 0 is none at all, X is all
        self._columns.append(_TENTHS[np.where(there == 0, _ABSENT, tenths)].tobytes().decode())
        self._there, self._stayed = self._there + there, self._stayed + stayed
        self.norms.append(_quantiles(norms[present]))

    def block(self) -> dict[str, Any]:
        """Return the part of the map, ready for JSON."""
        firsts, lasts = self.own[self._cuts[:-1]], self.own[self._cuts[1:] - 1]
        return {
            "name": self.name,
            "groups": np.stack([firsts, lasts, np.diff(self._cuts)], axis=1).tolist(),
            "kept": [_ratio(*each) for each in zip(self._stayed.tolist(), self._there.tolist(), strict=True)],
            "cells": ["".join(row) for row in zip(*self._columns, strict=True)],
        }


def detail(file: Any, workers: int, byzantine: NDArray[np.int64]) -> dict[str, Any]:
    """Return map, precision and recall, and norms of an open trace, by bins of rounds, ready for JSON.

    `ends` are the last rounds of the bins. A bin of precision or recall is None if its ratio has no denominator.
    """
    rounds = file["rounds"]
    cuts = bins(len(rounds["round"]), COLUMNS)
    guilty = np.isin(np.arange(workers), byzantine)
    sorts = [_Sort(*each, workers) for each in (("Byzantine", byzantine), ("honest", np.flatnonzero(~guilty)))]
    sorts = [each for each in sorts if each.own.size]
    counts = []
    for first, end in pairwise(cuts):
        kept = rounds["kept"][first:end]
        present = ~rounds["absent"][first:end] if "absent" in rounds else np.ones_like(kept)
        norms = rounds["norms"][first:end]
        for each in sorts:
            each.add(kept, present, norms)
        trimmed = present & ~kept
        counts.append([int(each.sum()) for each in (trimmed[:, guilty], trimmed, present[:, guilty])])
    blocks = [each.block() for each in sorts]
    scale = scale_of([value for each in sorts for some in each.norms for value in some if value is not None])
    return {
        "ends": cuts[1:].tolist(),
        "blocks": blocks,
        "whole": cuts.size - 1 == len(rounds["round"]) and sum(len(each["groups"]) for each in blocks) == workers,
        "precision": [_ratio(caught, trimmed) for caught, trimmed, _ in counts],
        "recall": [_ratio(caught, there) for caught, _, there in counts],
        "norms": {each.name: each.norms for each in sorts},
        "norm_scale": asdict(scale),
    }


def judged(
    kept: NDArray[np.bool_], present: NDArray[np.bool_], byzantine: NDArray[np.int64]
) -> dict[str, float | None]:
    """Return precision and recall of a rule over a whole run: of what it dropped, and of what it should have dropped.

    Args:
        kept, present: whether the message of each worker was kept, and was there, shape (T, m).
    """
    trimmed = present & ~kept
    caught = int(trimmed[:, byzantine].sum())
    return {
        "precision": _ratio(caught, int(trimmed.sum())),
        "recall": _ratio(caught, int(present[:, byzantine].sum())),
    }


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def _quantiles(norms: NDArray[np.float64]) -> list[float | None]:
    """Return quantiles of the finite norms; None for each if there is none."""
    finite = norms[np.isfinite(norms)]
    if not finite.size:
        return [None] * len(_SHARES)
    return [float(f"{each:.4g}") for each in np.quantile(finite, _SHARES, method="inverted_cdf")]
