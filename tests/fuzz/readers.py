"""What may come of a file, whatever its bytes: what it should hold, or one fault that names it."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mpirobust.algorithms.first_order import Iterate
from mpirobust.api.results import open_run
from mpirobust.data.sources._arrays import read_array
from mpirobust.data.sources.base import Places
from mpirobust.data.sources.csv import CSV
from mpirobust.data.sources.libsvm import parse
from mpirobust.data.sources.mnist import read_idx
from mpirobust.data.sources.npz import NPZ
from mpirobust.data.store import Store, write_csr_store, write_pixel_store
from mpirobust.errors import SetupFault
from mpirobust.plan import Plan, load_plan
from mpirobust.records import checkpoint, model, run_folder
from mpirobust.records.layout import TRACE, checkpoint_path
from mpirobust.records.trace import Trace
from mpirobust.reports.curves import curve
from mpirobust.reports.summary import as_json, as_text, summary
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from tests.support.launching import CONFIGS

M, DIM, ID = 3, 4, "0123abcd"
TEXT = b"# rows\n+1 1:0.5 3:-2\n-1 2:1e-3 # a remark\n\n-1\n+1 1:1 2:2 3:3 4:4\n"


@contextmanager
def or_one_fault(path: Path) -> Iterator[None]:
    """`SetupFault` (of any kind) may pass, if it says where; nothing else may."""
    try:
        yield
    except SetupFault as fault:
        said = str(fault)
    else:
        return
    assert str(path.parent) in said, f"which file? {said}"
    said.encode()


def libsvm(data: bytes, folder: Path) -> None:
    path = folder / "rows.svm"
    path.write_bytes(data[1:])
    features = (None, 4)[data[0] % 2]
    with or_one_fault(path):
        X, labels = parse(path, features, 0, lambda: None)
        assert X.shape == (labels.size, features or X.shape[1])
        assert np.isfinite(X.data).all()
        assert np.isfinite(labels).all()
        assert X.indices.size == X.data.size == X.indptr[-1] <= len(data)
        assert X.indices.size == 0 or 0 <= X.indices.min() <= X.indices.max() < X.shape[1]


def libsvm_seeds() -> list[bytes]:
    strange = [b"+1 1:nan\n", b"inf 1:1\n", b"+1 9:1\n", b"1 1:1e999\n", b"1 1:1 2147483647:1\n", b"1 qid:3 1:1\n"]
    strange += [b"\xef\xbb\xbf1 1: 2\r-1\t2:0x1p3\r\n", gzip.compress(TEXT), b"\n\n1 1:1_0 2:1e\n", b"1,2 1:.5.\n"]
    return [choice + text for choice in (b"0", b"1") for text in (TEXT, *strange)]


CSV_TEXT = b'a,"b, c",class\n1,.5,3\n\n"-2",1e-3,7\n'


def csv(data: bytes, folder: Path) -> None:
    path = folder / "rows.csv"
    path.write_bytes(data[1:])
    with or_one_fault(path):
        X, labels = CSV(path=path.name, label=("class", -1)[data[0] % 2]).parse(path, lambda: None)
        assert X.shape == (labels.size, X.shape[1])
        assert X.size + labels.size <= len(data)
        assert np.isfinite(X).all()
        assert np.isfinite(labels).all()


def csv_seeds() -> list[bytes]:
    forms = [CSV_TEXT, CSV_TEXT.replace(b",", b";"), b"1 2 3\n4 5 6\n", b"1\t2\n3\tnan\n", b"\xff\xfea,b", b'"1\n2,3']
    return [choice + text for choice in (b"0", b"1") for text in forms]


def array(data: bytes, folder: Path) -> None:
    path = folder / "X.npy"
    path.write_bytes(data)
    with or_one_fault(path), path.open("rb") as file:
        found = read_array(file, str(path), len(data), lambda: None)
        assert found.dtype == np.float64
        assert 0 < found.size <= len(data)


def array_seeds() -> list[bytes]:
    seeds = []
    arrays: list[NDArray[Any]] = [np.ones((3, 2)), np.asfortranarray(np.ones((3, 2), ">i2")), np.array(["a", "b"])]
    for each in [*arrays, np.array([{}])]:
        file = BytesIO()
        np.save(file, each)
        seeds.append(file.getvalue())
    return seeds


def npz(data: bytes, folder: Path) -> None:
    path = folder / "rows.npz"
    path.write_bytes(data)
    with or_one_fault(path):
        NPZ(path=path.name).prepare(Places(folder, None, folder / "cache"))
    with or_one_fault(path):
        found = model.read(path)
        assert found.x.size == found.layout.dim
    shutil.rmtree(folder / "cache", ignore_errors=True)


def npz_seeds() -> list[bytes]:
    seeds = []
    for save in (np.savez, np.savez_compressed):
        file = BytesIO()
        save(file, X=np.ones((3, 2)), y=np.arange(3))
        seeds.append(file.getvalue())
    return seeds


def idx(data: bytes, folder: Path) -> None:
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(data[1:] if data[0] & 2 else gzip.compress(data[1:], 1))
    dimensions = (1, 3)[data[0] % 2]
    with or_one_fault(path):
        array = read_idx(path, dimensions)
        assert (array.ndim, array.dtype) == (dimensions, np.dtype(np.uint8))
        assert 0 < array.size <= 1032 * path.stat().st_size


def idx_seeds() -> list[bytes]:
    seeds = []
    for shape in ((20,), (5, 3, 4)):
        head = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
        plain = head + np.arange(np.prod(shape), dtype=np.uint8).tobytes()
        seeds += [bytes([len(shape) == 3]) + plain, bytes([2 + (len(shape) == 3)]) + gzip.compress(plain)]
    return seeds


def toml(data: bytes, folder: Path) -> None:
    path = folder / "plan.toml"
    path.write_bytes(data)
    with or_one_fault(path):
        plan, _ = load_plan(path, ())
        assert Plan.of(tomllib.loads(plan.toml())) == plan


def toml_seeds() -> list[bytes]:
    return [(CONFIGS / name).read_bytes() for name in ("quickstart.toml", "a9a-robust.toml", "a9a-logistic.toml")]


def store(path: Path) -> None:
    opened = Store(path, verify=True)
    try:
        X = opened.read(np.arange(opened.rows))
        assert X.shape == (opened.rows, opened.features)
        assert not sparse.issparse(X) or not X.nnz or 0 <= X.indices.min() <= X.indices.max() < X.shape[1]
        assert np.isfinite(X.data if sparse.issparse(X) else X).all()
        assert np.isfinite(opened.labels).all()
    finally:
        opened.close()


def kept(path: Path) -> None:
    found = checkpoint.load(path, checkpoint.Schema(Iterate, ID, holds=True), DIM)
    assert all(np.isfinite(w).all() and w.shape == (DIM,) for held in found.held.values() for w in held)
    assert (found.state.x.shape, found.state.x.dtype.kind) == ((DIM,), "f")
    assert isinstance(found.state, Iterate)
    assert (type(found.state.t), type(found.round)) == (int, int)
    for residual in checkpoint.load_memory(path, ["residual"], range(M), DIM):
        assert (residual.shape, residual.dtype) == ((DIM,), np.dtype(np.float64))
    trace = Trace(M, np.array([1]), {})
    trace.restore(_whole_trace(path.parent), found.tail, 5)


def trace(path: Path) -> None:
    """Every reader of a trace, each on its own: a later one must not lean on an earlier one's refusal."""
    readers: list[Callable[[], object]] = [
        lambda: as_json(summary(path)).encode(),
        lambda: as_text(summary(path), path).encode(),
        lambda: open_run(path),
        lambda: Trace(M, np.array([1]), {}).restore(path, Trace(M, np.array([1]), {}).tail(), 5),
        lambda: run_folder.check_continues(path.parent, run_folder.former_run(path.parent), _plan().record()),
        lambda: model.write(path.with_name("model.npz"), model.of_run(path)),
        lambda: curve(path.parent, "loss", "bytes"),
        lambda: curve(path.parent, "loss", "seconds"),
    ]
    for read in readers:
        with or_one_fault(path):
            read()


def write_store(path: Path) -> None:
    X = sparse.csr_array(np.arange(15.0).reshape(5, 3) * (np.arange(15).reshape(5, 3) % 2))
    write_csr_store(path, X, np.arange(5.0), "somewhere")


def write_pixels(path: Path) -> None:
    write_pixel_store(path, np.arange(15, dtype=np.uint8).reshape(5, 3), np.arange(5.0), "somewhere")


def write_checkpoint(path: Path) -> None:
    local = LocalRun(
        regression_plan(workers=M, feedback="residual", data={"kind": "regression", "rows": 9, "features": DIM})
    )
    held = {0: (np.arange(DIM) + 0.5, np.zeros(DIM))}
    snapshot = checkpoint.Snapshot(5, Iterate(np.arange(DIM) + 0.5, 5, 1.5), _made_trace(5).tail(), held=held)
    checkpoint.save(path.parent, snapshot, ID, local.memories(5))
    if path != checkpoint_path(path.parent, 5):
        checkpoint_path(path.parent, 5).replace(path)


def write_trace(path: Path) -> None:
    _made_trace(5).write(path, "running", 5, np.arange(float(DIM)))


def _made_trace(rounds: int) -> Trace:
    made = Trace(M, np.array([1]), {"plan": _plan().toml(), "data_digest": "abc"})
    for t in range(rounds + 1):
        row = made.audits.append()
        row["round"] = t
        row["loss"] = 1 / (t + 1)
        if t:
            made.rounds.append()["round"] = t
    return made


def _plan() -> Plan:
    return regression_plan(workers=M)


def _whole_trace(folder: Path) -> Path:
    path = folder / "whole" / TRACE
    if not path.exists():
        write_trace(path)
    return path


@dataclass(frozen=True)
class Kind:
    """A kind of HDF5 file: its name, how it is written, and all that read it."""

    name: str
    write: Callable[[Path], None]
    read: Callable[[Path], None]


KINDS = {
    "store": Kind("store.h5", write_store, store),
    "pixels": Kind("pixels.h5", write_pixels, store),
    "checkpoint": Kind("checkpoint-000000005.h5", write_checkpoint, kept),
    "trace": Kind(TRACE, write_trace, trace),
}


def hdf5(data: bytes, folder: Path) -> None:
    """Any bytes: the checksum stands between them and the HDF5 library."""
    kind = list(KINDS.values())[data[0] % len(KINDS)]
    path = folder / kind.name
    path.write_bytes(data[1:])
    fits = data[1:].startswith(b"mpirobust sha256 " + hashlib.sha256(data[1 + 512 :]).hexdigest().encode())
    with or_one_fault(path):
        kind.read(path)
        assert fits or kind.name == TRACE, "read, and its checksum does not fit"


def hdf5_seeds(folder: Path) -> list[bytes]:
    seeds = []
    for number, kind in enumerate(KINDS.values()):
        kind.write(folder / kind.name)
        seeds.append(bytes([number]) + (folder / kind.name).read_bytes())
    return seeds
