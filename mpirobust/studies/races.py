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
    "| to a gradient norm of | rounds | bytes up | iterations, with the escape | fewer | without it | fewer |",
    "| --- | --- | --- | --- | --- | --- | --- |",
]


@dataclass(frozen=True)
class Finish:
    """The cost of one run until the bound; all inf if it never reaches it.

    Attributes:
        rounds: until the audited gradient norm is at or below it, rounds of escape before that included.
        escape: rounds in which the run looked for a way out of a saddle point, before and after.
        nbytes: sent up until then.
    """

    rounds: float
    escape: float
    nbytes: float


def finish(folder: Path, bound: float) -> Finish:
    """Return the finish of the run in `folder`; raise `SetupFault` if there is none."""
    with open_trace(folder / TRACE) as file:
        there = np.flatnonzero(file["audits/gradient_norm"][:] <= bound)
        if not there.size:
            return Finish(inf, inf, inf)
        rounds = int(file["audits/round"][there[0]])
        escape = file["rounds/escape"][:] if "rounds/escape" in file else np.zeros(0)
        return Finish(rounds, int(escape.sum()), int(file["rounds/bytes_up"][:rounds].sum()))


def row(race: Race, runs: Sequence[Path], others: Sequence[Path]) -> str:
    """Return one row of the table of races, in Markdown: medians over the seeds of `curve` and `against`."""
    ours, theirs = ([finish(folder, race.bound) for folder in folders] for folders in (runs, others))
    rounds, against = _middle([each.rounds for each in ours]), _middle([each.rounds for each in theirs])
    nbytes, sent = _middle([each.nbytes for each in ours]), _middle([each.nbytes for each in theirs])
    counted = _middle([race.products * each.rounds for each in ours])
    whole = _middle([each.rounds + each.escape for each in theirs])
    return (
        f"| {race.when}: {race.bound:g} | {rounds:g} against {against:g} | {_kilo(nbytes)} against {_kilo(sent)} "
        f"| {counted:g} against {whole:g} | {_fewer(counted, whole)} "
        f"| {counted:g} against {against:g} | {_fewer(counted, against)} |"
    )


def _fewer(ours: float, theirs: float) -> str:
    if ours == inf or theirs == inf:
        return "-"
    return f"{1 - ours / theirs:.0%}"


def _middle(values: list[float]) -> float:
    return sorted(values)[(len(values) - 1) // 2]


def _kilo(nbytes: float) -> str:
    return f"{nbytes / 1000:,.0f} kB"
