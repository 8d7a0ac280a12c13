"""Ranks that do not fit together: other arguments are refused, another folder is told."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from mpirobust.errors import SetupFault
from mpirobust.running.ranks import RankFacts, expect_same_arguments, expect_same_kernels, facts, with_threads
from mpirobust.running.root import begin, prepare
from mpirobust.running.setup import RunRequest, build_rank
from mpirobust.testing.support.clusters import regression_plan

_REQUEST = RunRequest(Path("p.toml"), ("seed=1",), Path("out"))


def told(number: int, request: RunRequest) -> RankFacts:
    return RankFacts(**json.loads(facts(number, request, "")))


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (replace(_REQUEST, plan=Path("q.toml")), "PLAN 'q.toml' instead of PLAN 'p.toml'"),
        (replace(_REQUEST, overrides=("seed=2",)), "--set 'seed=2' instead of --set 'seed=1'"),
        (replace(_REQUEST, overrides=("seed=1", "workers=3")), "--set 'seed=1 workers=3' instead of --set 'seed=1'"),
        (replace(_REQUEST, overrides=()), "--set '' instead of --set 'seed=1'"),
        (replace(_REQUEST, out=Path("out2")), "--out 'out2' instead of --out 'out'"),
        (replace(_REQUEST, out=None), "--out '' instead of --out 'out'"),
        (replace(_REQUEST, threads=2), "--threads '2' instead of --threads ''"),
        (replace(_REQUEST, resume=True), "--resume 'yes' instead of --resume 'no'"),
        (replace(_REQUEST, overwrite=True), "--overwrite 'yes' instead of --overwrite 'no'"),
        (replace(_REQUEST, out=None, resume=True), "--out '', --resume 'yes' instead of --out 'out', --resume 'no'"),
    ],
)
def test_other_arguments_are_refused(other: RunRequest, says: str) -> None:
    ranks = [told(0, _REQUEST), told(1, replace(_REQUEST, ends=1.0)), told(2, other)]
    with pytest.raises(SetupFault, match="rank 2 was given other arguments than rank 0") as fault:
        expect_same_arguments(ranks)
    assert says in str(fault.value)


def test_another_folder_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ranks = [told(0, _REQUEST)]
    expect_same_arguments([*ranks, told(1, _REQUEST)])
    assert capsys.readouterr().err == ""
    monkeypatch.chdir(tmp_path)
    expect_same_arguments([*ranks, told(1, _REQUEST), told(2, _REQUEST)])
    assert capsys.readouterr().err.count(f"rank 1 was started in {tmp_path}, rank 0 in {ranks[0].folder}") == 1


def test_a_folder_that_is_gone_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert told(0, _REQUEST).folder == "a folder that is gone"


@pytest.mark.parametrize(
    ("cores", "expected"),
    [
        (["a: 0 1 2 3"], [4]),
        (["a: 0 1 2 3"] * 2, [2, 2]),
        (["a: 0 1 2 3"] * 3, [1, 1, 1]),
        (["a: 0 1"] * 21, [1] * 21),
        (["a: 0 1 2", "b: 0 1 2"], [3, 3]),  # the same numbers on another machine
        (["a: 0 1", "a: 2 3 4"], [2, 3]),  # bound by the launcher
        (["a: 0 1 2 3", "a: 0 1"], [3, 1]),
        (["a: 0 1 2 3 4 5"] * 3, [2, 2, 2]),
    ],
)
def test_ranks_share_the_cores_of_their_machine(cores: list[str], expected: list[int]) -> None:
    ranks = []
    for number, text in enumerate(cores):
        host, numbers = text.split(":")
        mine = list(map(int, numbers.split()))
        ranks.append(replace(told(number, _REQUEST), host=host, cores=mine, works=True))
    assert [rank.threads for rank in with_threads(ranks, None)] == expected
    assert [rank.threads for rank in with_threads(ranks, 3)] == [3] * len(ranks)
    idle = [replace(rank, works=False) for rank in ranks]
    assert [rank.threads for rank in with_threads(idle, None)] == [1] * len(ranks)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no processes")
def test_cores_are_those_that_the_launcher_has_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {7, 3})
    assert told(0, _REQUEST).cores == [3, 7]


@pytest.mark.parametrize(
    ("blas", "refused"),
    [
        (["a Haswell"], False),
        (["a Haswell", "a Zen", "a Zen"], False),  # the center hosts no worker
        (["a Haswell", "a Haswell", "a Zen"], True),
        (["a Haswell", "a Haswell", "b Haswell"], True),
    ],
)
def test_redundant_workers_have_the_same_kernels(blas: list[str], refused: bool) -> None:
    ranks = [replace(told(number, _REQUEST), blas=text) for number, text in enumerate(blas)]
    if not refused:
        return expect_same_kernels(ranks)
    with pytest.raises(SetupFault, match="redundancy: the ranks use different kernels of BLAS") as fault:
        expect_same_kernels(ranks)
    assert f"rank 2: {blas[2]}; set OPENBLAS_CORETYPE" in str(fault.value)
    return None


def test_a_center_that_replays_has_the_kernels_of_the_workers(tmp_path: Path) -> None:
    """Else it would name honest workers."""
    path = tmp_path / "plan.toml"
    path.write_text(regression_plan(audit={"replay": 0.5}).toml())
    setup = prepare(RunRequest(path, out=tmp_path / "out"), 3)
    ranks = [
        replace(told(number, _REQUEST), blas=text) for number, text in enumerate(["a Zen", "a Haswell", "a Haswell"])
    ]
    with pytest.raises(SetupFault, match=r"audit\.replay: the ranks use different kernels of BLAS"):
        begin(setup, build_rank(setup, [], survives=False), {}, ranks)
