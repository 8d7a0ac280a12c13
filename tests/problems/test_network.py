"""The ReLU network beyond the contract: many slabs of rows, and float32 arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from mpirobust.problems import network
from mpirobust.problems.network import Network
from mpirobust.shard import Shard
from mpirobust.testing.support.shards import made_shard

FEATURES = 6


@pytest.mark.parametrize("sparsely", [False, True])
@pytest.mark.parametrize("slab", [1, 4, 10])
def test_rows_may_go_through_in_slabs(monkeypatch: pytest.MonkeyPatch, slab: int, sparsely: bool) -> None:
    loss, shard = Network(hidden=(7, 5), dtype="float64"), made_shard(11, FEATURES, 10, sparsely=sparsely)
    x, v = np.random.default_rng(1).standard_normal((2, loss.dim(FEATURES)))
    whole = loss.value(x, shard), loss.gradient(x, shard), loss.hessian(x, shard)(v), loss.metrics(x, shard)
    monkeypatch.setattr(network, "_SLAB", slab)
    np.testing.assert_allclose(loss.value(x, shard), whole[0], rtol=1e-13)
    np.testing.assert_allclose(loss.gradient(x, shard), whole[1], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(loss.hessian(x, shard)(v), whole[2], rtol=1e-12, atol=1e-14)
    assert loss.metrics(x, shard) == whole[3]


def test_float32_is_the_same_network() -> None:
    short, long = Network(hidden=(7, 5)), Network(hidden=(7, 5), dtype="float64")
    shard = made_shard(40, FEATURES, 10)
    images = Shard.of(shard.X.astype(np.float32), shard.y, shard.classes, shard.total)
    x = long.start(FEATURES, np.random.default_rng(1))
    np.testing.assert_allclose(short.value(x, images), long.value(x, shard), rtol=1e-5)
    expected = long.gradient(x, shard)
    for same in (shard, images):
        gradient = short.gradient(x, same)
        assert gradient.dtype == np.float32
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)


def test_logits_far_apart_do_not_overflow() -> None:
    loss, shard = Network(hidden=(7,)), made_shard(11, FEATURES, 10)
    x = 1e4 * loss.start(FEATURES, np.random.default_rng(1))
    assert np.isfinite(loss.value(x, shard))
    assert np.isfinite(loss.gradient(x, shard)).all()
    assert np.isfinite(loss.hessian(x, shard)(x)).all()
