"""The picture of a matrix has attacks by rules under each code, and the worst attack last."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpirobust.studies import matrix
from mpirobust.studies.campaign import Job
from mpirobust.studies.family import Matrix, Rule, Variant
from mpirobust.studies.matrix import WORST, Cell, Grid
from mpirobust.studies.outcome import Outcome

FINALS = {  # of two seeds, by code, rule and attack
    ("c", "r", "a1"): [1.0, 3.0],
    ("c", "r", "a2"): [4.0, 6.0],
    ("c", "s", "a1"): [9.0, 9.0],
    ("c", "s", "a2"): [8.0, 0.0],
    ("c", "t", "a1"): [7.0, np.inf],
    ("c", "t", "a2"): [1.0, 1.0],
}


def axis(*labels: str) -> tuple[Variant, ...]:
    return tuple(Variant(label=label) for label in labels)


ASKED = Matrix(
    title="a matrix",
    plan="plan.toml",
    metric="distance",
    seeds=(1, 2),
    codes=axis("c", "d"),
    rules=tuple(Rule(label=label) for label in "rst"),
    attacks=axis("a1", "a2"),
)


def cells(codes: str) -> tuple[Cell, ...]:
    return tuple(
        Cell(attack, rule, code, {seed: Job(Path(), (), 1, Path(code, rule, attack)) for seed in (1, 2)})
        for code, rule, attack in product(codes, "rst", ("a1", "a2"))
    )


def test_means_over_seeds_and_the_worst_over_attacks(monkeypatch: pytest.MonkeyPatch) -> None:
    finals = {**FINALS, **{("d", *key[1:]): [2 * value for value in values] for key, values in FINALS.items()}}
    drawn: list[Any] = []
    monkeypatch.setattr(matrix, "draw_heatmaps", lambda *arguments: drawn.extend(arguments))
    monkeypatch.setattr(matrix, "outcome", lambda folders, _: of(finals[tuple(folders[0].parts)]))
    Grid("grid", ASKED, cells("cd")).draw(Path("out"))
    tables, rows, columns, *_, start = drawn
    assert (rows, columns, start) == (["a1", "a2", WORST], ["r", "s", "t"], 10.0)
    np.testing.assert_array_equal(tables["c"], [[2, 9, np.inf], [5, 4, 1], [5, 9, np.inf]])
    np.testing.assert_array_equal(tables["d"], 2 * tables["c"])


def test_a_picture_of_the_worst_cases_has_a_row_for_each_code(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(matrix, "draw_heatmaps", lambda *arguments: drawn.extend(arguments))
    monkeypatch.setattr(matrix, "outcome", lambda folders, _: of(FINALS[tuple(folders[0].parts)]))
    asked = replace(ASKED, codes=axis("c"), picture="worst")
    Grid("grid", asked, cells("c")).draw(Path("out"))
    tables, rows, columns, *_ = drawn
    assert (rows, columns) == (["c"], ["r", "s", "t"])
    np.testing.assert_array_equal(tables[""], [[5, 9, np.inf]])


def of(finals: list[float]) -> Outcome:
    values = np.array([[10.0, final] for final in finals])
    return Outcome(np.array([0, 6]), np.array([0.0, 6.0]), values, np.isinf(values[:, 1]))
