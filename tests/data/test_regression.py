"""Synthetic rows: made from w*, and the same whoever makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpirobust.data.sources.base import Dataset, Places
from mpirobust.data.sources.regression import Regression
from mpirobust.types import Vector

SOURCE = Regression(rows=30, features=17, noise=0.5, test_rows=10)


def opened(source: Regression = SOURCE, seed: int = 1) -> Dataset:
    assert source.prepare(Places(Path(), None, Path())) == []
    return source.open([], seed)


def solution(data: Dataset) -> Vector:
    found = data.solution()
    assert found is not None
    return found


@given(rows=st.sets(st.integers(0, 29), min_size=1))
def test_rows_do_not_depend_on_who_reads_them(rows: set[int]) -> None:
    whole = opened().train(np.arange(30))
    chosen = np.array(sorted(rows), dtype=np.intp)
    part = opened().train(chosen)
    np.testing.assert_array_equal(part.X, whole.X[chosen])
    np.testing.assert_array_equal(part.XT, whole.XT[:, chosen])
    np.testing.assert_array_equal(part.y, whole.y[chosen])
    assert (part.total, part.classes) == (30, 0)


def test_targets_are_made_from_the_solution() -> None:
    data = opened(Regression(rows=30, features=17))
    shard = data.train(np.arange(30))
    np.testing.assert_allclose(shard.y, shard.X @ solution(data), rtol=1e-12)


def test_noise_is_of_its_standard_deviation() -> None:
    data = opened(Regression(rows=20_000, features=2, noise=0.5))
    shard = data.train(np.arange(20_000))
    noise = shard.y - shard.X @ solution(data)
    np.testing.assert_allclose(noise.std(), 0.5, rtol=0.03)
    np.testing.assert_allclose(noise.mean(), 0, atol=0.02)


def test_features_and_solution_are_standard_normal() -> None:
    data = opened(Regression(rows=400, features=400))
    X = data.train(np.arange(400)).X
    for sample in (X.ravel(), solution(data)):
        np.testing.assert_allclose(sample.mean(), 0, atol=5 / sample.size**0.5)
        np.testing.assert_allclose(sample.var(), 1, atol=5 * (2 / sample.size) ** 0.5)
    assert np.unique(X).size == X.size


def test_test_rows_are_others_of_the_same_solution() -> None:
    data = opened(Regression(rows=30, features=17, test_rows=10))
    train, test = data.train(np.arange(30)), data.test(np.arange(10))
    np.testing.assert_allclose(test.y, test.X @ solution(data), rtol=1e-12)
    assert not np.isin(test.X, train.X).any()


def test_everything_depends_on_the_seed() -> None:
    one, other = opened(seed=1), opened(seed=2)
    assert not np.isin(one.train(np.arange(30)).X, other.train(np.arange(30)).X).any()
    assert not np.isin(solution(one), solution(other)).any()
    assert one.facts.digest != other.facts.digest


@pytest.mark.parametrize("change", [{"rows": 31}, {"features": 18}, {"noise": 0.25}, {"test_rows": 11}], ids=str)
def test_digest_depends_on_every_field(change: dict[str, Any]) -> None:
    fields: dict[str, Any] = {"rows": 30, "features": 17, "noise": 0.5, "test_rows": 10, **change}
    assert opened(Regression(**fields)).facts.digest != opened().facts.digest


def test_facts() -> None:
    facts = opened().facts
    assert (facts.rows, facts.test_rows, facts.features, facts.classes) == (30, 10, 17, 0)
    assert opened().labels() is None


def test_solution_is_a_copy() -> None:
    data = opened()
    solution(data)[:] = 0
    assert solution(data).all()
