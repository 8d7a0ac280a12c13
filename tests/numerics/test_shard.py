"""The largest eigenvalue of a shard."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse

from mpirobust.shard import Shard


def shard_of(X: Any) -> Shard:
    return Shard.of(X, np.zeros(X.shape[0]), 0, X.shape[0])


@pytest.mark.parametrize("sparsely", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (7, 30), (30, 7), (513, 700), (700, 513)])
def test_gram_norm_is_the_largest_eigenvalue_from_above(shape: tuple[int, int], sparsely: bool) -> None:
    """The last two are iterated for."""
    X = np.random.default_rng(0).standard_normal(shape)
    found = shard_of(sparse.csr_array(X) if sparsely else X).gram_norm
    expected = np.linalg.norm(X, 2) ** 2 / shape[0]
    assert expected <= found <= (1 + 1e-5) * expected


@pytest.mark.parametrize("shape", [(3, 2), (600, 700)])
def test_gram_norm_of_nothing_is_zero(shape: tuple[int, int]) -> None:
    assert shard_of(np.zeros(shape)).gram_norm == 0.0
    assert shard_of(sparse.csr_array(shape)).gram_norm == 0.0


def test_gram_norm_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    shard = shard_of(np.eye(3))
    before = shard.gram_norm
    monkeypatch.setattr(np.linalg, "eigvalsh", None)
    assert shard.gram_norm == before


@pytest.mark.parametrize("sparsely", [False, True])
def test_the_longest_row(sparsely: bool) -> None:
    X = np.array([[3.0, 0.0, -4.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    assert shard_of(sparse.csr_array(X) if sparsely else X).longest_row == 5
