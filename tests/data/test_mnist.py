"""IDX files become shards of pixels from 0 to 1; damaged ones are refused with file and reason."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from mpirobust.data.sources.base import Places
from mpirobust.data.sources.mnist import MNIST
from mpirobust.errors import DataFault
from tests.support.data_files import idx

_RNG = np.random.default_rng(4)
IMAGES = {part: _RNG.integers(256, size=(rows, 3, 4), dtype=np.uint8) for part, rows in (("train", 20), ("t10k", 7))}
LABELS = {"train": np.arange(20, dtype=np.uint8) % 10, "t10k": np.arange(7, dtype=np.uint8)}


@pytest.fixture
def places(tmp_path: Path) -> Places:
    folder = tmp_path / "mnist"
    folder.mkdir()
    for part in ("train", "t10k"):
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(IMAGES[part])))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS[part])))
    return Places(tmp_path, None, tmp_path / "cache")


def test_rows_and_labels(places: Places) -> None:
    source = MNIST()
    dataset = source.open(source.prepare(places), seed=1)
    facts = dataset.facts
    assert (facts.rows, facts.test_rows, facts.features, facts.classes) == (20, 7, 12, 10)
    for rows in (np.arange(20), np.array([1, 4, 19]), np.array([7])):
        shard = dataset.train(rows)
        assert shard.X.dtype == np.float32
        np.testing.assert_allclose(shard.X, IMAGES["train"].reshape(20, 12)[rows] / 255, rtol=1e-6)
        np.testing.assert_array_equal(shard.y, LABELS["train"][rows])
    np.testing.assert_allclose(dataset.test(np.array([2, 6])).X, IMAGES["t10k"].reshape(7, 12)[[2, 6]] / 255, rtol=1e-6)


_DAMAGE = {
    "not IDX": (b"plain", "not an IDX file"),
    "gzip cut short": (gzip.compress(idx(IMAGES["train"]))[:-9], "not a whole gzip file"),
    "empty": (gzip.compress(b""), "not an IDX file"),
    "labels for images": (gzip.compress(idx(LABELS["train"])), "not an IDX file of bytes in 3 dimensions"),
    "header cut short": (gzip.compress(idx(IMAGES["train"])[:9]), "not an IDX file"),
    "rows missing": (gzip.compress(idx(IMAGES["train"])[:-1]), "bytes for an array"),
    "fewer images than labels": (gzip.compress(idx(IMAGES["train"][:-1])), "19 images"),
}


@pytest.mark.parametrize("name", _DAMAGE)
def test_damage_is_refused_with_file_and_reason(places: Places, name: str) -> None:
    content, reason = _DAMAGE[name]
    damaged = places.plan / "mnist" / "train-images-idx3-ubyte.gz"
    damaged.write_bytes(content)
    with pytest.raises(DataFault) as caught:
        MNIST().prepare(places)
    assert str(damaged) in str(caught.value)
    assert reason in str(caught.value)


def test_the_real_one(tmp_path: Path) -> None:
    data = os.environ.get("MPIROBUST_DATA")
    if data is None or not (Path(data) / "mnist").is_dir():
        pytest.skip("no mnist below $MPIROBUST_DATA")
    source = MNIST()
    dataset = source.open(source.prepare(Places(tmp_path, Path(data), tmp_path / "cache")), seed=1)
    facts = dataset.facts
    assert (facts.rows, facts.test_rows, facts.features, facts.classes) == (60_000, 10_000, 784, 10)
    labels = dataset.labels()
    assert labels is not None
    assert np.bincount(labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
