"""Redundant workers on several ranks: liars and ranks that die change no bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mpirobust.reports.summary import summary
from tests.running.test_redundancy import BY_LABEL, LIARS, write_plan
from tests.support.alone import run_alone
from tests.support.deaths import ULFM, doomed
from tests.support.launching import finish, start
from tests.support.traces import assert_same

_ATTACK: dict[str, Any] = {"kind": "garbage", "workers": LIARS}
_ALIKE = ("model/x", "audits/loss", "audits/gradient_norm", "audits/test_accuracy")


@pytest.mark.parametrize("ranks", [4, pytest.param(22, marks=pytest.mark.system)])
def test_seven_liars_of_21_on_sorted_shards_change_no_bit(ranks: int, tmp_path: Path) -> None:
    """The iterates of the plan with alpha = 0 on one process, and the liars by name, also after a break. Alone holds it
    across ranks, where the workers of a group are in different processes; four starts of mpirun."""
    plan = write_plan(tmp_path, data=BY_LABEL, attack=_ATTACK, feedback="residual")
    honest = run_alone(plan, tmp_path / "honest", "attack.alpha=0.0")
    alone = run_alone(plan, tmp_path / "alone")
    out = tmp_path / "ranks"
    for rounds in (6, 12):  # the second start goes on from the checkpoint
        command = ("-m", "mpirobust", "run", str(plan), "--out", str(out), "--resume", "--set")
        done = finish(start(*command, f"algorithm.rounds={rounds}", ranks=ranks), timeout=120)
        assert done.returncode == 0, done.stderr
    assert_same(alone, out)
    with h5py.File(honest / "run.h5") as one, h5py.File(out / "run.h5") as other:
        for column in _ALIKE:
            np.testing.assert_array_equal(other[column][:], one[column][:], err_msg=column)
    assert summary(out)["outvoted"] == {str(liar): 12 for liar in sorted(LIARS)}


def test_a_rank_that_dies_changes_no_bit(tmp_path: Path) -> None:
    """With three ranks of workers each has one of every group; without one of them there is still a majority of two."""
    plan = write_plan(tmp_path, feedback="residual", checkpoint={"every": 4})
    whole = run_alone(plan, tmp_path / "whole")
    out = tmp_path / "out"
    command = (*doomed(tmp_path, "while it computes", 5, 2), "run", str(plan), "--out", str(out))
    done = finish(start(*command, ranks=4, options=ULFM), timeout=120)
    assert done.returncode == 0, done.stderr
    assert "workers 7-13: absent from now on" in done.stderr
    with h5py.File(whole / "run.h5") as one, h5py.File(out / "run.h5") as other:
        for column in _ALIKE:
            np.testing.assert_array_equal(other[column][:], one[column][:], err_msg=column)
        assert np.flatnonzero(other["rounds/absent"][-1]).tolist() == [*range(7, 14)]
        assert not other["rounds/outvoted"][:].any()
