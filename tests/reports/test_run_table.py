"""The table of run_table runs: what stands in it, in which order, and that the unfinished are not to be overlooked."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tomli_w

from mpirobust.errors import SetupFault
from mpirobust.files import write_csv
from mpirobust.records.layout import TRACE
from mpirobust.records.trace import Trace
from mpirobust.reports.run_table import as_text, folders, rows, table
from tests.support.small_traces import write_trace


def run(folder: Path, seed: int, status: str = "finished", rounds: int = 5, loss: float = 2.0) -> Path:
    plan = {"seed": seed, "workers": 2, "algorithm": {"rounds": 5}, "aggregator": {"kind": "mean"}}
    trace = Trace(2, np.zeros(0, np.intp), {"plan": tomli_w.dumps(plan)})
    for t in range(1, rounds + 1):
        row = trace.rounds.append()
        row["round"], row["bytes_up"] = t, 10
    audit = trace.audits.append()
    audit["loss"] = loss
    folder.mkdir(parents=True)
    trace.write(folder / TRACE, status, rounds, np.zeros(1))
    return folder


def test_a_folder_without_a_run_stands_for_those_in_it_in_the_order_of_numbers(tmp_path: Path) -> None:
    for seed in (10, 2, 1):
        run(tmp_path / "a" / f"seed-{seed}", seed)
    (tmp_path / "a" / "seed-3").mkdir()
    own = run(tmp_path / "own", 4)
    found = folders([tmp_path / "a", own, own / TRACE])
    assert [folder.name for folder in found] == ["seed-1", "seed-2", "seed-3", "seed-10", "own", "own"]
    with pytest.raises(SetupFault, match="no run at"):
        folders([tmp_path / "elsewhere"])


def test_what_is_not_done_stands_out(tmp_path: Path) -> None:
    good = run(tmp_path / "good", 1)
    lost = run(tmp_path / "lost", 1, "diverged")
    cut = run(tmp_path / "cut", 1, "interrupted", rounds=3)
    bad = run(tmp_path / "bad", 1)
    (bad / TRACE).write_bytes(b"not HDF5" * 100)
    never = tmp_path / "never"
    never.mkdir()
    (never / "slurm.log").touch()
    found = rows([good, lost, cut, bad, never])
    assert [line.status for line in found] == ["finished", "diverged", "interrupted", "damaged", "no run"]
    text = as_text(found)
    assert "2 of 5 done" in text
    assert f"not done: {cut}: interrupted after 3 of 5 rounds\n" in text
    assert f"not done: {bad}: damaged\n" in text
    assert text.endswith(f"not done: {never}: no run; its log is {never / 'slurm.log'}")


def test_a_folder_of_runs_among_runs_is_told_apart_from_one_that_has_none(tmp_path: Path) -> None:
    """An array and a job below one `--out`."""
    run(tmp_path / "job", 1)
    run(tmp_path / "seeds" / "seed-1", 1)
    seeds = tmp_path / "seeds"
    assert f"not done: {seeds}: no run, but runs in its folders: mpirobust report {seeds}" in as_text(
        rows(folders([tmp_path]))
    )


def test_keys_that_differ_are_columns_and_empty_columns_are_not_shown(tmp_path: Path) -> None:
    found = rows([run(tmp_path / "a", 1, loss=1.23456789), run(tmp_path / "b", 22)])
    lines = table(found)
    assert lines[0][:5] == ["run", "seed", "status", "rounds", "loss"]
    assert [row[:5] for row in lines[1:]] == [
        ["a", "1", "finished", "5", "1.23456789"],
        ["b", "22", "finished", "5", "2.0"],
    ]
    text = as_text(found)
    assert " 1.235 " in text
    assert "byzantine_kept_mean" in lines[0]
    assert "byzantine_kept_mean" not in text
    write_csv(tmp_path / "out.csv", lines)
    with (tmp_path / "out.csv").open(newline="") as file:
        assert list(csv.reader(file)) == lines


def test_the_text_is_as_wide_as_the_terminal_and_says_what_has_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kinds and the seed stay longest; the CSV has everything."""
    paths = [
        write_trace(
            tmp_path / f"{step}",
            seed=seed,
            algorithm={"rounds": 2, "kind": f"method-{seed}", **{f"a_rather_long_key_{n}": step for n in range(30)}},
        )
        for seed, step in ((1, 0.5), (2, 0.25))
    ]
    found = rows(paths)
    for width in (80, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        text = as_text(found).splitlines()
        assert max(map(len, text)) <= width
        assert text[0].split()[:2] == ["run", "algorithm"]
        assert "seed" in text[0]
        assert "no room for" in text[3]
    assert "algorithm.a_rather_long_key_29" in table(found)[0]


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    found = rows([write_trace(tmp_path / "x" / "run"), write_trace(tmp_path / "y" / "run", seed=2)])
    assert [row[0] for row in table(found)[1:]] == ["x/run", "y/run"]
