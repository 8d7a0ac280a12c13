"""A store is read whole or refused; it never gives rows that are not in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from mpirobust.data.sources.base import Places
from mpirobust.data.sources.libsvm import LibSVM
from mpirobust.data.store import Store, is_store, write_csr_store
from mpirobust.errors import DataFault

ROWS, FEATURES = 9, 5
DENSE = np.random.default_rng(0).standard_normal((ROWS, FEATURES)) * (
    np.arange(ROWS * FEATURES).reshape(ROWS, -1) % 3 > 0
)
DENSE[[0, 4, 8]] = 0  # rows without a feature: the first, one inside, the last


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "store.h5"
    write_csr_store(path, sparse.csr_array(DENSE), np.arange(ROWS, dtype=float), "somewhere")
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    path = tmp_path_factory.mktemp("store") / "store.h5"
    write_csr_store(path, sparse.csr_array(DENSE), np.arange(ROWS, dtype=float), "somewhere")
    return Store(path)


@given(rows=st.sets(st.integers(0, ROWS - 1)))
def test_reads_any_rows(store: Store, rows: set[int]) -> None:
    chosen = np.array(sorted(rows), dtype=np.intp)
    X = store.read(chosen)
    assert X.shape == (chosen.size, FEATURES)
    np.testing.assert_array_equal(X.toarray(), DENSE[chosen])


def test_knows_its_size_and_labels(store: Store) -> None:
    assert (store.rows, store.features) == (ROWS, FEATURES)
    np.testing.assert_array_equal(store.labels, np.arange(ROWS))


@pytest.mark.parametrize(
    ("X", "labels"),
    [
        (np.where(DENSE > 1, 7, DENSE), np.arange(ROWS)),
        (DENSE, np.arange(ROWS)[::-1]),
        (np.pad(DENSE, ((0, 0), (0, 1))), np.arange(ROWS)),
    ],
    ids=["number", "label", "features"],
)
def test_digest_changes_with_the_rows(path: Path, tmp_path: Path, X: Any, labels: Any) -> None:
    other = tmp_path / "other.h5"
    write_csr_store(other, sparse.csr_array(X), labels.astype(float), "somewhere")
    assert Store(other).digest != Store(path).digest


def test_is_told_from_text(path: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("+1 1:1\n")
    (tmp_path / "empty").touch()
    assert is_store(path)
    assert not is_store(tmp_path / "text")
    assert not is_store(tmp_path / "empty")


def _delete(name: str) -> Callable[[Any], None]:
    def damage(file: Any) -> None:
        del file[name]

    return damage


def _drop(name: str) -> Callable[[Any], None]:
    def damage(file: Any) -> None:
        del file.attrs[name]

    return damage


def _say(name: str, value: object) -> Callable[[Any], None]:
    def damage(file: Any) -> None:
        file.attrs[name] = value

    return damage


def _put(name: str, at: int, value: float) -> Callable[[Any], None]:
    def damage(file: Any) -> None:
        file[name][at] = value

    return damage


def _shorten(name: str) -> Callable[[Any], None]:
    def damage(file: Any) -> None:
        array = file[name][:-1]
        del file[name]
        file[name] = array

    return damage


NNZ = int(np.count_nonzero(DENSE))
DAMAGE = {
    **{f"no-{name}": _delete(name) for name in ("labels", "indptr", "indices", "data")},
    **{f"short-{name}": _shorten(name) for name in ("labels", "indptr", "indices", "data")},
    **{f"no-{name}": _drop(name) for name in ("format", "kind", "features", "digest")},
    "newer-format": _say("format", 2),
    "words-for-features": _say("features", "many"),
    "indptr-starts-late": _put("indptr", 0, 1),
    "indptr-ends-early": _put("indptr", ROWS, NNZ - 1),
    "indptr-ends-late": _put("indptr", ROWS, NNZ + 1),
    "indptr-out-of-range": _put("indptr", 3, 10**12),
    "indptr-negative": _put("indptr", 3, -1),
    "indptr-goes-back": _put("indptr", 7, 1),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_store_is_not_opened(path: Path, name: str) -> None:
    with h5py.File(path, "r+") as file:
        DAMAGE[name](file)
    with pytest.raises(DataFault, match=str(path)):
        Store(path)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("indices", FEATURES, "feature number outside 0..4"),
        ("indices", -1, "feature number outside 0..4"),
        ("data", np.nan, "a feature is not finite"),
        ("data", -np.inf, "a feature is not finite"),
    ],
)
def test_damaged_rows_are_not_read(path: Path, name: str, value: float, reason: str) -> None:
    with h5py.File(path, "r+") as file:
        file[name][2] = value
    with pytest.raises(DataFault) as caught:
        Store(path).read(np.arange(ROWS))
    assert str(caught.value) == f"{path}: {reason}"


def test_truncated_store(path: Path) -> None:
    whole = path.read_bytes()
    for nbytes in range(0, len(whole), 97):
        path.write_bytes(whole[:nbytes])
        with pytest.raises(DataFault, match=str(path)):
            Store(path).read(np.arange(ROWS))


def test_not_a_store_at_all(path: Path, tmp_path: Path) -> None:
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 20)
    with pytest.raises(DataFault, match="cannot be read"):
        Store(path)
    with pytest.raises(DataFault, match="checksum"):
        Store(path, verify=True)
    with pytest.raises(DataFault, match="cannot be read"):
        Store(tmp_path / "missing.h5")


def test_the_center_finds_a_single_flipped_bit(path: Path) -> None:
    whole = path.read_bytes()
    Store(path, verify=True).close()
    for at in range(0, len(whole), 211):
        if 81 <= at < 512:
            continue  # the rest of the user block says nothing
        flipped = bytearray(whole)
        flipped[at] ^= 0x10
        path.write_bytes(flipped)
        with pytest.raises(DataFault, match="checksum"):
            Store(path, verify=True)


def test_damage_is_found_before_the_run_begins(path: Path, tmp_path: Path) -> None:
    """A plan that names a damaged store, through the source."""
    path.write_bytes(path.read_bytes()[:-200])
    source = LibSVM(path="store.h5")
    with pytest.raises(DataFault, match=str(path)):
        source.open(source.prepare(Places(tmp_path, None, tmp_path / "cache")), seed=1)


def test_a_damaged_store_in_the_cache_is_built_anew(tmp_path: Path) -> None:
    (tmp_path / "rows.svm").write_text("1 1:2 2:3\n-1 2:1\n")
    source = LibSVM(path="rows.svm")
    places = Places(tmp_path, None, tmp_path / "cache")
    (made,) = source.prepare(places)
    whole = made.read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(np.array([2.0, 3.0]).tobytes())] ^= 1  # of the numbers themselves: only the checksum knows
    for damaged in (whole[:-9], bytes(flipped)):
        made.write_bytes(damaged)
        assert source.prepare(places) == [made]
        assert made.read_bytes() == whole
