"""`start`: a run begins from the iterate of another, and needs the other no more once it has begun."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from mpirobust.errors import Exit, PlanFault
from mpirobust.running import root
from mpirobust.running.setup import RunRequest, build_rank
from mpirobust.testing.support.clusters import regression_plan
from tests.support.alone import command_alone
from tests.support.sealing import resealed
from tests.support.traces import assert_same


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a plan of 10 rounds and the finished run `first`."""
    monkeypatch.chdir(tmp_path)
    algorithm = {"kind": "first-order", "rounds": 10, "step": 0.1, "radius": 2.0, "around": "start"}
    coded = {"kind": "uniform", "bits": 8}
    Path("plan.toml").write_text(regression_plan(algorithm=algorithm, downlink=coded, checkpoint={"every": 4}).toml())
    assert _run("first") == Exit.OK
    return tmp_path


def _run(out: str, *keys: str, resume: bool = False) -> int:
    sets = [word for key in keys for word in ("--set", key)]
    return command_alone("run", "plan.toml", "--out", out, *sets, *(["--resume"] if resume else []))


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("source", ["first", "first/run.h5", "first/model.npz", "~/first"])
def test_round_0_is_where_the_other_run_ended(source: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert command_alone("export", "first") == Exit.OK
    assert _run("second", f"start={source}") == Exit.OK
    with h5py.File("first/run.h5") as first, h5py.File("second/run.h5") as second:
        assert np.array_equal(second["model/start"], first["model/x"])
        assert second["audits/loss"][0] == first["audits/loss"][-1]
        assert second["audits/loss"][-1] < second["audits/loss"][0]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("at_checkpoint", [True, False])
def test_goes_on_in_the_same_bits_when_the_other_run_is_gone(at_checkpoint: bool) -> None:
    """From a checkpoint, and from round 0 again; the ball W and the coded way down begin at the start as well."""
    assert _run("whole", "start=first", "algorithm.rounds=12") == Exit.OK
    assert _run("second", "start=first", "algorithm.rounds=6") == Exit.OK
    shutil.rmtree("first")
    if not at_checkpoint:
        for path in Path("second").glob("checkpoint-*.h5"):
            path.unlink()
    with resealed(Path("second/run.h5")) as file:
        file.attrs["status"] = "interrupted"
    assert _run("second", "start=first", "algorithm.rounds=12", resume=True) == Exit.OK
    assert_same(Path("whole"), Path("second"))


@pytest.mark.usefixtures("folder")
def test_a_start_that_has_changed_is_another_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("second", "start=first", "algorithm.rounds=6") == Exit.OK
    assert _run("whole", "start=first", "algorithm.rounds=9") == Exit.OK
    assert _run("first", "algorithm.rounds=20", resume=True) == Exit.OK
    capsys.readouterr()
    assert _run("second", "start=first", "algorithm.rounds=9", resume=True) == Exit.SETUP
    said = capsys.readouterr().err
    assert "start: first has changed since the run in second began; choose another --out, or continue with" in said
    assert command_alone("resume", "second", "--set", "algorithm.rounds=9") == Exit.OK
    assert_same(Path("whole"), Path("second"))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def _overflow(path: Path) -> None:
    with resealed(path) as file:
        file["model/x"][0] = np.inf


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("source", "change", "keys", "message"),
    [
        ("nowhere", None, (), "no run or file 'nowhere'; looked for "),
        ("plan.toml", None, (), "plan.toml: damaged, or not a run of mpirobust"),
        ("first/model.npz", _cut, (), "not a whole npz file"),
        ("model.pt", Path.touch, (), "model.pt: expected a run or an npz file, and no state_dict of PyTorch"),
        ("first/run.h5", _cut, (), "damaged"),
        ("first/run.h5", _overflow, (), "its parameters are not finite"),
        ("first", None, ("data.features=9",), "has 8 parameters; the problem of this plan has 9"),
        ("", None, (), "expected a path"),
    ],
)
def test_what_cannot_be_a_start_is_one_message(
    source: str, change: object, keys: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_alone("export", "first") == Exit.OK
    if callable(change):
        change(Path(source))
    capsys.readouterr()
    assert _run("second", f"start={source}", *keys) == Exit.SETUP
    said = capsys.readouterr().err
    assert re.match(r"mpirobust: \S+\.toml: start: ", said)
    assert message in said
    assert not Path("second").exists()


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["old.npz", "old.pt"])
def test_the_folder_of_a_run_has_any_name(name: str) -> None:
    Path("first").rename(name)
    assert _run("second", f"start={name}", "algorithm.rounds=1") == Exit.OK


@pytest.mark.usefixtures("folder")
def test_every_rank_begins_where_the_center_does() -> None:
    """The other run may go on between the two, or its folder may be another on this host."""
    request = RunRequest(Path("plan.toml"), ["start=first"], Path("second"), quiet=True)
    setup = root.prepare(request, 1)
    with h5py.File("first/run.h5") as file:
        x = file["model/x"][:]
    assert np.array_equal(build_rank(setup, range(6), survives=False).x0, x)
    assert _run("first", "algorithm.rounds=11", resume=True) == Exit.OK
    with pytest.raises(PlanFault, match=r"start: .*first has changed since the center read it"):
        build_rank(setup, range(6), survives=False)


@pytest.mark.usefixtures("folder")
def test_parts_of_other_shapes_are_no_start(capsys: pytest.CaptureFixture[str]) -> None:
    """A network of as many parameters would take the numbers in another order."""
    one, other = "problem.kind=network", "data.kind=npz"
    rng = np.random.default_rng(1)
    np.savez("rows.npz", X=rng.standard_normal((40, 6)), y=np.arange(40) % 2)
    np.savez("wide.npz", X=rng.standard_normal((40, 5)), y=np.arange(40) % 2)
    common = (one, other, "problem.classes=2", "algorithm.rounds=1")
    assert _run("six", *common, "data.path=rows.npz", "problem.hidden=[8]") == Exit.OK
    assert _run("five", *common, "data.path=wide.npz", "problem.hidden=[9]", "start=six") == Exit.SETUP
    assert "six has parts of the shapes [(6, 8), (8,), (8, 2), (2,)]" in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_check_measures_at_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_alone("check", "plan.toml", "--set", "start=first") == Exit.OK
    assert f"start       {Path.cwd() / 'first'}" in capsys.readouterr().out
