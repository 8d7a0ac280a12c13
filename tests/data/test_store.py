"""A store is read whole or refused; it never gives rows that are not in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from mpirobust.data import store as stores
from mpirobust.data.sources.base import Places
from mpirobust.data.sources.libsvm import LibSVM
from mpirobust.data.store import Store, is_store, write_csr_store, write_pixel_store
from mpirobust.errors import DataFault, StorageFault
from tests.support.sealing import resealed
from tests.support.strangers import PRECIOUS, STRANGERS

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


@pytest.mark.parametrize("block", [1, 50, 200])
def test_the_size_of_the_blocks_changes_nothing(
    block: int, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "_BLOCK", block)
    write_csr_store(tmp_path / "store.h5", sparse.csr_array(DENSE), np.arange(ROWS, dtype=float), "somewhere")
    other = Store(tmp_path / "store.h5", verify=True)
    assert other.digest == store.digest
    assert other.nonzeros() == store.nonzeros() == np.count_nonzero(DENSE)
    np.testing.assert_array_equal(other.read(np.arange(ROWS)).toarray(), DENSE)


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


@pytest.mark.parametrize("name", ["indptr", "indices", "data", "labels", "pixels"])
def test_the_center_computes_the_digest(name: str, tmp_path: Path) -> None:
    """Other rows under the digest of the old ones, and a seal that fits."""
    path = tmp_path / "store.h5"
    if name == "pixels":
        write_pixel_store(path, np.arange(6, dtype=np.uint8).reshape(2, 3), np.arange(2.0), "somewhere")
    else:
        write_csr_store(path, sparse.csr_array(DENSE), np.arange(ROWS, dtype=float), "somewhere")
    Store(path, verify=True).close()
    with resealed(path) as file:
        old = file[name][:]
        file[name][:] = np.sort(old)[::-1] if name == "indices" else old + (name != "indptr")
        if name == "indptr":
            file["indptr"][1] = 1
    with pytest.raises(DataFault, match="its digest is not that of its rows"):
        Store(path, verify=True)


def test_the_digest_of_many_blocks_is_that_of_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_BLOCK", 24)
    Store(path, verify=True).close()


class TestCache:
    """A store in the cache is taken if it is this user's, nobody else can write to it, and its rows are its own."""

    @pytest.fixture
    def places(self, tmp_path: Path) -> Places:
        (tmp_path / "rows.svm").write_text("1 1:2 2:3\n-1 2:1\n")
        return Places(tmp_path, None, tmp_path / "cache")

    def prepared(self, places: Places) -> tuple[Path, str]:
        """The store, and the digest of its rows."""
        source = LibSVM(path="rows.svm")
        (path,) = source.prepare(places)
        dataset = source.open([path], seed=1)
        dataset.close()
        return path, dataset.facts.digest

    def test_is_made_for_this_user_alone_to_write(self, places: Places) -> None:
        mask = os.umask(0)
        try:
            path, _ = self.prepared(places)
        finally:
            os.umask(mask)
        assert path.stat().st_mode & 0o777 == 0o644
        made = path.stat().st_ino
        assert self.prepared(places)[0].stat().st_ino == made

    def test_other_rows_under_its_digest_are_made_anew(self, places: Places) -> None:
        path, digest = self.prepared(places)
        with resealed(path) as file:
            file["data"][:] = -file["data"][:]
        assert self.prepared(places) == (path, digest)
        Store(path, verify=True).close()

    @pytest.mark.parametrize("mode", [0o666, 0o664, 0o646])
    def test_one_that_others_can_write_to_is_not_read(self, mode: int, places: Places) -> None:
        path, digest = self.prepared(places)
        path.write_bytes(PRECIOUS)
        path.chmod(mode)
        private, found = self.prepared(places)
        assert private.name == f"{path.stem}-{os.geteuid()}.h5"
        assert found == digest
        assert path.read_bytes() == PRECIOUS
        private.chmod(mode)
        assert self.prepared(places) == (private, digest)
        assert private.stat().st_mode & 0o022 == 0

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
    def test_one_of_another_user_is_not_read(self, places: Places) -> None:
        path, digest = self.prepared(places)
        with resealed(path) as file:
            file["data"][:] = -file["data"][:]
        os.chown(path, 65534, -1)
        private, found = self.prepared(places)
        assert (private != path, found) == (True, digest)

    def test_one_of_another_user_that_cannot_be_replaced_is_refused(
        self, places: Places, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As in a folder in which everybody may make files and nobody may remove those of others."""
        self.prepared(places)

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(stores, "_is_own", lambda _: False)
        monkeypatch.setattr(Path, "unlink", refuse)
        with pytest.raises(DataFault, match=r"not a store of this user; \$MPIROBUST_CACHE names another cache"):
            self.prepared(places)

    @pytest.mark.parametrize("stranger", STRANGERS)
    def test_something_else_of_its_name_is_not_read(self, stranger: str, places: Places) -> None:
        path, digest = self.prepared(places)
        path.unlink()
        STRANGERS[stranger](path)
        private, found = self.prepared(places)
        assert (private.is_symlink(), private.is_file(), found) == (False, True, digest)
        assert private != path
        private.unlink()
        STRANGERS[stranger](private)
        if stranger == "folder":
            with pytest.raises(DataFault, match="not a store of this user"):
                self.prepared(places)
        else:
            assert self.prepared(places) == (private, digest)

    def test_a_folder_in_which_all_users_may_replace_files_is_refused(self, places: Places) -> None:
        path, _ = self.prepared(places)
        path.parent.chmod(0o777)
        with pytest.raises(DataFault, match="stores: all users may write to it; chmod o-w, or name another cache"):
            self.prepared(places)
        path.parent.chmod(0o1777)
        assert self.prepared(places)[0] == path

    def test_text_that_changes_with_its_size_and_time_kept_is_read_anew(self, places: Places) -> None:
        """`rsync -t` and `cp -p` give a file any time of change; the time that the system keeps tells."""
        text = places.plan / "rows.svm"
        path, digest = self.prepared(places)
        seen = text.stat()
        while text.stat().st_ctime_ns == seen.st_ctime_ns:
            text.write_text("1 1:2 2:4\n-1 2:1\n")
        os.utime(text, ns=(seen.st_atime_ns, seen.st_mtime_ns))
        assert (text.stat().st_size, text.stat().st_mtime_ns) == (seen.st_size, seen.st_mtime_ns)
        other, found = self.prepared(places)
        assert other != path
        assert found != digest

    def test_a_cache_that_cannot_be_written_names_the_variable(
        self, places: Places, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise OSError(30, os.strerror(30))

        monkeypatch.setattr("tempfile.mkstemp", fail)
        with pytest.raises(StorageFault, match=r"Read-only file system; \$MPIROBUST_CACHE names another cache"):
            self.prepared(places)

    def test_a_path_of_any_bytes_has_a_store(self, places: Places) -> None:
        folder = places.plan / os.fsdecode(b"rows\xff \n")
        folder.mkdir()
        (places.plan / "rows.svm").rename(folder / "rows.svm")
        path, _ = self.prepared(Places(folder, None, places.cache))
        with h5py.File(path) as file:
            assert file.attrs["source"].endswith("rows\\xff \n/rows.svm")
