"""A loop of one's own with a `RobustReducer` under mpirun: the bits of a run, and ranks that die in it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mpirobust.plan import Plan
from tests.support.alone import run_alone
from tests.support.deaths import ULFM, program
from tests.support.launching import finish, start
from tests.support.reducing import RANKS, ROUNDS, STEP, reduced_plan, replayed

_MODES = ("center", "symmetric")


def reducing(
    plan: Plan, folder: Path, mode: str, *options: object, ranks: int = RANKS, ulfm: bool = False
) -> subprocess.CompletedProcess[str]:
    (folder / "plan.toml").write_text(plan.toml())
    command = program("reducing", folder / "plan.toml", folder, mode, *options)
    return finish(start(*command, ranks=ranks, options=ULFM if ulfm else ()), timeout=60)


def results(folder: Path, ranks: range | list[int] = range(RANKS)) -> list[dict[str, Any]]:
    """Return the arrays that each of these ranks has written."""
    found = []
    for rank in ranks:
        with np.load(folder / f"{rank}.npz") as written:
            found.append({name: written[name] for name in written.files})
    return found


def final(run: Path) -> Any:
    with h5py.File(run / "run.h5") as file:
        return file["model/x"][:]


_LAYERS = {"compressor": {"kind": "layerwise", "compressor": {"kind": "l1-qsgd"}}}
_MIXING = {"aggregator": {"kind": "nnm", "beta": 0.3, "rule": {"kind": "median"}}}


@pytest.mark.parametrize(
    ("feedback", "changes"),
    [
        ("residual", {}),
        pytest.param("difference", _LAYERS, marks=pytest.mark.system),
        pytest.param("none", _MIXING, marks=pytest.mark.system),
    ],
    ids=["residual", "difference", "none"],
)
def test_both_modes_give_the_bits_of_a_run(feedback: str, changes: dict[str, Any], tmp_path: Path) -> None:
    """Holds alone that a loop of one's own under mpirun does what `mpirobust run` does; two jobs."""
    plan = reduced_plan(feedback, **changes)
    (tmp_path / "run.toml").write_text(plan.toml())
    wanted = final(run_alone(tmp_path / "run.toml", tmp_path / "out"))
    for mode in _MODES:
        done = reducing(plan, tmp_path, mode)
        assert done.returncode == 0, done.stderr
        for each in results(tmp_path):
            np.testing.assert_array_equal(each["x"], wanted, err_msg=mode)


def test_a_break_and_a_coded_way_down_change_no_bit(tmp_path: Path) -> None:
    """Holds alone that states survive a job, and that the coded way down crosses; three jobs."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    half = {"kind": "first-order", "rounds": ROUNDS // 2, "step": STEP}
    changes = {"downlink": {"kind": "topk", "k": 3}, "aggregator": {"kind": "median"}}
    for plan, folder in [
        (reduced_plan("difference", **changes), whole),
        (reduced_plan("difference", **changes, algorithm=half), broken),
        (reduced_plan("difference", **changes), broken),
    ]:
        done = reducing(plan, folder, "center", "--state")
        assert done.returncode == 0, done.stderr
    for one, other in zip(results(whole), results(broken), strict=True):
        np.testing.assert_array_equal(one["x"], other["x"])
        assert other["round"] == ROUNDS


_FIXED = {"kind": "l1-qsgd"}  # one call less in a round than with `_VARYING`
_VARYING = {"kind": "qsgd", "levels": 4}
_DEATHS = [  # the first two in the mpi tier
    ("before the packets", "symmetric", 0, "residual", _FIXED),
    ("between lengths and packets", "center", 1, "difference", _VARYING),
    ("before the packets", "center", 3, "difference", _FIXED),
    ("between lengths and packets", "symmetric", 0, "difference", _VARYING),
    ("before the aggregate", "center", 1, "difference", _FIXED),  # rank 1 passes it on to others
    ("before it confirms", "symmetric", 2, "difference", _FIXED),
]


@pytest.mark.parametrize(
    ("instant", "mode", "rank", "feedback", "compressor"),
    [*_DEATHS[:2], *(pytest.param(*each, marks=pytest.mark.system) for each in _DEATHS[2:])],
)
def test_a_rank_that_dies_is_absent_and_the_others_go_on(
    instant: str, mode: str, rank: int, feedback: str, compressor: dict[str, Any], tmp_path: Path
) -> None:
    """The round is made again without the rank, unless all others had it to the end: both are whole rounds."""
    plan, fatal = reduced_plan(feedback, compressor=compressor), 5
    done = reducing(plan, tmp_path, mode, "--die", rank, instant, fatal, ulfm=True)
    assert done.returncode == 0, done.stderr
    alive = [each for each in range(RANKS) if each != rank]
    found = results(tmp_path, alive)
    wanted = [replayed(plan, {rank: first}) for first in (fatal, fatal + 1)]
    for each in found:
        np.testing.assert_array_equal(each["x"], found[0]["x"])
        assert (each["absent"].tolist(), str(each["said"])) == ([rank], "")
    assert any(np.array_equal(found[0]["x"], each) for each in wanted)
    assert f"mpirobust: rank {rank} died in round " in done.stderr


@pytest.mark.system
def test_one_that_dies_before_the_reducer_is_told_of_on_all_ranks(tmp_path: Path) -> None:
    """A reducer on `comm.Shrink()` is one of fewer workers, none of them absent."""
    done = reducing(reduced_plan("none"), tmp_path, "center", "--die", 1, "before the reducer", 0, ulfm=True)
    assert done.returncode == 0, done.stderr
    found = results(tmp_path, [0, 2, 3, 4])
    for each in found:
        np.testing.assert_array_equal(each["x"], found[0]["x"])
        assert (each["absent"].tolist(), int(each["round"]), str(each["said"])) == ([], ROUNDS, "")


@pytest.mark.system
def test_one_dies_in_the_recovery_from_the_other(tmp_path: Path) -> None:
    plan = reduced_plan("residual")
    dying = ("--die", 1, "before the packets", 5, "--die", 3, "in the recovery", 5)
    done = reducing(plan, tmp_path, "symmetric", *dying, ulfm=True)
    assert done.returncode == 0, done.stderr
    for each in results(tmp_path, [0, 2, 4]):
        np.testing.assert_array_equal(each["x"], replayed(plan, {1: 5, 3: 5}))
        assert each["absent"].tolist() == [1, 3]


_CENTER = "rank 0, the center of the reducer, died; start again from the last state of all ranks"
_TOO_MANY = "died, and the rule is set for 2 faulty or absent of 5 ranks"


@pytest.mark.parametrize(
    ("mode", "ranks", "said"),
    [
        ("center", [0], _CENTER),
        pytest.param("center", [1, 2, 4], f"ranks 1-2, 4 {_TOO_MANY}", marks=pytest.mark.system),
        pytest.param("symmetric", [0, 1, 2], f"ranks 0-2 {_TOO_MANY}", marks=pytest.mark.system),
    ],
    ids=["center", "too many in center", "too many in symmetric"],
)
def test_a_death_that_cannot_be_borne_ends_the_call_on_all_ranks(
    mode: str, ranks: list[int], said: str, tmp_path: Path
) -> None:
    dying = [word for rank in ranks for word in ("--die", rank, "before the packets", 4)]
    done = reducing(reduced_plan("none"), tmp_path, mode, *dying, ulfm=True)
    assert done.returncode == 0, done.stderr
    for each in results(tmp_path, [rank for rank in range(RANKS) if rank not in ranks]):
        assert (str(each["said"]), int(each["round"])) == (said, 4)
