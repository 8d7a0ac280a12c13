"""The measured rate of a curve, beside the power of the round that a theorem gives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpirobust.errors import SetupFault
from mpirobust.reports.bands import Guide
from mpirobust.studies.claims import spread
from mpirobust.studies.outcome import Outcome

HEAD = [
    "The measured power is that between a tenth of the rounds and the last one.",
    "",
    "| curve | beside | measured power of the round |",
    "| --- | --- | --- |",
]


def powers(found: Outcome) -> NDArray[np.float64]:
    """Return for every seed the p with which the metric goes like round^p, over the last tenfold; shape (seeds,).

    It is nan where the metric is zero or infinite.

    Raises:
        SetupFault: there is no audit of a tenth of the rounds or less, but for the start.
    """
    last = int(found.rounds[-1])
    early = np.flatnonzero((found.rounds > 0) & (10 * found.rounds <= last))[-1:]
    if not early.size:
        raise SetupFault(f"a guide asks for an audit between rounds 1 and {last // 10}")
    with np.errstate(divide="ignore", invalid="ignore"):
        fall = np.log(found.final / found.values[:, early[0]])
    power: NDArray[np.float64] = np.where(np.isfinite(fall), fall, np.nan) / np.log(last / found.rounds[early[0]])
    return power


def row(guide: Guide, found: Outcome, setting: str) -> str:
    """Return one row of the table of rates, in Markdown; `setting` is the data, the size and the seeds as text."""
    return f"| {guide.through} | {guide.label} | {spread(powers(found))} ({setting}) |"
