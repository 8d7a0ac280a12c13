"""What every data source promises: rows on demand, the same for everybody who asks, and facts that are true of them."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from mpirobust import catalog
from mpirobust.data.sources.base import Dataset, Places, Source
from mpirobust.errors import DataFault
from mpirobust.testing.examples import EXAMPLES, ROOMS, components
from mpirobust.testing.support.shards import contents, dense
from tests.support.data_files import places as made_places

ALL: dict[str, Source] = components("data")

DRAWN = {name: source for name, source in ALL.items() if not hasattr(source, "path")}
SOLVED = {name: source for name, source in DRAWN.items() if source.open([], 1).solution() is not None}


@pytest.fixture(params=ALL.values(), ids=list(ALL))
def source(request: pytest.FixtureRequest) -> Source:
    found: Source = request.param
    return found


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    return made_places(tmp_path_factory.mktemp("data"))


@pytest.fixture
def dataset(source: Source, places: Places) -> Iterator[Dataset]:
    opened = source.open(source.prepare(places), 1)
    yield opened
    opened.close()


def test_facts_are_those_of_the_rows(dataset: Dataset) -> None:
    facts = dataset.facts
    assert facts.rows > 0
    assert facts.test_rows >= 0
    assert len(facts.digest) == 64
    parts = [(dataset.train, facts.rows), (dataset.test, facts.test_rows)]
    nbytes = 0
    for read, rows in parts:
        if rows:
            shard = read(np.arange(rows))
            assert (shard.rows, shard.classes) == (rows, facts.classes)
            assert shard.X.shape == (rows, facts.features)
            assert shard.XT.shape == (facts.features, rows)
            assert np.isfinite(shard.y).all()
            assert np.isfinite(dense(shard).X).all()
            nbytes += shard.y.nbytes + (shard.X.data.nbytes if sparse.issparse(shard.X) else shard.X.nbytes)
    assert 0.3 * nbytes <= facts.nbytes <= 10 * nbytes  # a forecast


def test_labels_are_those_of_the_training_rows(dataset: Dataset) -> None:
    labels, facts = dataset.labels(), dataset.facts
    if facts.classes:
        assert labels is not None
        assert (labels.shape, labels.dtype) == ((facts.rows,), np.dtype(np.int64))
        np.testing.assert_array_equal(labels, dataset.train(np.arange(facts.rows)).y)
        np.testing.assert_array_equal(np.unique(labels), np.arange(facts.classes))
    else:
        assert labels is None


def test_a_row_is_the_same_whoever_asks_and_with_whatever_others(dataset: Dataset) -> None:
    """A rank reads the rows of its own workers only, and the result may not depend on which these are."""
    facts = dataset.facts
    for read, rows in ((dataset.train, facts.rows), (dataset.test, facts.test_rows)):
        whole = dense(read(np.arange(rows))) if rows else None
        for some in ([0], [rows - 1], list(range(0, rows, 3)), list(range(rows // 2))):
            if whole is not None and some:
                part = dense(read(np.array(some, np.intp)))
                assert part.X.tobytes() == np.ascontiguousarray(whole.X[some]).tobytes()
                np.testing.assert_array_equal(part.XT, whole.XT[:, some])
                np.testing.assert_array_equal(part.y, whole.y[some])
                assert part.total == facts.rows


def test_every_rank_opens_the_same(source: Source, places: Places) -> None:
    """And a second start finds the stores that the first has made."""
    stores = source.prepare(places)
    assert source.prepare(places) == stores
    assert all(store.is_file() for store in stores)
    one, other = source.open(stores, 1), source.open(stores, 1)
    assert one.facts == other.facts
    rows = np.arange(one.facts.rows)
    assert contents(one.train(rows)) == contents(other.train(rows))
    one.close()
    assert contents(other.train(rows[:2])) == contents(other.train(rows[:2]))
    other.close()


def test_shards_outlive_the_files(source: Source, places: Places) -> None:
    opened = source.open(source.prepare(places), 1)
    shard = opened.train(np.arange(opened.facts.rows))
    before = contents(shard)
    opened.close()
    assert contents(shard) == before
    shard.X @ np.ones(shard.X.shape[1])


def test_the_digest_tells_other_rows(source: Source, places: Places, tmp_path: Path) -> None:
    """By the seed where rows are drawn, by the files where they are read."""
    before = source.open(source.prepare(places), 1)
    stores = source.prepare(places)
    if stores:
        other_places = made_places(tmp_path)
        for path in (*tmp_path.glob("*.*"), *tmp_path.glob("mnist/*images*")):
            _change(path)
        after = source.open(source.prepare(other_places), 1)
    else:
        after = source.open([], 2)
    assert before.facts.digest != after.facts.digest
    for opened in (before, after):
        opened.close()


def _change(path: Path) -> None:
    """Change one number in the file."""
    if path.suffix == ".gz":
        raw = bytearray(gzip.decompress(path.read_bytes()))
        raw[-1] ^= 1
        path.write_bytes(gzip.compress(bytes(raw)))
    elif path.suffix == ".npy":
        array = np.load(path)
        array.flat[0] += 1
        np.save(path, array)
    elif path.suffix == ".npz":
        with np.load(path) as arrays:
            np.savez(path, **{name: array + 1 for name, array in arrays.items()})
    else:
        path.write_bytes(re.sub(rb"(5:|\n)[-+0-9.]+", rb"\g<1>7.5", path.read_bytes(), count=1))


@pytest.mark.parametrize("source", SOLVED.values(), ids=SOLVED.keys())
def test_a_solution_fits_the_rows(source: Source, dataset: Dataset) -> None:
    w = dataset.solution()
    assert w is not None
    shard = dataset.train(np.arange(dataset.facts.rows))
    assert w.shape == (dataset.facts.features,)
    residual = shard.y - shard.X @ w
    assert np.abs(residual).mean() < 3 * getattr(source, "noise", 0.0) + 1e-12
    before = w.copy()
    w += 1  # the caller's own
    np.testing.assert_array_equal(dataset.solution(), before)


@pytest.mark.parametrize("kind", [kind for kind, settings in EXAMPLES["data"].items() if "path" in str(settings)])
def test_a_missing_file_is_one_fault_that_says_where_it_was_looked_for(kind: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {**EXAMPLES["data"][kind][0], "path": "nowhere"}
    source = catalog.build(ROOMS["data"], {"kind": kind, **settings}, "data")
    with pytest.raises(DataFault, match=r"data\.path: no file 'nowhere.*looked for") as caught:
        source.prepare(Places(tmp_path, None, tmp_path / "cache"))
    assert str(tmp_path) in str(caught.value)


def test_a_partition_deals_what_the_source_has(source: Source, dataset: Dataset) -> None:
    dealt = source.partition.deal(dataset.facts.rows, dataset.labels(), 5, np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(np.concatenate(dealt)), np.arange(dataset.facts.rows))
    assert source.deals_iid() or not source.partition.iid()
