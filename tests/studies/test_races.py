"""Rounds, bytes and iterations to a gradient norm; an escape after it is told apart."""

from __future__ import annotations

from math import inf
from pathlib import Path

import numpy as np
import pytest

from mpirobust.records.layout import TRACE
from mpirobust.records.trace import Trace
from mpirobust.studies.family import Race
from mpirobust.studies.races import Finish, finish, row


def traced(folder: Path, norms: list[float], escape: list[bool], every: int = 1) -> Path:
    """A run whose audits found these gradient norms, and whose rounds were, or were not, part of an escape."""
    trace = Trace(2, np.zeros(0, np.intp), {"plan": ""})
    for t, away in enumerate(escape, start=1):
        round = trace.rounds.append()
        round["round"], round["bytes_up"], round["escape"] = t, 100 * t, away
    for at, norm in enumerate(norms):
        audit = trace.audits.append()
        audit["round"], audit["gradient_norm"] = every * at, norm
    folder.mkdir()
    trace.write(folder / TRACE, "finished", len(escape), np.zeros(1))
    return folder


@pytest.mark.parametrize(
    ("bound", "found"),
    [
        (9.0, Finish(0, 2, 0)),
        (3.0, Finish(2, 2, 300)),  # the first time, though it rises again
        (0.5, Finish(4, 0, 1000)),  # the escape came before it
        (0.1, Finish(inf, inf, inf)),
    ],
)
def test_counts_up_to_the_first_audit_at_the_bound(bound: float, found: Finish, tmp_path: Path) -> None:
    run = traced(tmp_path / "run", [9.0, 4.0, 3.0, 5.0, 0.5], [False, False, True, True])
    assert finish(run, bound) == found


def test_audits_may_be_rare(tmp_path: Path) -> None:
    assert finish(traced(tmp_path / "run", [9.0, 3.0], [False] * 4, every=3), 3.0) == Finish(3, 0, 600)


def test_an_escape_after_the_goal_is_told_apart(tmp_path: Path) -> None:
    ours = traced(tmp_path / "ours", [9.0, 1.0], [False])
    theirs = traced(tmp_path / "theirs", [9.0, 5.0, 4.0, 3.0, 1.0], [False] * 4 + [True] * 12)
    race = Race(when="noise", curve="a", against="b", bound=1.0, products=10)
    assert row(race, [ours], [theirs], "a9a, seed 1") == (
        "| noise: 1 (a9a, seed 1) | 1 against 4 | 0 kB against 1 kB | 10 against 4 | -150% | 12 | 38% |"
    )


def test_who_never_gets_there_is_not_compared(tmp_path: Path) -> None:
    ours, theirs = traced(tmp_path / "ours", [9.0, 1.0], [False]), traced(tmp_path / "theirs", [9.0], [False])
    race = Race(when="noise", curve="a", against="b", bound=1.0)
    assert "| 1 against inf | - | inf | - |" in row(race, [ours], [theirs], "a9a, seed 1")
