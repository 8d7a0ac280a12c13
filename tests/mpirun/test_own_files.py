"""Folders of runs in which there is more than a run, and file systems without locks: alone and on several ranks."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.alone import run_alone
from tests.support.deaths import program
from tests.support.launching import finish, mpirobust, start
from tests.support.sealing import resealed
from tests.support.strangers import FOREIGN, LINKED, PRECIOUS, STRANGERS, traces
from tests.support.traces import assert_same

_PLAN = """
seed = 1
workers = 4
feedback = "residual"
data = { kind = "libsvm", path = "rows.svm" }
problem.kind = "logistic"
algorithm = { kind = "first-order", rounds = 6, step = 0.1 }
compressor = { kind = "topk", k = 1 }
aggregator.kind = "mean"
checkpoint.every = 2
"""
_NO_LOCKS = "#include <errno.h>\nint flock(int file, int how) { errno = ENOLCK; return -1; }\n"


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    rows = "".join(f"{row % 2} 1:{row % 5} 2:{row % 3 - 1} 3:1\n" for row in range(12))
    (tmp_path / "rows.svm").write_text(rows)
    path = tmp_path / "plan.toml"
    path.write_text(_PLAN)
    return path


def _round_of_another(file: Any) -> None:
    file.attrs["round"] = 4


def _memory_of_nan(file: Any) -> None:
    file["memory/residual"][3] = np.nan


def _tail_without_norms(file: Any) -> None:
    del file["tail/rounds/norms"]


_LIES: dict[str, Callable[[Any], None]] = {
    "round": _round_of_another,
    "memory": _memory_of_nan,
    "tail": _tail_without_norms,
}


def _refused(folder: Path, run: Path) -> dict[str, tuple[str, str, str]]:
    """Make the folders; return each with how to run there, and a part of the message."""
    cases = {}
    for name, make in LINKED.items():
        cases[f"lock {name}"] = ("run.lock", make, "", "is a link, hard or soft, or not a regular file")
    for name, make in FOREIGN.items():
        cases[f"run {name}"] = ("run.h5", make, "overwrite", "and is left as it is; choose another folder")
    for name, make in STRANGERS.items():
        cases[f"checkpoint {name}"] = ("checkpoint-000000006.h5", make, "resume", "is not a regular file")
    made = {}
    for case, (name, make, how, message) in cases.items():
        out = folder / case
        shutil.copytree(run, out) if how == "resume" else out.mkdir(parents=True)
        (out / name).unlink(missing_ok=True)
        make(out / name)
        made[case] = (str(out), how, message)
    return made


def test_what_is_no_file_of_ours_ends_all_ranks_with_one_message(plan: Path, tmp_path: Path) -> None:
    """Alone: tests/records/test_own_files.py."""
    cases = _refused(tmp_path / "cases", run_alone(plan, tmp_path / "run"))
    before = traces(tmp_path / "cases")
    told = _met(plan, {case: [out, how] for case, (out, how, _) in cases.items()}, ranks=3)
    for case, (out, _, message) in cases.items():
        assert {code for code, _ in told[case]} == {2}, case
        (said,) = [said for _, said in told[case] if said is not None]
        assert message in said, case
        assert said.startswith(out), case
    after = traces(tmp_path / "cases")
    locks = {name for name in after.keys() - before.keys() if name.endswith("/run.lock")}
    assert {name: found for name, found in after.items() if name not in locks} == before


@pytest.mark.parametrize("ranks", [None, 3])
def test_a_run_goes_on_past_lies_and_copies_to_the_same_bits(ranks: int | None, plan: Path, tmp_path: Path) -> None:
    whole = run_alone(plan, tmp_path / "whole")
    cases = {}
    for name, lie in _LIES.items():
        out = tmp_path / name
        shutil.copytree(whole, out)
        shutil.copy(out / "checkpoint-000000006.h5", out / "checkpoint-keep1.h5")
        (out / ".download.part").write_bytes(PRECIOUS)
        with resealed(out / "checkpoint-000000006.h5") as file:
            lie(file)
        cases[name] = [str(out), "resume"]
    told = _met(plan, cases, ranks)
    for name in _LIES:
        assert {code for code, _ in told[name]} == {0}, told[name]
        assert_same(whole, tmp_path / name)
        assert (tmp_path / name / ".download.part").read_bytes() == PRECIOUS
        assert (tmp_path / name / "checkpoint-keep1.h5").is_file()


@pytest.mark.parametrize("ranks", [None, 3])
def test_a_file_system_without_locks(ranks: int | None, plan: Path, tmp_path: Path) -> None:
    """HDF5 asks for locks by itself: a library that stands before that of the system refuses every one."""
    library = tmp_path / "no_locks.so"
    source = tmp_path / "no_locks.c"
    source.write_text(_NO_LOCKS)
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    env = {"LD_PRELOAD": str(library), "MPIROBUST_CACHE": str(tmp_path / "cache")}
    out = tmp_path / "out"
    run = ["run", str(plan), "--out", str(out)]
    for more in (["--set", "algorithm.rounds=4"], ["--resume"]):
        done = mpirobust(*run, *more, ranks=ranks, env=env)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("note: no file locks here (No locks available)") == 1
    assert_same(run_alone(plan, tmp_path / "whole"), out)
    if ranks is None:
        assert mpirobust("inspect", str(out), "--status", env=env).stdout == "finished\n"


def _met(plan: Path, cases: dict[str, list[str]], ranks: int | None) -> dict[str, list[tuple[int, str | None]]]:
    """Return the code and the message of every rank, for each case: a folder, and how to run there."""
    table = json.dumps({case: [out, how, []] for case, (out, how) in cases.items()})
    done = finish(start(*program("several", plan, table), ranks=ranks), timeout=60)
    assert done.returncode == 0, done.stderr
    told: dict[str, list[tuple[int, str | None]]] = {case: [] for case in cases}
    for line in done.stdout.splitlines():
        case, _, code, message = json.loads(line)
        told[case].append((code, message))
    assert {len(each) for each in told.values()} == {ranks or 1}
    return told
