"""The file of a run: its rows, and when it is rewritten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mpirobust.observers import recorder
from mpirobust.observers.audit import Audits
from mpirobust.observers.recorder import Record, Recorder
from mpirobust.records.layout import TRACE, open_record
from mpirobust.records.trace import Trace
from mpirobust.reports.summary import summary
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.contexts import context
from mpirobust.testing.support.witness import first_order, ran
from mpirobust.types import Vector

_PGD = {"kind": "byzantine-pgd", "rounds": 500, "step": 0.1, "threshold": 0.3, "R": 50.0, "Q": 4, "T_th": 3}


@pytest.mark.parametrize(("algorithm", "escape_rounds"), [(_PGD, 12), (first_order(), 0)], ids=["pgd", "first-order"])
def test_rounds_of_escape_stand_apart_in_the_file(
    algorithm: dict[str, Any], escape_rounds: int, tmp_path: Path
) -> None:
    local = LocalRun(regression_plan(algorithm=algorithm))
    trace = Trace(6, local.config.byzantine, {"plan": local.plan.toml()})
    rounds = len(ran(local, Recorder(trace, tmp_path / "run.h5")).moments) - 1
    found = summary(tmp_path)
    assert (found["rounds"], found["escape_rounds"]) == (rounds, escape_rounds)
    assert found["first_hit"] == (rounds - 12 if escape_rounds else None)  # first hit and total differ by Q T_th


@pytest.mark.parametrize(("every_seconds", "writes"), [(0.0, 12), (3600.0, 2)])
def test_the_file_is_rewritten_when_so_much_time_has_passed(
    every_seconds: float, writes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the start, after each of ten rounds or none, and at the end."""
    monkeypatch.setattr(recorder, "_SHARE", 0)
    local = LocalRun(regression_plan(algorithm=first_order(rounds=10)))
    run = context(local, tmp_path)
    written: list[int] = []
    write = Trace.write

    def counted(trace: Trace, path: Path, status: str, round: int, x: Vector) -> None:
        written.append(round)
        write(trace, path, status, round, x)

    monkeypatch.setattr(Trace, "write", counted)
    ran(local, Record(every_seconds=every_seconds).start(run))
    assert len(written) == writes
    assert written == sorted(written)
    assert (written[0], written[-1]) == (0, 10)


def test_the_audit_of_a_round_is_in_its_row_and_the_last_of_all_in_none(tmp_path: Path) -> None:
    """`elapsed` holds the audits of the rounds; that at the end is made after the last row."""
    local = LocalRun(regression_plan(algorithm=first_order(rounds=8)))
    run = context(local, tmp_path)
    ran(local, Audits(every=3).start(run), Record().start(run))
    with open_record(tmp_path / TRACE, "run") as file:
        assert (file["rounds/seconds_audit"][:] > 0).tolist() == [round in (3, 6) for round in range(1, 9)]
        assert file["audits/round"][:].tolist() == [0, 3, 6, 8]
