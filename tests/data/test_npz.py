"""Arrays of NumPy to shards, as `npz` and as `npy`: any type of numbers and any order, and never an object."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest

from mpirobust.data.sources import _arrays
from mpirobust.data.sources.base import Dataset, Places
from mpirobust.data.sources.npy import NPY
from mpirobust.data.sources.npz import NPZ
from mpirobust.errors import DataFault

X = np.arange(24.0).reshape(8, 3)
Y = np.arange(8) % 2


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path, None, tmp_path / "cache")


def dataset(source: NPZ | NPY, places: Places) -> Dataset:
    return source.open(source.prepare(places), seed=1)


FEATURES: dict[str, Any] = {
    "float64": X,
    "float32": X.astype(np.float32),
    "float16": X.astype(np.float16),
    "int8": X.astype(np.int8),
    "uint64": X.astype(np.uint64),
    "big-endian": X.astype(">i4"),
    "by-columns": np.asfortranarray(X),
    "by-columns-float32": np.asfortranarray(X.astype(np.float32)),
    "images": X.reshape(8, 3, 1).astype(np.uint8),
    "images-by-columns": np.asfortranarray(X.reshape(8, 1, 3)),
    "every-other-row": np.repeat(X, 2, axis=0)[::2],
}
LABELS: dict[str, Any] = {
    "int64": Y,
    "uint8": Y.astype(np.uint8),
    "bool": Y.astype(bool),
    "float32": Y.astype(np.float32),
    "column": Y.reshape(-1, 1),
}
CASES = [*((name, "int64") for name in FEATURES), *(("float64", name) for name in LABELS)]


@pytest.mark.parametrize("piece", [8, 2**22])
@pytest.mark.parametrize(("features", "labels"), CASES)
def test_any_numbers(features: str, labels: str, piece: int, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_arrays, "_PIECE", piece)
    made, y = FEATURES[features], LABELS[labels]
    np.savez(places.plan / "rows.npz", X=made, y=y)
    np.savez_compressed(places.plan / "packed.npz", Y=y, other=["texts"], XX=made)
    np.save(places.plan / "X.npy", made)
    np.save(places.plan / "y.npy", y)
    digests = set()
    for source in (
        NPZ(path="rows.npz"),
        NPZ(path="packed.npz", X="XX", y="Y"),
        NPY(path="X.npy", y="y.npy"),
    ):
        data = dataset(source, places)
        shard = data.train(np.arange(8))
        assert shard.X.dtype == np.float64
        np.testing.assert_array_equal(shard.X, X)
        np.testing.assert_array_equal(shard.y, Y)
        np.testing.assert_array_equal(data.train(np.array([1, 2, 6])).X, X[[1, 2, 6]])
        digests.add(data.facts.digest)
    assert len(digests) == 1


class _Trap:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return (pytest.fail, ("an object was unpickled",))


def _strange(**changes: Any) -> dict[str, Any]:
    return {"X": X, "y": Y, **changes}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "objects": (_strange(X=np.array([_Trap()] * 8, object)), ", X: an array of type object; expected numbers"),
    "object-labels": (_strange(y=np.array([_Trap()] * 8, object)), ", y: an array of type object"),
    "texts": (_strange(y=np.array(["a"] * 8)), ", y: an array of type <U1; expected numbers"),
    "complex": (_strange(X=X * 1j), ", X: an array of type complex128"),
    "records": (_strange(X=np.zeros(8, [("a", "f8"), ("b", "i4")])), ", X: an array of type [('a'"),
    "dates": (_strange(y=np.zeros(8, "M8[s]")), ", y: an array of type datetime64[s]"),
    "nothing": (_strange(X=np.zeros((8, 0))), ", X: too few bytes for an array of shape (8, 0)"),
    "no-rows": (_strange(X=np.zeros((0, 3))), ", X: too few bytes for an array of shape (0, 3)"),
    "one-number": (_strange(X=np.float64(3)), ": features of shape () and labels of shape (8,)"),
    "other-rows": (_strange(y=Y[:7]), ": features of shape (8, 3) and labels of shape (7,): not a label for each row"),
    "one-hot": (_strange(y=np.eye(8)), ": features of shape (8, 3) and labels of shape (8, 8)"),
    "nan": (_strange(X=np.where(X == 10, np.nan, X)), ", row 4: a feature is not finite"),
    "infinite-label": (_strange(y=np.where(Y, np.inf, Y)), ", row 2: the label is not finite"),
    "no-X": ({"y": Y, "data": X}, ": no array 'X'; it has: y, data"),
    "no-y": ({"X": X}, ": no array 'y'; it has: X"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str, places: Places) -> None:
    arrays, reason = REFUSED[name]
    path = places.plan / "rows.npz"
    np.savez(path, **arrays)
    with pytest.raises(DataFault) as caught:
        NPZ(path="rows.npz").prepare(places)
    assert str(caught.value).startswith(f"{path}{reason}")
    if not arrays.keys() >= {"X", "y"}:
        return
    np.save(places.plan / "X.npy", arrays["X"])
    np.save(places.plan / "y.npy", arrays["y"])
    with pytest.raises(DataFault) as caught:
        NPY(path="X.npy", y="y.npy").prepare(places)
    assert str(places.plan) in str(caught.value)
    assert reason.removeprefix(", X").removeprefix(", y") in str(caught.value)


def _head(shape: str, descr: str = "'<f8'", version: bytes = b"\x01\x00") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text


DAMAGED = {
    "empty": b"",
    "text": b"1 2 3\n",
    "other-version": _head("(3,)", version=b"\x09\x00") + bytes(24),
    "cut-short": _head("(3,)") + bytes(23),
    "huge": _head("(1000000, 1000000)") + bytes(100),
    "beyond-int64": _head("(99999999999999999999,)") + bytes(100),
    "negative": _head("(-1, -3)") + bytes(24),
    "no-shape": _head("'x'"),
    "head-is-code": _head("__import__('os').getpid()"),
    "head-is-nested": _head("(" * 5000),
    "pickle": _head("(1,)", "'|O'") + b"\x80\x04N.",
    "no-type": _head("(3,)", "'nonsense'"),
    "no-bytes-each": _head("(3,)", "'<f0'"),
    "empty-texts": _head("(3,)", "'S0'"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_arrays(name: str, places: Places) -> None:
    np.save(places.plan / "y.npy", Y)
    (places.plan / "X.npy").write_bytes(DAMAGED[name])
    with ZipFile(places.plan / "rows.npz", "w") as archive:
        archive.write(places.plan / "X.npy", "X.npy")
        archive.write(places.plan / "y.npy", "y.npy")
    with pytest.raises(DataFault, match=r"/X\.npy: "):
        NPY(path="X.npy", y="y.npy").prepare(places)
    with pytest.raises(DataFault, match=r"/rows\.npz, X: "):
        NPZ(path="rows.npz").prepare(places)


def test_an_array_of_python_2_is_read_without_a_word(places: Places) -> None:
    np.save(places.plan / "y.npy", Y[:3])
    (places.plan / "X.npy").write_bytes(_head("(3L, 1L)") + np.arange(3.0).tobytes())
    data = dataset(NPY(path="X.npy", y="y.npy"), places)
    np.testing.assert_array_equal(data.train(np.arange(3)).X, [[0], [1], [2]])


def test_damaged_archives(places: Places) -> None:
    path = places.plan / "rows.npz"
    np.savez_compressed(path, X=X, y=Y)
    whole = path.read_bytes()
    for damaged in (b"", b"PK\x03\x04", whole[:-30], whole[100:], whole[:60] + b"\xff" * 9 + whole[69:]):
        path.write_bytes(damaged)
        with pytest.raises(DataFault, match=r"rows\.npz"):
            NPZ(path="rows.npz").prepare(places)


def test_test_arrays_of_the_same_file_of_another_or_none(places: Places) -> None:
    np.savez(places.plan / "rows.npz", X=X, y=Y, x_test=X[:2] + 100, y_test=Y[:2])
    np.savez(places.plan / "other.npz", X=X[:3] + 200, y=Y[:3], a=X[:4] + 300, b=Y[:4])
    cases: list[tuple[dict[str, Any], int, int]] = [
        ({}, 0, 0),
        ({"X_test": "x_test", "y_test": "y_test"}, 2, 100),
        ({"test": "other.npz"}, 3, 200),
        ({"test": "other.npz", "X_test": "a", "y_test": "b"}, 4, 300),
    ]
    for keys, rows, first in cases:
        data = dataset(NPZ(path="rows.npz", **keys), places)
        assert (data.facts.rows, data.facts.test_rows) == (8, rows)
        if rows:
            assert data.test(np.arange(rows)).X[0, 0] == first
    wrong_keys: list[dict[str, Any]] = [{"X_test": "x"}, {"y_test": "y"}, {"X_test": "x", "y_test": "y", "split": 0.5}]
    for wrong in wrong_keys:
        with pytest.raises(ValueError, match="give "):
            NPZ(path="rows.npz", **wrong)
    with pytest.raises(ValueError, match="give both test and y_test"):
        NPY(path="X.npy", y="y.npy", test="X.npy")


def test_other_labels_are_another_store(places: Places) -> None:
    """The file of the features is the same."""
    np.save(places.plan / "X.npy", X)
    np.save(places.plan / "y.npy", Y)
    np.save(places.plan / "z.npy", 1 - Y)
    one, other = (dataset(NPY(path="X.npy", y=name), places) for name in ("y.npy", "z.npy"))
    assert one.facts.digest != other.facts.digest
