"""The files that the examples of data sources read, as small as they can be."""

from __future__ import annotations

import gzip
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
from numpy.typing import NDArray

from mpirobust.data.sources.base import Places

ROWS = 30


def places(folder: Path) -> Places:
    """A folder with the files of every example, and a cache below it."""
    rng = np.random.default_rng(3)
    for name, rows in (("rows.svm", ROWS), ("test.svm", 7)):
        (folder / name).write_text("".join(_line(row, rng) for row in range(rows)))
    for part, rows in (("", ROWS), ("test_", 7)):
        X, y = rng.standard_normal((rows, 5)), np.arange(rows) % 3 - 1
        np.save(folder / f"{part}X.npy", X)
        np.save(folder / f"{part}y.npy", y)
        table = "\n".join(";".join(map(repr, row)) for row in np.column_stack((X, y)).tolist())
        (folder / ("test.csv" if part else "rows.csv")).write_text(f"a;b;c;d;e;class\n{table}\n")
    with ZipFile(folder / "rows.npz", "w", ZIP_DEFLATED) as archive:  # as numpy.savez_compressed makes it
        for name in ("X", "y", "test_X", "test_y"):
            archive.write(folder / f"{name}.npy", f"{name}.npy")
    (folder / "mnist").mkdir()
    for part, rows in (("train", ROWS), ("t10k", 7)):
        images = rng.integers(256, size=(rows, 3, 4), dtype=np.uint8)
        for what, array in (("images-idx3", images), ("labels-idx1", np.arange(rows, dtype=np.uint8) % 10)):
            path = folder / "mnist" / f"{part}-{what}-ubyte.gz"
            path.write_bytes(gzip.compress(idx(array)))
    return Places(folder, None, folder / "cache")


def idx(array: NDArray[np.uint8]) -> bytes:
    """The IDX file of an array, unpacked."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def _line(row: int, rng: np.random.Generator) -> str:
    values = " ".join(f"{at}:{rng.standard_normal():.3f}" for at in range(1, 6) if at == 5 or rng.random() < 0.6)
    return f"{row % 3 - 1} {values}\n"
