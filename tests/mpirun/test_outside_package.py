"""Kinds of a package outside the tree: installed with pip, run on ranks, resumed, held against the contract tests."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import h5py
import pytest

from tests.docs.pages import complete_blocks, steps
from tests.support.launching import REPOSITORY, finish, kill_group, mpirobust, start, until
from tests.support.traces import assert_same

_PACKAGE = REPOSITORY / "tests" / "support" / "outside"
_KINDS = {
    "rules:Shorten": "memory_weight = 0.25",
    "codes:Half": "",
    "feedbacks:Averaged": "momentum = 0.75",
    "observers:Diary": "",
}
_ENDLESS = 10**6
_PLAN = f"""
seed = 4
workers = 12
[feedback]
kind = "outside_kinds.feedbacks:Averaged"
[data]
kind = "regression"
rows = 240
features = 30
[problem]
kind = "least-squares"
[algorithm]
kind = "first-order"
rounds = {_ENDLESS}
step = 0.2
[compressor]
kind = "outside_kinds.codes:Half"
[aggregator]
kind = "shorten"
[attack]
kind = "gaussian"
alpha = 0.25
[checkpoint]
every = 20
[observers.diary]
kind = "outside_kinds.observers:Diary"
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The environment in which the package is installed beside mpirobust."""
    place = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source") / "outside"
    _copy(_PACKAGE, source)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    done = subprocess.run([*pip, "--target", str(place), str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {"PYTHONPATH": f"{place}{os.pathsep}{REPOSITORY}"}


def _copy(source: Path, target: Path) -> None:
    """Copy the package, since building it leaves files beside it."""
    for path in source.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.toml"
    path.write_text(_PLAN)
    return path


def test_runs_on_ranks_and_resumes_to_the_same_bits(plan: Path, tmp_path: Path, installed: Mapping[str, str]) -> None:
    """The one test in which a rule, a code, a feedback and an observer of another package do a whole run."""
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = start("-m", "mpirobust", "run", str(plan), "--out", str(killed), ranks=5, env=installed)
    until(lambda: len([*killed.glob("checkpoint-*.h5")]) > 1, 60, lambda: "nothing is saved")
    kill_group(process)
    process.communicate()
    done = max(int(path.stem.partition("-")[2]) for path in killed.glob("checkpoint-*.h5"))
    more = ("--set", f"algorithm.rounds={done + 30}")
    ended = mpirobust("run", str(plan), "--out", str(killed), "--resume", *more, ranks=3, env=installed)
    assert ended.returncode == 0, ended.stderr
    assert mpirobust("run", str(plan), "--out", str(whole), *more, env=installed).returncode == 0
    assert_same(whole, killed)
    assert f"{done + 30} 12" in (killed / "diary.txt").read_text().splitlines()
    with h5py.File(killed / "run.h5") as run:
        digests = dict(line.split(" ") for line in run.attrs["sources"].splitlines())
    assert digests.keys() == {"aggregator", "compressor", "feedback", "observers.diary"}
    # A file names kinds, and nothing that only reads it imports them.
    assert mpirobust("inspect", str(killed)).returncode == 0
    assert mpirobust("report", str(killed)).returncode == 0


def test_is_listed_and_told_by_check(plan: Path, installed: Mapping[str, str]) -> None:
    listed = mpirobust("list", "aggregator", env=installed)
    assert "shorten" in listed.stdout
    assert str(Path("outside_kinds", "rules.py")) in listed.stdout
    checked = mpirobust("check", str(plan), env=installed)
    assert checked.returncode == 0, checked.stderr
    assert "outside     feedback: outside_kinds.feedbacks:Averaged from " in checked.stdout


def test_one_that_cannot_be_loaded_is_one_message(plan: Path) -> None:
    """Without the package, on three ranks."""
    done = mpirobust("run", str(plan), "--out", str(plan.parent / "out"), ranks=3)
    assert done.returncode == 2
    said = [line for line in done.stderr.splitlines() if line.startswith("mpirobust:")]
    assert len(said) == 1
    assert "cannot be loaded: ModuleNotFoundError" in said[0] or "unknown kind 'shorten'" in said[0]
    assert "Traceback" not in done.stderr


def test_a_source_that_has_changed_is_not_continued(plan: Path, tmp_path: Path) -> None:
    """Another rule under the same name would give other bits."""
    rule = tmp_path / "mine.py"
    rule.write_text((_PACKAGE / "outside_kinds" / "rules.py").read_text())
    own = [
        "aggregator.kind=./mine.py:Shorten",
        "compressor.kind=identity",
        "feedback.kind=none",
        "algorithm.rounds=20",
    ]
    text = plan.read_text().partition("[observers")[0]
    plan.write_text(text)
    sets = [word for each in own for word in ("--set", each)]
    run = ("run", str(plan), "--out", str(tmp_path / "out"), *sets)
    assert mpirobust(*run).returncode == 0
    assert mpirobust(*run, "--resume").returncode == 0
    with rule.open("a") as file:
        file.write("# another\n")
    done = mpirobust(*run, "--resume")
    assert done.returncode == 2
    assert "the source of aggregator has changed" in done.stderr


@pytest.mark.parametrize("kind", _KINDS)
def test_passes_the_contract_tests(kind: str, installed: Mapping[str, str]) -> None:
    """The command that docs/ADDING.md gives."""
    command = ["-m", "pytest", "-q", "-p", "mpirobust.testing", "--pyargs", "mpirobust.testing"]
    chosen = ["--kind", f"outside_kinds.{kind}", *(["--keys", _KINDS[kind]] if _KINDS[kind] else [])]
    process = start(*command, "-p", "no:cacheprovider", *chosen, ranks=None, env=installed)
    done = finish(process, timeout=120)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


@pytest.mark.parametrize("page", ["ADDING.md", "OWN_LOSS.md"])
def test_the_contract_tests_pass_as_the_page_calls_them(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone runs the printed command, beside the files of the page and not in the checkout."""
    monkeypatch.chdir(tmp_path)
    for name, content in complete_blocks(page).items():
        Path(name).write_text(content)
    (command,) = (line for what, line in steps(page) if what == "do" and line.startswith("pytest "))
    done = finish(start("-m", *shlex.split(command), ranks=None), timeout=120)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
