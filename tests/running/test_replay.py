"""Replay: the center computes messages again; it names all that lie, nobody else, and changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mpirobust.cluster.replay import Replay
from mpirobust.errors import PlanFault
from mpirobust.plan import Plan, load_plan
from mpirobust.reports.summary import as_text, summary
from mpirobust.testing.examples import EXAMPLES
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from tests.running.test_redundancy import ATTACKS, write_plan
from tests.support.alone import run_alone
from tests.support.traces import SAME, assert_same

_BYZANTINE = [1, 4, 9]
_OWN = {"rounds/replayed", "rounds/refuted"}


def _columns(out: Path, *names: str) -> list[Any]:
    with h5py.File(out / "run.h5") as file:
        return [file[f"rounds/{name}"][:] for name in names]


@pytest.mark.parametrize("attack", ATTACKS)
def test_who_lies_is_named_and_nobody_else(attack: str, tmp_path: Path) -> None:
    """With every message computed again, and without a change of any other bit of the run."""
    plan = write_plan(tmp_path, redundancy=1, feedback="none", attack={**ATTACKS[attack], "workers": _BYZANTINE})
    plain = run_alone(plan, tmp_path / "plain")
    out = run_alone(plan, tmp_path / "out", "audit.replay=1.0")
    with h5py.File(plain / "run.h5") as expected, h5py.File(out / "run.h5") as found:
        for column in {*SAME} - _OWN:
            np.testing.assert_array_equal(found[column][:], expected[column][:], err_msg=column)
    replayed, refuted = _columns(out, "replayed", "refuted")
    assert replayed.all()
    lied = refuted[1:] if attack == "remembering" else refuted  # it repeats a message, and has none in the first round
    assert lied[:, _BYZANTINE].all()
    assert not np.delete(refuted, _BYZANTINE, axis=1).any()
    assert "workers 1, 4, 9 sent something else" in as_text(summary(out), out)
    assert not any(each.any() for each in _columns(plain, "replayed", "refuted"))


_ROUNDS: dict[str, dict[str, Any]] = {
    "minibatches": {},
    "full gradients": {"algorithm": {"kind": "first-order", "rounds": 6, "step": 0.3}},
    "cubic": {"algorithm": {"kind": "cubic-newton", "rounds": 4, "M": 10.0}},
    "two rounds": {"algorithm": {"kind": "cubic-newton", "rounds": 4, "M": 10.0, "two_rounds": True}},
    "escapes": {"algorithm": {"kind": "byzantine-pgd", "rounds": 6, "step": 0.3, "threshold": 10.0}},
    "a coded way down": {"downlink": {"kind": "uniform", "bits": 8}},
    "groups": {"redundancy": 3},
    "by label": {"data": {"kind": "libsvm", "path": "rows.svm", "split": 0.8, "partition": {"kind": "by-label"}}},
    **{kind: {"compressor": {"kind": kind, **examples[0]}} for kind, examples in EXAMPLES["compressor"].items()},
}


@pytest.mark.parametrize("rounds", _ROUNDS.values(), ids=_ROUNDS)
def test_an_honest_worker_is_never_named(rounds: Mapping[str, Any], tmp_path: Path) -> None:
    """Whatever a message is: a gradient, a Newton step, a direction of escape, in any code."""
    plan = write_plan(tmp_path, rounds=4, **{"redundancy": 1, "feedback": "none", **rounds})
    out = run_alone(plan, tmp_path / "out", "audit.replay=1.0")
    replayed, refuted = _columns(out, "replayed", "refuted")
    assert replayed.all()
    assert not refuted.any()
    assert "all were what honest workers send" in as_text(summary(out), out)


def test_a_share_is_drawn_anew_in_each_round_and_the_same_after_a_break(tmp_path: Path) -> None:
    plan = write_plan(tmp_path, 60, redundancy=1, feedback="none", attack={"kind": "gaussian", "workers": _BYZANTINE})
    whole = run_alone(plan, tmp_path / "whole", "audit.replay=0.2")
    broken = run_alone(plan, tmp_path / "broken", "audit.replay=0.2", "algorithm.rounds=23")
    run_alone(plan, broken, "audit.replay=0.2", resume=True)
    assert_same(whole, broken)
    replayed, refuted = _columns(whole, "replayed", "refuted")
    assert replayed.mean() == pytest.approx(0.2, abs=0.05)  # four standard deviations
    assert replayed.any(axis=0).all()
    np.testing.assert_array_equal(refuted, replayed & np.isin(np.arange(21), _BYZANTINE))


@pytest.mark.parametrize("feedback", ["residual", "difference"])
def test_what_workers_remember_cannot_be_replayed(feedback: str) -> None:
    with pytest.raises(PlanFault, match=r"audit\.replay: the center cannot know what feedback keeps"):
        regression_plan(feedback=feedback, audit={"replay": 0.1})


def test_a_plan_without_replay_has_the_text_that_it_had(tmp_path: Path) -> None:
    """So runs of earlier versions are resumed, and keep their names."""
    plan, _ = load_plan(write_plan(tmp_path), [])
    assert "replay" not in plan.toml()
    assert Plan.of(plan.table(), tmp_path).audit.replay is None


def test_a_worker_that_fails_at_the_center_is_left_to_its_own_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    """The center goes on: the rank reports the failure, by the plan's `on_failure`."""
    local = LocalRun(regression_plan())
    monkeypatch.setattr(local.workers[3], "reply", lambda *_: 1 / 0)
    replay = Replay(1.0, local.config, lambda indices, _: [local.workers[index] for index in indices])
    due = replay.messages(0, local.plan.algorithm.query(local.plan.algorithm.start(local.x0, local.cluster)))
    assert set(due) == {*range(local.plan.workers)} - {3}
