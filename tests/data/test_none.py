"""Rows that are nothing but noise, and the same whoever makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpirobust.data.sources.base import Dataset, Places
from mpirobust.data.sources.none import NoData

SOURCE = NoData(rows=30, features=17, sigma=0.5)


def opened(source: NoData = SOURCE, seed: int = 1) -> Dataset:
    assert source.prepare(Places(Path(), None, Path())) == []
    return source.open([], seed)


@given(rows=st.sets(st.integers(0, 29), min_size=1))
def test_rows_do_not_depend_on_who_reads_them(rows: set[int]) -> None:
    whole = opened().train(np.arange(30))
    chosen = np.array(sorted(rows), dtype=np.intp)
    part = opened().train(chosen)
    np.testing.assert_array_equal(part.X, whole.X[chosen])
    np.testing.assert_array_equal(part.XT, whole.XT[:, chosen])
    np.testing.assert_array_equal(part.y, whole.y[chosen])
    assert (part.total, part.classes) == (30, 0)


def test_noise_is_of_its_standard_deviation() -> None:
    X = opened(NoData(rows=20_000, features=3, sigma=0.1)).train(np.arange(20_000)).X
    np.testing.assert_allclose(X.mean(axis=0), 0, atol=5 * 0.1 / 20_000**0.5)
    np.testing.assert_allclose(X.var(axis=0), 0.01, rtol=5 * (2 / 20_000) ** 0.5)
    assert np.unique(X).size == X.size


def test_without_noise_the_rows_are_zero() -> None:
    assert not opened(NoData(rows=4, features=3)).train(np.arange(4)).X.any()


def test_targets_alternate() -> None:
    data = opened()
    np.testing.assert_array_equal(data.train(np.arange(5)).y, [1, 2, 1, 2, 1])
    np.testing.assert_array_equal(data.train(np.array([3, 4, 8])).y, [2, 1, 1])


def test_everything_depends_on_the_seed() -> None:
    one, other = opened(seed=1), opened(seed=2)
    assert not np.isin(one.train(np.arange(30)).X, other.train(np.arange(30)).X).any()
    assert one.facts.digest != other.facts.digest


@pytest.mark.parametrize("change", [{"rows": 31}, {"features": 18}, {"sigma": 0.25}], ids=str)
def test_digest_depends_on_every_field(change: dict[str, Any]) -> None:
    fields: dict[str, Any] = {"rows": 30, "features": 17, "sigma": 0.5, **change}
    assert opened(NoData(**fields)).facts.digest != opened().facts.digest


def test_facts() -> None:
    data = opened()
    assert (data.facts.rows, data.facts.test_rows, data.facts.features, data.facts.classes) == (30, 0, 17, 0)
    assert data.labels() is None
    assert data.solution() is None
