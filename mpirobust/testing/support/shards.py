"""Small shards to test with."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from mpirobust.shard import Shard


def made_shard(rows: int, features: int, classes: int, *, seed: int = 0, sparsely: bool = False) -> Shard:
    """Gaussian rows, about half of the features zero; the same numbers dense and sparse."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, features)) * (rng.random((rows, features)) < 0.5)
    y = rng.integers(classes, size=rows).astype(np.float64) if classes else 3 * rng.standard_normal(rows)
    return Shard.of(sparse.csr_array(X) if sparsely else X, y, classes, 4 * rows)


def dense(shard: Shard) -> Shard:
    """The same shard with dense rows."""
    X = shard.X.toarray() if sparse.issparse(shard.X) else shard.X
    return Shard.of(X, shard.y, shard.classes, shard.total)


def contents(shard: Shard) -> bytes:
    """Every number of the shard, to see whether something changed."""
    return b"".join(array.tobytes() for array in (dense(shard).X, np.ascontiguousarray(dense(shard).XT), shard.y))
