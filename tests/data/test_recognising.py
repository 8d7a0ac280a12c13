"""The kind of a file is found by its content, whatever its name and packing."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path

import numpy as np
import pytest

from mpirobust.data.recognising import recognised
from mpirobust.errors import DataFault
from tests.support import data_files

TEXTS = {
    "libsvm": b"-1 3:1 11:0.5 \n+1 2:1\n",
    "libsvm, rows without features first": b"# w8a\n-1 \n\n1\n+1 7:1\n",
    "libsvm, blanks": b"0.5\t1: 2e-3\t4:5 # comment\r\n",
    "libsvm, many labels": b"1,2 1:1\n",
    "csv": b"label,x0,x1\n1,2,3\n",
    "csv, names": b"name;x\nann;1\nbob;-.5e3\n",
    "csv, quoted": b'"x","y"\n"1","2"\n',
    "csv, one row": b"1 2 3\n",
    "csv, times": b"at,x\n2026-01-01 12:30:11,5\n",
}


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
@pytest.mark.parametrize("name", TEXTS)
def test_texts(name: str, pack: type[bytes], tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(pack(TEXTS[name]))
    assert recognised(path) == (name.partition(",")[0], path)


def test_arrays(tmp_path: Path) -> None:
    data_files.places(tmp_path)
    for kind, name in {"npz": "rows.npz", "npy": "X.npy"}.items():
        assert recognised(tmp_path / name) == (kind, tmp_path / name)


def test_mnist_is_a_folder(tmp_path: Path) -> None:
    folder = data_files.places(tmp_path).plan / "mnist"
    assert recognised(folder) == ("mnist", folder)
    assert recognised(folder / "t10k-labels-idx1-ubyte.gz") == ("mnist", folder)
    (tmp_path / "labels").write_bytes(data_files.idx(np.ones(3, np.uint8)))
    assert recognised(tmp_path / "labels") == ("mnist", tmp_path)


UNKNOWN = {
    "nothing": b"",
    "prose": b"It was a dark\nand stormy night\n",
    "a page": b"<!DOCTYPE html>\n<p>1 of 2\n",
    "numbers alone": b"1\n2\n",
    "a picture": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "zstd": b"\x28\xb5\x2f\xfd" + bytes(9),
    "cut short": gzip.compress(TEXTS["csv"])[:-9],
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_unknown_is_named(name: str, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(UNKNOWN[name])
    with pytest.raises(DataFault, match=f"^{path}: "):
        recognised(path)


def test_a_folder_of_other_files(tmp_path: Path) -> None:
    with pytest.raises(DataFault, match="a folder, but not one of the four files of MNIST"):
        recognised(tmp_path)
