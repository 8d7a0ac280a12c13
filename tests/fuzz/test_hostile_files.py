"""Well-formed HDF5 with a checksum that fits and content that does not: plain numbers or one fault, never more."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import numpy as np
import pytest

from mpirobust.errors import SetupFault
from tests.fuzz.readers import KINDS, Kind, or_one_fault
from tests.support.sealing import resealed

_ROOM = 2**24  # bytes; an honest file of a few kilobytes takes a hundredth
_SECRET = np.full(100, 42.5)

_ALIKE = (
    *("broadcast", "encode", "gather", "forge", "aggregate", "audit", "checkpoint", "down", "distance", "accuracy"),
    *("reset", "absent", "escape", "test_loss", "auc", "lambda_min", "gradient_norm"),
)

Change = Callable[[Any, str, Path], None]


def _replaced(make: Callable[[Any, str, Any, Path], object]) -> Change:
    """Take the array at a name away and let `make(group, name, old values, folder)` put something there."""

    def change(file: Any, name: str, folder: Path) -> None:
        old = file[name][()]
        parent, leaf = file[name].parent, name.rpartition("/")[2]
        del file[name]
        make(parent, leaf, old, folder)

    return change


def _external(group: Any, name: str, old: Any, folder: Path) -> None:
    (folder / "secret").write_bytes(_SECRET.tobytes())
    group.create_dataset(name, np.shape(old), np.asarray(old).dtype, external=[(str(folder / "secret"), 0, 800)])


def _virtual(group: Any, name: str, _: Any, folder: Path) -> None:
    _other(folder)
    layout = h5py.VirtualLayout((100,), "<f8")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "secret", (100,))
    group.create_virtual_dataset(name, layout)


def _linked(group: Any, name: str, _: Any, folder: Path) -> None:
    _other(folder)
    group[name] = h5py.ExternalLink(str(folder / "other.h5"), "secret")


def _other(folder: Path) -> None:
    with h5py.File(folder / "other.h5", "w") as other:
        other["secret"] = _SECRET


def _twice(group: Any, name: str, old: Any, _: Path) -> None:
    group[name] = old
    group["again"] = group[name]


def _compound(group: Any, name: str, old: Any, _: Path) -> None:
    group[name] = np.zeros(np.shape(old), [("a", "<f8"), ("b", "<i4")])


def _references(group: Any, name: str, old: Any, _: Path) -> None:
    group.create_dataset(name, np.shape(old), h5py.ref_dtype)


def _huge(chunks: Any) -> Callable[[Any, str, Any, Path], object]:
    """A shape of terabytes of which nothing is stored."""
    return lambda group, name, old, _: group.create_dataset(
        name, (2**40, *np.shape(old)[1:]), np.asarray(old).dtype, chunks=chunks and (2**10, *np.shape(old)[1:])
    )


def _bomb(group: Any, name: str, old: Any, _: Path) -> None:
    group.create_dataset(name, data=np.zeros((10**5, *np.shape(old)[1:]), np.asarray(old).dtype), compression="gzip")


# What no file of ours holds: refused wherever it stands, also where no reader looks.
REFUSED: dict[str, Change] = {
    "external-storage": _replaced(_external),
    "virtual": _replaced(_virtual),
    "external-link": _replaced(_linked),
    "soft-link": _replaced(lambda group, name, *_: group.__setitem__(name, h5py.SoftLink("/elsewhere"))),
    "link-to-itself": _replaced(lambda group, name, *_: group.__setitem__(name, h5py.SoftLink(f"{group.name}/{name}"))),
    "link-to-a-group": _replaced(lambda group, name, *_: group.__setitem__(name, h5py.SoftLink("/"))),
    "cycle": _replaced(lambda group, name, *_: group.__setitem__(name, group)),
    "two-names": _replaced(_twice),
    "texts": _replaced(lambda group, name, *_: group.__setitem__(name, ["a", "b"])),
    "fixed-texts": _replaced(lambda group, name, *_: group.__setitem__(name, np.array([b"a", b"b"]))),
    "lists": _replaced(lambda group, name, *_: group.create_dataset(name, (3,), h5py.vlen_dtype("<f8"))),
    "references": _replaced(_references),
    "compound": _replaced(_compound),
    "opaque": _replaced(lambda group, name, *_: group.__setitem__(name, np.array([b"ab"], "V2"))),
    "complex": _replaced(lambda group, name, old, _: group.__setitem__(name, np.asarray(old) * 1j)),
    "nothing": _replaced(lambda group, name, *_: group.__setitem__(name, h5py.Empty("<f8"))),
    "named-type": _replaced(lambda group, name, *_: group.__setitem__(name, np.dtype("<f8"))),
    "huge-in-chunks": _replaced(_huge(True)),
    "huge": _replaced(_huge(None)),
    "packed": _replaced(_bomb),
    "attribute-of-many": lambda file, name, _: file[name].attrs.__setitem__("x", np.zeros(3)),
    "attribute-of-references": lambda file, name, _: file[name].attrs.create("x", file[name].ref, (), h5py.ref_dtype),
    "attribute-of-nothing": lambda file, name, _: file[name].attrs.__setitem__("x", h5py.Empty("<f8")),
}

# What may be read or refused, as the reader likes.
STRANGE: dict[str, Change] = {
    "gone": _replaced(lambda *_: None),
    "group": _replaced(lambda group, name, *_: group.create_group(name)),
    "one-number": _replaced(lambda group, name, *_: group.__setitem__(name, 3.0)),
    "no-rows": _replaced(
        lambda group, name, old, _: group.__setitem__(name, np.asarray(old)[:0] if np.ndim(old) else 0)
    ),
    "fewer": _replaced(
        lambda group, name, old, _: group.__setitem__(name, np.asarray(old)[:-1] if np.ndim(old) else 0)
    ),
    "more": _replaced(lambda group, name, old, _: group.__setitem__(name, np.resize(old, (np.size(old) + 7,)))),
    "deeper": _replaced(lambda group, name, old, _: group.__setitem__(name, np.asarray(old)[..., None, None])),
    "turned": _replaced(lambda group, name, old, _: group.__setitem__(name, np.asarray(old).T[::-1])),
    "float16": _replaced(lambda group, name, old, _: group.__setitem__(name, np.asarray(old).astype("<f2"))),
    "integers": _replaced(lambda group, name, old, _: group.__setitem__(name, np.asarray(old).astype("<i8"))),
    "unsigned": _replaced(lambda group, name, old, _: group.__setitem__(name, np.full_like(old, 2**63 + 9, "<u8"))),
    "big-endian": _replaced(lambda group, name, old, _: group.__setitem__(name, np.asarray(old).astype(">f8"))),
    "yes-and-no": _replaced(lambda group, name, old, _: group.__setitem__(name, np.asarray(old) > 0)),
    "enumeration": _replaced(
        lambda group, name, old, _: group.create_dataset(name, np.shape(old), h5py.enum_dtype({"a": 1, "b": 7}))
    ),
    "negative": _replaced(lambda group, name, old, _: group.__setitem__(name, np.full_like(old, -9, "<i8"))),
    "negative-alike": _replaced(lambda group, name, old, _: group.__setitem__(name, np.zeros_like(old) - np.int8(9))),
    "largest": _replaced(lambda group, name, old, _: group.__setitem__(name, np.full_like(old, 2**63 - 1, "<i8"))),
    "nan": _replaced(lambda group, name, old, _: group.__setitem__(name, np.full_like(old, np.nan, "<f8"))),
    "inf": _replaced(lambda group, name, old, _: group.__setitem__(name, np.full_like(old, np.inf, "<f8"))),
}

ATTRIBUTES: dict[str, object] = {
    "gone": None,
    "empty": "",
    "text": "many",
    "not-toml": "[[[[",
    "another-toml": "a = 1979-05-27\nb = nan\n",
    "nested-toml": "a = " + "[" * 5000,
    "bytes": b"\xff\xfe",
    "number": -7,
    "huge": 2**63 - 1,
    "nan": np.nan,
    "inf": np.inf,
    "many": np.zeros(3),
    "texts": ["a", "b"],
    "not-unicode": np.array(b"\xff\xfe", h5py.string_dtype("utf-8")),
    "nothing": h5py.Empty("<f8"),
}


@cache
def _honest(kind: str) -> tuple[bytes, list[str], list[str]]:
    """A file of this kind, its arrays (of columns that are read alike, one) and its attributes."""
    arrays: list[str] = []
    with TemporaryDirectory() as folder:
        path = Path(folder) / KINDS[kind].name
        KINDS[kind].write(path)
        with h5py.File(path) as file:
            file.visititems(lambda name, item: arrays.append(name) if isinstance(item, h5py.Dataset) else None)
            some = [name for name in arrays if not name.endswith(_ALIKE)]
            return path.read_bytes(), some, list(file.attrs)


def _read(kind: Kind, path: Path, *, refused: bool) -> None:
    if not refused:
        with or_one_fault(path), np.errstate(all="ignore"):
            kind.read(path)
        return
    tracemalloc.start()
    try:
        with pytest.raises(SetupFault, match=path.name):
            kind.read(path) if path.name != "run.h5" else _summary(path)
        assert tracemalloc.get_traced_memory()[1] < _ROOM
    finally:
        tracemalloc.stop()


def _summary(path: Path) -> None:
    from mpirobust.reports.summary import summary

    summary(path)


@pytest.mark.parametrize("change", [*REFUSED, *STRANGE])
@pytest.mark.parametrize("kind", KINDS)
def test_an_array_that_is_none_of_ours(kind: str, change: str, tmp_path: Path) -> None:
    path = tmp_path / KINDS[kind].name
    whole, arrays, _ = _honest(kind)
    for name in arrays:
        path.write_bytes(whole)
        with resealed(path) as file:
            try:
                {**REFUSED, **STRANGE}[change](file, name, tmp_path)
            except (TypeError, ValueError, IndexError):
                continue  # the change has no meaning for this array
        _read(KINDS[kind], path, refused=change in REFUSED)


@pytest.mark.parametrize("change", ATTRIBUTES)
@pytest.mark.parametrize("kind", KINDS)
def test_an_attribute_that_is_none_of_ours(kind: str, change: str, tmp_path: Path) -> None:
    path = tmp_path / KINDS[kind].name
    whole, _, attributes = _honest(kind)
    for name in attributes:
        path.write_bytes(whole)
        with resealed(path) as file:
            del file.attrs[name]
            if change != "gone":
                file.attrs[name] = ATTRIBUTES[change]
        _read(KINDS[kind], path, refused=change in ("many", "texts", "nothing", "not-unicode"))


@pytest.mark.parametrize("kind", KINDS)
def test_as_it_was_written_it_is_read(kind: str, tmp_path: Path) -> None:
    path = tmp_path / KINDS[kind].name
    KINDS[kind].write(path)
    with resealed(path):
        pass
    KINDS[kind].read(path)
    if kind == "trace":
        _summary(path)


def test_a_chain_of_groups_without_end(tmp_path: Path) -> None:
    path = tmp_path / KINDS["store"].name
    KINDS["store"].write(path)
    with resealed(path) as file:
        group = file
        for _ in range(2000):
            group = group.create_group("g")
    _read(KINDS["store"], path, refused=True)
