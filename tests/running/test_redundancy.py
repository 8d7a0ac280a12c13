"""Groups of workers that share rows and streams: liars change nothing, and are named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tomli_w

from mpirobust.aggregators.base import Context, bound
from mpirobust.cluster.receiver import RoundReceiver
from mpirobust.comm.local import LocalCommunicator
from mpirobust.errors import SetupFault
from mpirobust.observers.base import Status
from mpirobust.observers.finite import Finite
from mpirobust.plan import Plan
from mpirobust.records.layout import checkpoint_path
from mpirobust.reports.forecast import forecast
from mpirobust.reports.summary import as_text, summary
from mpirobust.round_times import RoundTimes
from mpirobust.running.experiment import run
from mpirobust.running.setup import RunRequest
from mpirobust.streams import CENTER, Purpose, stream
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.contexts import context
from mpirobust.testing.support.witness import ran
from mpirobust.types import Vector
from tests.support.alone import run_alone
from tests.support.rows import write_rows
from tests.support.sealing import resealed
from tests.support.traces import SAME, assert_same

LIARS = [0, 8, 16, 3, 11, 19, 6]  # of 21 workers in groups of three, one in each group
_OF_LIARS = {f"rounds/{name}" for name in ("norms", "kept", "outvoted", "replayed", "refuted", "bytes_up", "strength")}

FEEDBACKS = ("none", "residual", "difference")
CLASSES: dict[str, Any] = {"kind": "libsvm", "path": "rows.svm", "split": 0.8}
BY_LABEL: dict[str, Any] = {**CLASSES, "partition": {"kind": "by-label"}}
ATTACKS: dict[str, dict[str, Any]] = {
    "data": {"kind": "label-flip"},
    "answer": {"kind": "gaussian"},
    "bytes": {"kind": "garbage"},
    "length": {"kind": "resized", "factor": 2.0},
    "omniscient": {"kind": "collude"},
    "remembering": {"kind": "stale", "factor": -1.0},
}
_CASES = [
    *((attack, FEEDBACKS[at % 3], "iid" if at % 2 else "by-label") for at, attack in enumerate(ATTACKS)),
    ("answer", "none", "by-label"),
    ("bytes", "residual", "by-label"),
    ("omniscient", "difference", "by-label"),
]


def write_plan(folder: Path, rounds: int = 12, **changes: Any) -> Path:
    """A plan of 21 workers in groups of three, on two classes."""
    write_rows(folder / "rows.svm")
    table: dict[str, Any] = {
        "workers": 21,
        "redundancy": 3,
        "data": CLASSES,
        "problem": {"kind": "logistic"},
        "algorithm": {"kind": "first-order", "rounds": rounds, "step": 0.3, "batch": 9},
        "compressor": {"kind": "qsgd", "levels": 4},
        "checkpoint": {"every": 5},
        **changes,
    }
    path = folder / "plan.toml"
    path.write_text(tomli_w.dumps(regression_plan(**table).table()))
    return path


@pytest.mark.parametrize(("attack", "feedback", "partition"), _CASES)
def test_a_liar_in_each_group_changes_no_bit_and_is_named(
    attack: str, feedback: str, partition: str, tmp_path: Path
) -> None:
    """The same plan with alpha = 0 has the same iterates and audits, whoever lies about what; on sorted shards, too."""
    kind = ATTACKS[attack]
    plan = write_plan(
        tmp_path,
        feedback=feedback,
        data=BY_LABEL if partition == "by-label" else CLASSES,
        attack={**kind, "workers": LIARS},
    )
    lied = run_alone(plan, tmp_path / "lied")
    honest = run_alone(plan, tmp_path / "honest", "attack.alpha=0.0")
    with h5py.File(lied / "run.h5") as one, h5py.File(honest / "run.h5") as other:
        for column in {*SAME} - _OF_LIARS:
            np.testing.assert_array_equal(one[column][:], other[column][:], err_msg=column)
        guilty = np.isin(np.arange(21), LIARS)
        np.testing.assert_array_equal(one["rounds/outvoted"][:], np.tile(guilty, (12, 1)))
        np.testing.assert_array_equal(one["rounds/kept"][:], np.tile(~guilty, (12, 1)))
        np.testing.assert_array_equal(one["rounds/norms"][:, ~guilty], other["rounds/norms"][:, ~guilty])
        assert not other["rounds/outvoted"][:].any()
    assert summary(lied)["outvoted"] == {str(liar): 12 for liar in sorted(LIARS)}
    said = as_text(summary(lied), lied)
    assert "outvoted        workers 0, 3, 6, 8, 11, 16, 19 by most of their group, in 12 of 12 rounds" in said
    assert "no majority" not in said
    assert "outvoted" not in as_text(summary(honest), honest)


@pytest.mark.parametrize("feedback", FEEDBACKS)
@pytest.mark.parametrize(
    "compressor", [{"kind": "randomk", "k": 3}, {"kind": "l1-qsgd"}], ids=lambda it: str(it["kind"])
)
def test_groups_have_the_bits_of_as_many_workers(feedback: str, compressor: dict[str, Any], tmp_path: Path) -> None:
    """What a group draws is keyed by the group, its rows count once, and a rule judges one message of each."""
    rule = {"kind": "norm-trim", "beta": 0.2}
    plan = write_plan(tmp_path, feedback=feedback, compressor=compressor, aggregator=rule, weigh="rows")
    alone = run_alone(plan, tmp_path / "alone", "workers=7", "redundancy=1")
    groups = run_alone(plan, tmp_path / "groups")
    with h5py.File(groups / "run.h5") as many, h5py.File(alone / "run.h5") as few:
        for column in {*SAME} - _OF_LIARS - {"rounds/bytes_down"}:
            np.testing.assert_array_equal(many[column][:], few[column][:], err_msg=column)
        for column in ("rounds/norms", "rounds/kept"):
            np.testing.assert_array_equal(many[column][:], np.tile(few[column][:], 3))
        for column in ("rounds/bytes_up", "rounds/bytes_down"):
            np.testing.assert_array_equal(many[column][:], 3 * few[column][:])


def test_a_run_that_goes_on_has_the_bits_of_one_that_did_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The workers' own half of a feedback is saved as well, because those that are outvoted are not where the center
    is. Two liars have a group, in which the honest worker is outvoted; `norm-trim` has to do without it."""
    safeguard = {"kind": "safeguard", "T0": 2, "T1": 5}
    for feedback, attack, rule in (
        ("residual", "answer", {"kind": "norm-trim", "beta": 0.3}),
        ("difference", "bytes", {"kind": "norm-trim", "beta": 0.3}),
        ("difference", "answer", {"kind": "norm-trim", "beta": 0.3}),
        ("none", "omniscient", safeguard),
    ):
        folder = tmp_path / f"{feedback}-{attack}"
        folder.mkdir()
        liars = [0, 7, *LIARS[1:]]
        plan = write_plan(folder, feedback=feedback, attack={**ATTACKS[attack], "workers": liars}, aggregator=rule)
        whole, cut = run_alone(plan, folder / "whole"), run_alone(plan, folder / "cut", "algorithm.rounds=6")
        run_alone(plan, cut, resume=True)
        assert "passed over" not in capsys.readouterr().err
        assert_same(whole, cut)


def _votes(plan: Plan) -> tuple[list[list[int]], list[list[bool]]]:
    """Run a plan; return who was outvoted in each round, and which groups were kept."""
    moments = ran(LocalRun(plan)).moments[1:]
    exchanges = [moment.exchange for moment in moments if moment.exchange is not None]
    kept = [moment.verdict.kept.tolist() for moment in moments if moment.verdict is not None]
    return [np.flatnonzero(each.outvoted).tolist() for each in exchanges], kept


@pytest.mark.parametrize("attack", [{"kind": "gaussian", "variance": 1e6}, {"kind": "collude", "fraction": 5.0}])
def test_most_of_a_group_can_lie_for_it_and_the_rule_comes_after_the_vote(attack: dict[str, Any]) -> None:
    """The Byzantine workers of a group draw the same lies: with two of three they have its message."""
    plan = regression_plan(
        workers=15,
        redundancy=3,
        attack={**attack, "workers": [1, 6]},
        aggregator={"kind": "norm-trim", "beta": 0.2},
        compressor={"kind": "qsgd", "levels": 4},
    )
    outvoted, kept = _votes(plan)
    assert plan.lost().tolist() == [1]
    assert all(each == [11] for each in outvoted)
    assert all(each == [True, False, True, True, True] for each in kept)


@pytest.mark.parametrize("feedback", FEEDBACKS)
def test_a_group_without_a_majority_counts_as_absent(feedback: str) -> None:
    """Of two that differ none is believed. If both ends keep a state, the center cannot know any more what that of the
    honest worker is, and the group stays absent; otherwise only its message of this round is lost."""
    attack = {"kind": "garbage", "workers": [1]}
    rule = {"kind": "norm-trim", "beta": 0.3}
    plan = regression_plan(workers=8, redundancy=2, attack=attack, feedback=feedback, aggregator=rule)
    with np.errstate(over="ignore", invalid="ignore"):  # as in a run
        moments = ran(LocalRun(plan)).moments[1:]
    down = set()
    for t, moment in enumerate(moments):
        assert moment.exchange is not None
        assert moment.verdict is not None
        gone = [1, 5] if feedback == "difference" and t else []
        assert np.flatnonzero(moment.exchange.absent).tolist() == gone
        assert np.flatnonzero(moment.exchange.outvoted).tolist() == ([] if gone else [1, 5])
        assert not moment.exchange.answers.sound[1]
        assert not moment.verdict.kept[1]
        down.add(moment.exchange.bytes_down)
        assert moment.exchange.of_workers(moment.exchange.answers.norms, np.inf)[[1, 5]].tolist() == [np.inf, np.inf]
    assert len(down) == 1  # queries go to all that a rank has


def test_no_majority_anywhere_ends_the_run(tmp_path: Path) -> None:
    plan = regression_plan(workers=8, redundancy=2, attack={"kind": "garbage", "workers": [0, 1, 2, 3]})
    local = LocalRun(plan)
    witness = ran(local, Finite().start(context(local, tmp_path)))
    assert witness.status is Status.DIVERGED


def _rounds(plan: Plan, gone: Sequence[int], moved: Sequence[int] = ()) -> tuple[list[Vector], RoundReceiver]:
    """Return the iterates of a plan whose workers `gone` are lost after five rounds."""
    local = LocalRun(plan)
    receiver, state, iterates = RoundReceiver(local.config, plan.workers), None, []
    state = plan.algorithm.start(local.x0, local.cluster)
    for t in range(12):
        if t == 5:
            receiver.lose(gone, moved)
        query = plan.algorithm.query(state)
        sent = [each.reply(t, query)[0] if receiver.present[each.index] else b"" for each in local.workers]
        judge = bound(plan.aggregator, None, Context(t, query, plan.seed))
        exchange = receiver.exchange(t, query, judge, list(sent), RoundTimes())
        state = plan.algorithm.advance(state, judge(exchange.answers), stream(plan.seed, CENTER, t, Purpose.ADVANCE))
        iterates.append(state.x)
    return iterates, receiver


@pytest.mark.parametrize("feedback", FEEDBACKS)
def test_while_one_of_a_group_is_left_nothing_is_lost(feedback: str) -> None:
    plan = regression_plan(workers=12, redundancy=3, feedback=feedback, compressor={"kind": "topk", "k": 2})
    undisturbed, _ = _rounds(plan, ())
    alone, receiver = _rounds(plan, [0, 4, 5, 10])  # two of group 0, one of 1 and of 2
    np.testing.assert_array_equal(alone, undisturbed)
    assert receiver.unreliable == 0
    without, receiver = _rounds(plan, [0, 4, 8])
    assert receiver.unreliable == 1
    assert not np.array_equal(without[-1], undisturbed[-1])


def test_a_worker_whose_memory_is_lost_votes_no_more() -> None:
    """On another rank it would begin at zero, and be outvoted by its fellows."""
    plan = regression_plan(workers=12, redundancy=3, feedback="residual", compressor={"kind": "topk", "k": 2})
    moved, receiver = _rounds(plan, (), [0, 5])
    np.testing.assert_array_equal(moved, _rounds(plan, ())[0])
    assert np.flatnonzero(~receiver.present).tolist() == np.flatnonzero(receiver.forgotten).tolist() == [0, 5]


def test_what_was_lost_is_absent_in_a_resumed_run_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = write_plan(tmp_path, feedback="residual")
    whole, cut = run_alone(plan, tmp_path / "whole"), run_alone(plan, tmp_path / "cut", "algorithm.rounds=5")
    with resealed(checkpoint_path(cut, 5)) as file:
        file["memory/residual"][4] = 0.0
        file["lost"] = np.array([4], np.int64)
    capsys.readouterr()
    run_alone(plan, cut, resume=True)
    told = "worker 4: what feedback had kept was lost with a rank before round 6, or a group had no majority then"
    assert told in capsys.readouterr().err
    with h5py.File(whole / "run.h5") as one, h5py.File(cut / "run.h5") as other:
        np.testing.assert_array_equal(one["model/x"][:], other["model/x"][:])
        assert np.flatnonzero(other["rounds/absent"][5:].all(axis=0)).tolist() == [4]
        assert not other["rounds/outvoted"][:].any()


def test_the_rows_of_a_group_are_in_memory_once() -> None:
    local = LocalRun(regression_plan(workers=12, redundancy=3))
    assert all(each.clean is local.workers[each.index % 4].clean for each in local.workers)
    assert sum(local.workers[at].clean.rows for at in range(4)) == 60


def test_the_forecast_says_what_is_tolerated(tmp_path: Path) -> None:
    plan = write_plan(tmp_path, attack={"kind": "gaussian", "workers": LIARS})
    assert "  redundancy  7 groups of 3; exact with at most 1 Byzantine in a group\n" in forecast(plan, [])
    taken = forecast(plan, ["attack.workers=[1, 8]"])
    assert "in a group; no honest majority in group 1\n" in taken
    assert "note: redundancy = 3: the honest workers are no majority in group 1" in taken
    assert "set for at most 2 Byzantine groups" in forecast(plan, ["aggregator.kind=norm-trim", "aggregator.beta=0.2"])
    assert "redundancy" not in forecast(plan, ["redundancy=1"])


def test_a_run_of_another_redundancy_is_another(tmp_path: Path) -> None:
    plan = write_plan(tmp_path)
    assert "redundancy" not in regression_plan().toml() + regression_plan().record().identity()
    run_alone(plan, tmp_path / "out", "redundancy=1")
    with pytest.raises(SetupFault, match="redundancy was not given, is 3"):
        run(RunRequest(plan, (), out=tmp_path / "out", resume=True, quiet=True), LocalCommunicator())
