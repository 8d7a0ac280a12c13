"""IDX files become shards of pixels from 0 to 1; damaged ones are refused with file and reason."""

from __future__ import annotations

import bz2
import gzip
import lzma
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


NAMES = {
    "packed": "{}-images-idx3-ubyte.gz",
    "plain": "{}-images-idx3-ubyte",
    "with-dots": "{}-images.idx3-ubyte",
    "with-dots-packed": "{}-images.idx3-ubyte.gz",
    "by-bzip2": "{}-images-idx3-ubyte.bz2",
    "by-xz": "{}-images-idx3-ubyte.xz",
    "packed-by-its-name-only": "{}-images-idx3-ubyte.gz",
}


@pytest.mark.parametrize("name", NAMES)
def test_packed_or_not_with_dots_or_dashes(name: str, places: Places) -> None:
    folder = places.plan / "mnist"
    expected = dataset_digest(places)
    for part in ("train", "t10k"):
        for what, number in (("images", 3), ("labels", 1)):
            old = folder / f"{part}-{what}-idx{number}-ubyte.gz"
            raw = gzip.decompress(old.read_bytes())
            old.unlink()
            new = NAMES[name].format(part).replace("images", what).replace("idx3", f"idx{number}")
            packed = {".gz": gzip.compress(raw), ".bz2": bz2.compress(raw), ".xz": lzma.compress(raw)}
            content = raw if name == "packed-by-its-name-only" else packed.get(Path(new).suffix, raw)
            (folder / new).write_bytes(content)
    assert dataset_digest(places) == expected


def dataset_digest(places: Places) -> str:
    source = MNIST()
    dataset = source.open(source.prepare(places), seed=1)
    dataset.close()
    return dataset.facts.digest


def test_images_of_other_sizes_and_unknown_labels_are_refused_by_file(places: Places) -> None:
    test = places.plan / "mnist" / "t10k-images-idx3-ubyte.gz"
    whole = test.read_bytes()
    test.write_bytes(gzip.compress(idx(IMAGES["t10k"][:, :2])))
    with pytest.raises(DataFault) as caught:
        MNIST().prepare(places)
    train = places.plan / "mnist" / "train-images-idx3-ubyte.gz"
    assert str(caught.value).startswith(f"{test} has 8 features, {train} has 12")
    test.write_bytes(whole)
    labels = np.array([0, 1, 77, 3, 4, 5, 6], np.uint8)
    (places.plan / "mnist" / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    with pytest.raises(DataFault) as caught:
        MNIST().prepare(places)
    assert str(caught.value) == f"{test}, row 3: label 77 is unknown in training"


_DAMAGE = {
    "not IDX": (b"plain", "not an IDX file"),
    "gzip cut short": (gzip.compress(idx(IMAGES["train"]))[:-9], "not a whole gzip file"),
    "empty": (gzip.compress(b""), "not an IDX file"),
    "labels for images": (gzip.compress(idx(LABELS["train"])), "not an IDX file of bytes in 3 dimensions"),
    "header cut short": (gzip.compress(idx(IMAGES["train"])[:9]), "not an IDX file"),
    "rows missing": (gzip.compress(idx(IMAGES["train"])[:-1]), "bytes for an array"),
    "raw and cut short": (idx(IMAGES["train"])[:-1], "239 bytes for an array"),
    "raw and too long": (idx(IMAGES["train"]) + b"x", "and more for an array"),
    "float32": (bytes([0, 0, 13, 3]) + idx(IMAGES["train"])[4:], "IDX with float32; only unsigned bytes"),
    "int32, packed": (gzip.compress(bytes([0, 0, 12, 3]) + idx(IMAGES["train"])[4:]), "IDX with int32"),
    "four dimensions": (bytes([0, 0, 8, 4]) + bytes(30), "not an IDX file of bytes in 3 dimensions"),
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
