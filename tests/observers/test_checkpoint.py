"""When checkpoints are written, and what is in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mpirobust.algorithms.first_order import Iterate
from mpirobust.observers.base import Moment, Status
from mpirobust.observers.checkpoint import Checkpoints
from mpirobust.observers.recorder import Record
from mpirobust.records import layout
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.contexts import context
from mpirobust.testing.support.witness import first_order, ran


def rounds_of(folder: Path) -> list[int]:
    return sorted(int(path.stem.partition("-")[2]) for path in folder.glob(layout.CHECKPOINTS))


@pytest.mark.parametrize(("every", "rounds", "left"), [(3, 7, [6, 7]), (3, 6, [3, 6]), (100, 5, [5]), (1, 2, [1, 2])])
def test_at_its_cadence_and_after_the_last_round(every: int, rounds: int, left: list[int], tmp_path: Path) -> None:
    local = LocalRun(regression_plan(algorithm=first_order(rounds=rounds)))
    ran(local, Checkpoints(every=every).start(context(local, tmp_path)))
    assert rounds_of(tmp_path) == left


@pytest.mark.parametrize("status", list(Status))
def test_not_after_a_run_has_diverged(status: Status, tmp_path: Path) -> None:
    local = LocalRun(regression_plan())
    watch = Checkpoints().start(context(local, tmp_path))
    watch.before_first_round(Moment(4, Iterate(local.x0, 4, 0.0), local.cluster))
    watch.after_last_round(Moment(5, Iterate(local.x0, 5, 0.0), local.cluster), status)
    assert rounds_of(tmp_path) == ([] if status is Status.DIVERGED else [5])


def test_not_again_where_nothing_was_done(tmp_path: Path) -> None:
    """A session without a round leaves the files as they are; round 0 needs none."""
    local = LocalRun(regression_plan())
    for round in (0, 25):
        watch = Checkpoints().start(context(local, tmp_path))
        moment = Moment(round, Iterate(local.x0, round, 0.0), local.cluster)
        watch.before_first_round(moment)
        watch.after_last_round(moment, Status.INTERRUPTED)
    assert rounds_of(tmp_path) == []


def test_its_time_is_in_the_row_of_its_round(tmp_path: Path) -> None:
    """Though the row was added before; the time of a checkpoint after the last round is in no file."""
    local = LocalRun(regression_plan(algorithm=first_order(rounds=8)))
    run = context(local, tmp_path)
    ran(local, Record(every_seconds=3600.0).start(run), Checkpoints(every=3).start(run))
    with layout.open_record(tmp_path / layout.TRACE, "run") as file:
        took = file["rounds/seconds_checkpoint"][:] > 0
        assert took.tolist() == [round in (3, 6) for round in range(1, 9)]
    assert (run.trace.rounds.rows["seconds_checkpoint"][:7] > 0).tolist() == took[:7].tolist()
