"""Curves of several runs: their names, which runs are averaged, and which are equal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpirobust.errors import SetupFault
from mpirobust.reports.groups import aligned, equal, grouped
from mpirobust.reports.run_table import RunRow


def row(name: str, plan: Mapping[str, Any] | None = None, status: str = "finished") -> RunRow:
    return RunRow(Path("/runs") / name, status, 5, {"seed": 1, "aggregator.kind": "trim", **(plan or {})}, {})


_TRIM, _MEAN = {"aggregator.beta": 0.1}, {"aggregator.kind": "mean"}
_TWO = {"seed": 2}


@pytest.mark.parametrize(
    ("runs", "by", "labels"),
    [
        ([row("a")], [], ["a"]),
        ([row("a"), row("b", _TWO)], [], ["seed=1", "seed=2"]),
        ([row("a", _TRIM), row("b", _MEAN)], [], ["aggregator=trim, beta=0.1", "aggregator=mean"]),
        ([row("a", {"attack.kind": "x"}), row("b")], [], ["attack=x", "no attack"]),
        ([row("x/run"), row("y/run")], [], ["x/run", "y/run"]),
        ([row("a"), row("b", _TWO), row("c", _TWO)], [], ["seed=1", "seed=2 (b)", "seed=2 (c)"]),
        (
            [row("a", {"data.rows": 1}), row("b", {"data.rows": 2, "x.rows": 3})],
            [],
            ["data.rows=1", "data.rows=2, x.rows=3"],
        ),
        ([row("a"), row("b", _TWO)], ["seed"], ["2 seeds"]),
        (
            [row("a", _TRIM), row("b", _MEAN | _TWO)],
            ["seed"],
            ["aggregator=trim, beta=0.1 (1 seed)", "aggregator=mean (1 seed)"],
        ),
        ([row("a"), row("a")], [], ["a"]),  # given twice
    ],
)
def test_names(runs: list[RunRow], by: list[str], labels: list[str]) -> None:
    assert [group.label for group in grouped(runs, by)] == labels


def test_a_long_name_has_only_the_keys_that_it_takes() -> None:
    many = {f"data.key_{n}": "a long value" for n in range(9)}
    found = grouped([row("a", many | {"attack.kind": "x"}), row("b", {"attack.kind": "y"})])
    assert [group.label for group in found] == ["attack=x", "attack=y"]
    found = grouped([row("a", many), row("b", many | {"data.key_3": "another"}), row("c")])
    assert [group.label for group in found] == ["key_3=a long value", "key_3=another", "c"]


def test_runs_that_differ_in_the_keys_of_by_alone_are_averaged() -> None:
    runs = [row(f"{kind}-{seed}", {"seed": seed, "aggregator.kind": kind}) for kind in "ab" for seed in (1, 2, 3)]
    found = grouped(runs, ["seed"])
    assert [[run.folder.name for run in group.runs] for group in found] == [
        ["a-1", "a-2", "a-3"],
        ["b-1", "b-2", "b-3"],
    ]
    (one,) = grouped(runs, ["seed", "aggregator.kind"])
    assert (len(one.runs), one.label) == (6, "6 runs")


@pytest.mark.parametrize(
    ("by", "labels", "message"),
    [
        (["sed"], [], r"no plan has the key 'sed' \(did you mean 'seed'\?\)"),
        ([], ["one"], "--label: 1 given, 2 needed, for seed=1; seed=2"),
        ([], ["one", "one"], "two curves have one label"),
    ],
)
def test_what_is_asked_for_wrongly(by: list[str], labels: list[str], message: str) -> None:
    with pytest.raises(SetupFault, match=message):
        grouped([row("a"), row("b", _TWO)], by, labels)


def test_runs_are_aligned_by_rounds_and_end_with_the_shortest_that_is_not_over() -> None:
    rounds = [np.array([0, 2, 4]), np.array([0, 3])]
    columns = [np.array([8.0, 4.0, 2.0]), np.array([7.0, 1.0])]
    every, values = aligned([row("a"), row("b")], rounds, columns)
    assert every.tolist() == [0, 2, 3, 4]
    assert values.tolist() == [[8, 4, 4, 2], [7, 7, 1, 1]]
    every, values = aligned([row("a"), row("b", status="running")], rounds, columns)
    assert every.tolist() == [0, 2, 3]
    every, _ = aligned([row("a")], [np.zeros(0, np.int64)], [np.zeros(0)])
    assert every.size == 0


def test_equal_curves_are_found() -> None:
    one, other = np.array([1.0, np.nan]), np.array([1.0, 2.0])
    assert equal({"a": one, "b": other, "c": one.copy(), "d": other[:1]}) == [["a", "c"]]
