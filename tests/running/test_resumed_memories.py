"""A run that ends and goes on from its checkpoint has the bits of one that did not, whatever is remembered in it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tomli_w

from mpirobust import catalog
from mpirobust.comm.local import LocalCommunicator
from mpirobust.records.layout import checkpoint_path
from mpirobust.running.experiment import run
from mpirobust.running.setup import RunRequest
from mpirobust.testing.support.clusters import regression_plan
from tests.support.sealing import resealed
from tests.support.traces import SAME

CUT, ROUNDS = 7, 16

CLIPPING = {"kind": "centered-clipping", "radius": 0.3, "start": "previous"}
RULES: dict[str, dict[str, Any]] = {
    "clipping": CLIPPING,
    "nnm": {"kind": "nnm", "beta": 0.3, "rule": CLIPPING},
    "safeguard": {"kind": "safeguard", "T0": 2, "T1": 5},
    "arc": {"kind": "arc", "beta": 0.3, "rule": {"kind": "byzantine-sgd", "V": 1.0, "T_A": 1.0, "T_B": 2.0}},
    "twice": {"kind": "nnm", "beta": 0.3, "rule": {"kind": "nnm", "beta": 0.3, "rule": CLIPPING}},
}
ASKING = [{"kind": "fltrust", "own": 0.5}, {"kind": "zeno", "beta": 0.6}, {"kind": "monna", "beta": 0.4}]
ALGORITHMS: dict[str, dict[str, Any]] = {
    "first-order": {"kind": "first-order", "step": 0.3, "schedule": "inverse-sqrt", "batch": 4},
    "two rounds": {"kind": "cubic-newton", "M": 10.0, "two_rounds": True, "momentum": 0.3},
}
STALE = {"kind": "stale", "alpha": 0.29, "factor": -1.0}
FEEDBACKS = catalog.kinds(catalog.ROOMS["feedback"])


def write_plan(folder: Path, **changes: Any) -> Path:
    table = {"algorithm": ALGORITHMS["first-order"], "compressor": {"kind": "topk", "k": 3}, **changes}
    table["algorithm"] = {**table["algorithm"], "rounds": ROUNDS}
    path = folder / "plan.toml"
    path.write_text(tomli_w.dumps(regression_plan(workers=7, checkpoint={"every": CUT}, **table).table()))
    return path


def ends(path: Path, out: Path, rounds: int = ROUNDS) -> None:
    """Run to its end, or go on from what there is."""
    request = RunRequest(path, (f"algorithm.rounds={rounds}",), out=out, resume=True, quiet=True)
    assert run(request, LocalCommunicator())[0] == 0


def cut_and_whole(path: Path, between: Callable[[Path], None] = lambda _: None) -> tuple[Path, Path]:
    """A run that went on from an odd round and one that did not end; `between` is done to the checkpoint."""
    cut, whole = path.parent / "cut", path.parent / "whole"
    ends(path, whole)
    ends(path, cut, CUT + 1)
    checkpoint_path(cut, CUT + 1).unlink()
    between(checkpoint_path(cut, CUT))
    ends(path, cut)
    return cut, whole


def differing(one: Path, other: Path) -> list[str]:
    """The columns that are not the same to the bit."""
    with h5py.File(one / "run.h5") as found, h5py.File(other / "run.h5") as expected:
        assert found["rounds/round"].size == expected["rounds/round"].size == ROUNDS
        return [name for name in SAME if found[name][:].tobytes() != expected[name][:].tobytes()]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_a_rule_and_an_attacker_remember_outlives_the_run(rule: str, algorithm: str, tmp_path: Path) -> None:
    path = write_plan(tmp_path, aggregator=RULES[rule], attack=STALE, algorithm=ALGORITHMS[algorithm])
    cut, whole = cut_and_whole(path)
    assert differing(cut, whole) == []
    with h5py.File(checkpoint_path(whole, ROUNDS)) as file:
        assert set(file["rule"]) == ({"0", "1"} if algorithm == "two rounds" else {"0"})
        assert file["attack/mean"].shape == (8,)


@pytest.mark.parametrize("rule", ASKING, ids=lambda rule: rule["kind"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_the_center_asks_its_own_rows_is_of_the_round(
    rule: dict[str, Any], algorithm: str, tmp_path: Path
) -> None:
    """Also where an answer draws a batch."""
    attack = {"kind": "sign-flip", "alpha": 0.29}
    path = write_plan(tmp_path, aggregator=rule, attack=attack, algorithm=ALGORITHMS[algorithm], center_rows=10)
    cut, whole = cut_and_whole(path)
    assert differing(cut, whole) == []


@pytest.mark.parametrize(
    "attack",
    [
        {"kind": "tuned", "alpha": 0.29, "inner": {"kind": "drift"}, "evaluations": 9},
        {"kind": "rop", "alpha": 0.29},
        {"kind": "poisoned", "alpha": 0.29, "rounds": 3},
        {"kind": "lone-support", "alpha": 0.29},
    ],
    ids=lambda attack: attack["kind"],
)
def test_what_an_attacker_remembers_outlives_the_run(attack: dict[str, Any], tmp_path: Path) -> None:
    path = write_plan(tmp_path, aggregator=CLIPPING, attack=attack, feedback="difference")
    cut, whole = cut_and_whole(path)
    assert differing(cut, whole) == []


@pytest.mark.parametrize("feedback", FEEDBACKS)
def test_what_a_feedback_keeps_outlives_the_run(feedback: str, tmp_path: Path) -> None:
    path = write_plan(tmp_path, feedback=feedback, aggregator=RULES["nnm"], attack=STALE)
    cut, whole = cut_and_whole(path)
    assert differing(cut, whole) == []


def test_an_attacker_that_reads_its_due_messages_outlives_the_run(tmp_path: Path) -> None:
    """Its workers have absorbed those, the center what was sent: both halves of the memory are in the checkpoint."""
    liar = {"kind": "lying-scale", "alpha": 0.29, "lie": "negative"}
    path = write_plan(tmp_path, feedback="difference", aggregator={"kind": "mean"}, attack=liar)
    cut, whole = cut_and_whole(path)
    assert differing(cut, whole) == []
    with h5py.File(checkpoint_path(whole, ROUNDS)) as file:
        of_center, of_workers = file["memory/state"][:], file["memory/state_of_workers"][:]
        apart = np.flatnonzero((of_center != of_workers).any(axis=1))
    with h5py.File(whole / "run.h5") as run:
        np.testing.assert_array_equal(apart, run["workers/byzantine"][:])


@pytest.mark.parametrize("downlink", [{"kind": "uniform"}, {"kind": "randomk", "k": 3}])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_the_workers_hold_of_the_way_down_outlives_the_run(
    algorithm: str, downlink: dict[str, Any], tmp_path: Path
) -> None:
    cut, whole = cut_and_whole(write_plan(tmp_path, downlink=downlink, algorithm=ALGORITHMS[algorithm]))
    assert differing(cut, whole) == []
    with h5py.File(checkpoint_path(whole, ROUNDS)) as file:
        held = {kind: len(file[f"downlink/{kind}"]) for kind in file["downlink"]}
        assert held == ({"0": 2, "1": 1} if algorithm == "two rounds" else {"0": 1})


@pytest.mark.parametrize("lost", ["rule", "attack"])
def test_without_its_memory_it_would_be_another_run(lost: str, tmp_path: Path) -> None:
    """So that the tests above are none of a memory that does not matter."""

    def forget(checkpoint: Path) -> None:
        with resealed(checkpoint) as file:
            del file[lost]

    cut, whole = cut_and_whole(write_plan(tmp_path, aggregator=CLIPPING, attack=STALE), forget)
    assert "model/x" in differing(cut, whole)


@pytest.mark.parametrize("feedback", [kind for kind in FEEDBACKS if kind != "none"])
def test_a_checkpoint_of_the_first_version_goes_on(feedback: str, tmp_path: Path) -> None:
    """It has the one memory of a feedback as `residuals`, and none of rules and attackers."""

    def made_old(checkpoint: Path) -> None:
        with resealed(checkpoint) as file:
            (name,) = (name for name in file["memory"] if not name.endswith("_of_workers"))
            file.move(f"memory/{name}", "residuals")
            del file["memory"]
            assert set(file) == {"residuals", "state", "tail"}

    rule, attack = {"kind": "norm-trim", "beta": 0.3}, {"kind": "collude", "alpha": 0.29}
    cut, whole = cut_and_whole(write_plan(tmp_path, feedback=feedback, aggregator=rule, attack=attack), made_old)
    assert differing(cut, whole) == []


def test_a_plan_of_the_first_version_goes_on(tmp_path: Path) -> None:
    """It says nothing of what a rule may begin with: it was the geometric median."""
    clipping = {"kind": "centered-clipping", "radius": 0.3}
    nested = {"kind": "nnm", "beta": 0.3, "rule": {"kind": "nnm", "beta": 0.3, "rule": clipping}}
    for at, (rule, level) in enumerate(product((clipping, nested), ("", "weigh"))):
        folder = tmp_path / str(at)
        folder.mkdir()
        path = write_plan(folder, aggregator=rule)
        out = folder / "out"
        ends(path, out, CUT)
        with resealed(out / "run.h5") as file:
            plan = str(file.attrs["plan"])
            assert plan.count('start = "geometric-median"\n') == 1
            plan = plan.replace('start = "geometric-median"\n', "")
            file.attrs["plan"] = plan.replace('weigh = "equal"\n', "") if level else plan
        ends(path, out)


def test_another_start_is_another_plan(tmp_path: Path) -> None:
    path, out = write_plan(tmp_path, aggregator=CLIPPING), tmp_path / "out"
    ends(path, out, CUT)
    write_plan(tmp_path, aggregator={**CLIPPING, "start": "geometric-median"})
    with pytest.raises(Exception, match=r"aggregator\.start was 'previous', is 'geometric-median'"):
        ends(path, out)


@pytest.mark.parametrize("feedback", FEEDBACKS)
def test_the_memories_of_the_checkpoint_are_those_of_both_ends(feedback: str, tmp_path: Path) -> None:
    """Two runs of other lengths agree in the file of the same round: nothing in it is from later."""
    path = write_plan(tmp_path, feedback=feedback, aggregator=RULES["clipping"], attack=STALE)
    long, short = tmp_path / "long", tmp_path / "short"
    ends(path, long, CUT + 1)  # which has a file of the round before as well
    ends(path, short, CUT)
    with h5py.File(checkpoint_path(long, CUT)) as one, h5py.File(checkpoint_path(short, CUT)) as other:
        names: list[str] = []
        one.visit(names.append)
        kept = [name for name in names if name.startswith(("memory/", "rule/0/", "attack/", "state/"))]
        assert {"rule/0/v", "attack/mean", "state/x"} <= set(kept)
        for name in kept:
            np.testing.assert_array_equal(one[name][()], other[name][()], err_msg=name)


@pytest.mark.parametrize("feedback", [kind for kind in FEEDBACKS if kind != "none"])
def test_memory_that_was_lost_before_the_checkpoint_is_told(
    feedback: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def lose(checkpoint: Path) -> None:
        with resealed(checkpoint) as file:
            file["lost"] = np.array([1, 4])
            for rows in file["memory"].values():
                rows[[1, 4]] = 0.0

    cut, whole = cut_and_whole(write_plan(tmp_path, feedback=feedback, aggregator=RULES["nnm"]), lose)
    assert (
        f"workers 1, 4: what feedback had kept was lost with a rank before round {CUT + 1}" in capsys.readouterr().err
    )
    assert "model/x" in differing(cut, whole)
    with h5py.File(cut / "run.h5") as run:
        assert np.argwhere(run["rounds/reset"][:]).tolist() == [[CUT, 1], [CUT, 4]]


@pytest.mark.parametrize("lost", [np.array([7]), np.array([-1]), np.array([1.0]), np.array([[1]])])
def test_a_checkpoint_that_lost_what_there_is_not_is_passed_over(
    lost: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def damage(checkpoint: Path) -> None:
        with resealed(checkpoint) as file:
            file["lost"] = lost

    cut, whole = cut_and_whole(write_plan(tmp_path, feedback="residual"), damage)
    assert f"passed over {checkpoint_path(cut, CUT)}" in capsys.readouterr().err
    assert differing(cut, whole) == []
