"""`--resume` says what it meets, and `mpirobust resume` needs nothing but the folder."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import tomli_w

from mpirobust.errors import Exit
from mpirobust.reports.summary import summary
from mpirobust.testing.support.clusters import regression_plan
from tests.support.alone import command_alone
from tests.support.launching import REPOSITORY
from tests.support.sealing import resealed
from tests.support.traces import assert_same

_RULES = REPOSITORY / "tests" / "support" / "outside" / "outside_kinds" / "rules.py"
_HUGE = "algorithm.step=1e200"
_SMALL = "stop.loss=2.0"


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.toml"
    path.write_text(regression_plan(checkpoint={"every": 4}, algorithm=_algorithm(10)).toml())
    return path


def _algorithm(rounds: int) -> dict[str, object]:
    return {"kind": "first-order", "rounds": rounds, "step": 0.1}


def run(plan: Path, out: Path, *keys: str, resume: bool = True) -> int:
    sets = [word for key in keys for word in ("--set", key)]
    return command_alone("run", str(plan), "--out", str(out), *sets, *(["--resume"] if resume else []))


def interrupted(out: Path, status: str = "interrupted") -> None:
    """Say in the trace that the run was cut off after its last round."""

    with resealed(out / "run.h5") as file:
        file.attrs["status"] = status


@pytest.mark.parametrize(
    ("before", "cut", "now", "code", "note"),
    [
        (None, False, (), 0, "holds no run to resume: a new one begins"),
        ((), False, (), 0, "has finished already, after 10 rounds: nothing is left to do"),
        ((), False, ("algorithm.rounds=5",), 0, "has finished already, after 10 rounds: nothing is left to do"),
        ((), False, ("algorithm.rounds=12",), 0, ""),
        ((_SMALL,), False, (_SMALL,), 0, "has converged already, after 5 rounds: nothing is left to do"),
        ((_SMALL,), False, (), 0, ""),
        ((_HUGE, "algorithm.rounds=20"), False, (_HUGE, "algorithm.rounds=20"), 3, "has no checkpoint"),
        (("algorithm.rounds=3", "checkpoint.every=50"), True, (), 0, ""),
        (("algorithm.rounds=10",), True, (), 0, ""),
    ],
)
def test_what_a_resume_meets_is_one_note(
    before: tuple[str, ...] | None,
    cut: bool,
    now: tuple[str, ...],
    code: int,
    note: str,
    plan: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    if before is not None:
        run(plan, out, *before, resume=False)
        if cut:
            interrupted(out)
    capsys.readouterr()
    assert run(plan, out, *now) == code
    said = capsys.readouterr().err.splitlines()
    notes = [line for line in said if line.startswith("note: ")]
    assert len(notes) == (1 if note else 0), notes
    assert not note or note in notes[0]
    goes_on = [line for line in said if re.fullmatch(r"goes on after round \d+ of \d+", line)]
    assert len(goes_on) == (0 if note else 1), said


def test_a_finished_run_stays_so_whatever_was_asked_in_between(
    plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    run(plan, out, resume=False)
    run(plan, out, "algorithm.rounds=5")
    capsys.readouterr()
    assert run(plan, out) == 0
    assert "has finished already, after 10 rounds: nothing is left to do" in capsys.readouterr().err


def test_fewer_rounds_than_the_run_was_begun_with(
    plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where an option is forgotten: 8 rounds of 20 are done. A run that is cut short says so, none says finished."""
    out = tmp_path / "out"
    assert run(plan, out, "algorithm.rounds=8", resume=False) == 0
    long = out / "run.h5"

    with resealed(long) as file:
        file.attrs["plan"] = file.attrs["plan"].replace("rounds = 8", "rounds = 20")
        file.attrs["status"] = "interrupted"
    before = long.read_bytes()
    assert run(plan, out, "algorithm.rounds=6") == Exit.SETUP
    said = capsys.readouterr().err
    assert f"the run in {out} has done 8 of 20 rounds, and the plan asks for 6; give --set algorithm.rounds=20" in said
    assert long.read_bytes() == before
    assert run(plan, out) == 0  # 10
    assert f"note: the run in {out} was begun with 20 rounds, and now ends after 10" in capsys.readouterr().err
    assert summary(out)["rounds"] == 10


def test_nothing_but_the_folder(plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = ("seed=7", "algorithm.rounds=5", "algorithm.step=0.05")
    assert run(plan, tmp_path / "cut", *keys, resume=False) == 0
    assert run(plan, tmp_path / "plain", *keys, resume=False) == 0
    plan.unlink()
    monkeypatch.chdir(tmp_path / "cut")
    assert command_alone("resume", ".", "--set", "algorithm.rounds=12") == 0
    assert command_alone("resume", str(tmp_path / "cut" / "run.h5"), "--set", "algorithm.rounds=14") == 0
    assert command_alone("resume", str(tmp_path / "plain"), "--set", "algorithm.rounds=14") == 0
    plan.write_text(regression_plan(checkpoint={"every": 4}, algorithm=_algorithm(14)).toml())
    assert run(plan, tmp_path / "whole", "seed=7", "algorithm.step=0.05", resume=False) == 0
    assert_same(tmp_path / "whole", tmp_path / "cut")
    assert_same(tmp_path / "whole", tmp_path / "plain")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["resume", "nowhere"], "nowhere holds no run to resume"),
        (
            ["resume", "out", "--set", "algorithm.step=0.2"],
            "another plan: algorithm.step was 0.1, is 0.2",
        ),
        (["resume", "out", "--set", "algorithm.rounds=ten"], "run.h5: algorithm.rounds: "),
        (["run", "out", "--resume"], "out is a run and no plan; mpirobust resume out continues it"),
        (["run", "out/run.h5"], "out/run.h5 is a run and no plan; mpirobust resume out/run.h5 continues it"),
    ],
)
def test_what_is_refused(
    command: list[str],
    said: str,
    plan: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    run(plan, tmp_path / "out", resume=False)
    before = (tmp_path / "out" / "run.h5").read_bytes()
    capsys.readouterr()
    assert command_alone(*command) == Exit.SETUP
    shown = capsys.readouterr().err
    assert said in shown
    assert shown.count("mpirobust: ") == 1
    assert (tmp_path / "out" / "run.h5").read_bytes() == before


def test_data_beside_the_plan_are_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there, elsewhere = tmp_path / "there", tmp_path / "elsewhere"
    there.mkdir()
    elsewhere.mkdir()
    (there / "rows.svm").write_text("".join(f"{row % 2} 1:0.{row} 2:1\n" for row in range(20)))
    table = {**regression_plan(algorithm=_algorithm(3)).table(), "data": {"kind": "libsvm", "path": "rows.svm"}}
    (there / "plan.toml").write_text(tomli_w.dumps(table))
    monkeypatch.setenv("MPIROBUST_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(there)
    assert run(Path("plan.toml"), tmp_path / "out", resume=False) == 0
    monkeypatch.chdir(elsewhere)
    more = ("resume", str(tmp_path / "out"), "--set")
    assert command_alone(*more, "algorithm.rounds=4") == 0

    with resealed(tmp_path / "out" / "run.h5") as file:
        del file.attrs["plan_file"]  # as earlier versions wrote it
    capsys.readouterr()
    assert command_alone(*more, "algorithm.rounds=5") == Exit.SETUP
    said = capsys.readouterr().err
    assert f"run.h5 does not say where the plan was: mpirobust run PLAN --out {tmp_path / 'out'} --resume takes" in said
    monkeypatch.chdir(there)
    assert command_alone(*more, "algorithm.rounds=5") == 0


@pytest.mark.parametrize("form", ["file", "observer"])
def test_nothing_is_imported_because_a_file_names_it(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also not by the name of an observer without a kind; and a file of that name elsewhere is not the one allowed."""
    trap = tmp_path / "imported"
    (tmp_path / "rules.py").write_text(f"{_RULES.read_text()}\nopen({str(trap)!r}, 'w').close()\n")
    kind = "./rules.py:Shorten"
    text = regression_plan(algorithm=_algorithm(3)).toml().replace('kind = "mean"', f'kind = "{kind}"')
    (tmp_path / "plan.toml").write_text(text)
    assert run(tmp_path / "plan.toml", tmp_path / "out", resume=False) == 0
    if form == "observer":
        with resealed(tmp_path / "out" / "run.h5") as file:
            plain = regression_plan(algorithm=_algorithm(3)).toml()
            file.attrs["plan"] = plain + f'\n[observers."{tmp_path / "rules"}.py:Shorten"]\n'
    _forget_modules()
    trap.unlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(_RULES, elsewhere / "rules.py")
    monkeypatch.chdir(elsewhere)
    resume = ("resume", str(tmp_path / "out"), "--set", "algorithm.rounds=4")
    capsys.readouterr()
    for allowed in ([], ["--allow-kind", kind], ["--allow-kind", "os:path"]):
        assert command_alone(*resume, *allowed) == Exit.SETUP
        said = capsys.readouterr().err
        assert f"is code from outside mpirobust; to run it, give --allow-kind {tmp_path}/rules.py:Shorten" in said
        assert not trap.exists()
    if form == "file":
        own = os.path.relpath(tmp_path / "rules.py")
        assert command_alone(*resume, "--allow-kind", f"{own}:Shorten") == 0
        assert trap.exists()


def _forget_modules() -> None:
    for name in [each for each in sys.modules if each.startswith("mpirobust_outside_")]:
        del sys.modules[name]
