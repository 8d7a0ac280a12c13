"""Races of two methods to a gradient norm, counted in iterations as in P2, and in rounds and bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

import numpy as np

from mpirobust.records.layout import TRACE
from mpirobust.records.tables import open_trace
from mpirobust.studies.family import Race

HEAD = [
    "The race ends at the goal. The last two columns count, all the same, an escape that begins after it.",
    "",
    "| to a gradient norm of | rounds | bytes up | iterations | fewer | escape after the goal | fewer, with it |",
    "| --- | --- | --- | --- | --- | --- | --- |",
]


@dataclass(frozen=True)
class Finish:
    """The cost of one run until the bound; all inf if it never reaches it.

    Attributes:
        rounds: until the audited gradient norm is at or below it, rounds of escape before that included.
        later: rounds after that in which the run looked for a way out of a saddle point.
        nbytes: sent up until the bound.
    """

    rounds: float
    later: float
    nbytes: float


def finish(folder: Path, bound: float) -> Finish:
    """Return the finish of the run in `folder`; raise `SetupFault` if there is none."""
    with open_trace(folder / TRACE) as file:
        there = np.flatnonzero(file["audits/gradient_norm"][:] <= bound)
        if not there.size:
            return Finish(inf, inf, inf)
        rounds = int(file["audits/round"][there[0]])
        escape = file["rounds/escape"][rounds:] if "rounds/escape" in file else np.zeros(0)
        return Finish(rounds, int(escape.sum()), int(file["rounds/bytes_up"][:rounds].sum()))


def row(race: Race, runs: Sequence[Path], others: Sequence[Path], setting: str) -> str:
    """Return one row of the table of races, in Markdown: medians over the seeds of `curve` and `against`.

    Args:
        setting: the data, the size and the seeds, as text.
    """
    ours, theirs = ([finish(folder, race.bound) for folder in folders] for folders in (runs, others))
    rounds, against = _middle([each.rounds for each in ours]), _middle([each.rounds for each in theirs])
    nbytes, sent = _middle([each.nbytes for each in ours]), _middle([each.nbytes for each in theirs])
    counted, later = race.products * rounds, _middle([each.later for each in theirs])
    return (
        f"| {race.when}: {race.bound:g} ({setting}) | {rounds:g} against {against:g} "
        f"| {_kilo(nbytes)} against {_kilo(sent)} | {counted:g} against {against:g} | {_fewer(counted, against)} "
        f"| {later:g} | {_fewer(counted, against + later)} |"
    )


def _fewer(ours: float, theirs: float) -> str:
    if ours == inf or theirs in (inf, 0):
        return "-"
    return f"{1 - ours / theirs:.0%}"


def _middle(values: list[float]) -> float:
    return float(np.median(values))


def _kilo(nbytes: float) -> str:
    return f"{nbytes / 1000:,.0f} kB"
