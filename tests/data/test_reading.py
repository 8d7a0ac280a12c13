"""Files as people have them: packed, with marks, with any line ends; read piece by piece, and to be interrupted."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mpirobust import meter
from mpirobust.data import reading
from mpirobust.data.reading import text_blocks
from mpirobust.data.sources._files import FileSource
from mpirobust.data.sources.base import Places
from mpirobust.data.sources.csv import CSV
from mpirobust.data.sources.libsvm import LibSVM
from mpirobust.data.sources.npz import NPZ
from mpirobust.errors import DataFault, Fault

TEXT = b"# rows\n-1 1:1 2:0.5\n\n+1 1:2 2:-1\n-1 1:0.3\n+1 2:3\n"
PACKINGS: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path, None, tmp_path / "cache")


def digest(source: FileSource, places: Places) -> str:
    dataset = source.open(source.prepare(places), seed=1)
    dataset.close()
    return dataset.facts.digest


AS_THEY_ARE: dict[str, bytes] = {
    **{f"packed-{name}": pack(TEXT) for name, pack in PACKINGS.items()},
    **{f"packed-{name}-with-mark": pack(b"\xef\xbb\xbf" + TEXT) for name, pack in PACKINGS.items()},
    "two-members": gzip.compress(TEXT[:20]) + gzip.compress(TEXT[20:]),
    "mark": b"\xef\xbb\xbf" + TEXT,
    "windows": TEXT.replace(b"\n", b"\r\n"),
    "old-mac": TEXT.replace(b"\n", b"\r"),
    "mixed": TEXT.replace(b"\n", b"\r\n", 3),
    "not-ended": TEXT[:-1],
    "not-ended-windows": TEXT.replace(b"\n", b"\r\n")[:-1],
    "mark-and-windows": b"\xef\xbb\xbf" + TEXT.replace(b"\n", b"\r\n"),
}


@pytest.mark.parametrize("piece", [4, 5, 7, 2**22])
@pytest.mark.parametrize("name", AS_THEY_ARE)
def test_the_rows_are_the_same(name: str, piece: int, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the pieces end; packing is known by the content, whatever the name."""
    monkeypatch.setattr(reading, "_PIECE", piece)
    (places.plan / "plain.svm").write_bytes(TEXT)
    (places.plan / "other.svm").write_bytes(AS_THEY_ARE[name])
    assert digest(LibSVM(path="other.svm"), places) == digest(LibSVM(path="plain.svm"), places)


@pytest.mark.parametrize("piece", [1, 2, 3, 2**22])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_counted_whatever_ends_them(
    end: str, piece: int, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_PIECE", piece)
    path = places.plan / "rows.svm"
    path.write_text("1 1:1\n\n# rows\n\n1 1:x\n".replace("\n", end), newline="")
    with pytest.raises(DataFault, match=f"^{path}, line 5: "):
        LibSVM(path="rows.svm").prepare(places)
    path.write_text("a,b\n\n1,2\n\n\n1,x\n".replace("\n", end), newline="")
    with pytest.raises(DataFault, match=f"^{path}, line 6: "):
        CSV(path="rows.svm", label="a").prepare(places)


def test_blocks_are_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "text"
    path.write_bytes(TEXT.replace(b"\n", b"\r\n")[:-1])
    for piece in range(1, len(TEXT)):
        monkeypatch.setattr(reading, "_PIECE", piece)
        blocks = list(text_blocks(path, lambda: None))
        assert b"".join(blocks) == TEXT
        assert all(block.endswith(b"\n") for block in blocks)


REFUSED = {
    "utf-16": ("-1 1:1\n".encode("utf-16"), "text in UTF-16 or UTF-32; store it as UTF-8"),
    "utf-16-be": (b"\xfe\xff" + "-1 1:1\n".encode("utf-16-be"), "text in UTF-16 or UTF-32"),
    "utf-32": ("-1 1:1\n".encode("utf-32"), "text in UTF-16 or UTF-32"),
    "utf-16-without-mark": ("-1 1:1\n".encode("utf-16-le"), "line 1: "),
    "zip": (b"PK\x03\x04" + bytes(40), "a zip archive; unpack it first"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(40), "packed by zstd; unpack it first"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(40), "a 7-Zip archive; unpack it first"),
    "tar": (b"rows.svm" + bytes(600), "line 1: "),
    "gzip-cut-short": (gzip.compress(TEXT)[:-9], "not a whole gzip file"),
    "gzip-damaged": (gzip.compress(TEXT)[:-8] + bytes(8), "not a whole gzip file"),
    "bzip2-cut-short": (bz2.compress(TEXT)[:-9], "not a whole bzip2 file"),
    "bzip2-damaged": (bz2.compress(TEXT)[:20] + bytes(40), "not a whole bzip2 file"),
    "xz-cut-short": (lzma.compress(TEXT)[:-9], "not a whole xz file"),
    "xz-damaged": (lzma.compress(TEXT)[:20] + bytes(60), "not a whole xz file"),
    "gzip-of-nothing": (gzip.compress(b""), "no rows"),
    "packed-twice": (gzip.compress(gzip.compress(TEXT)), "line 1: "),
}


@pytest.mark.parametrize("source", [LibSVM(path="rows"), CSV(path="rows", label=1)], ids=["libsvm", "csv"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str, source: FileSource, places: Places) -> None:
    content, reason = REFUSED[name]
    path = places.plan / "rows"
    path.write_bytes(content)
    with pytest.raises(DataFault) as caught:
        source.prepare(places)
    assert str(caught.value).startswith(str(path))
    assert isinstance(source, CSV) or reason in str(caught.value)


class _Enough(Fault):
    pass


@pytest.mark.parametrize("kind", ["libsvm", "csv", "npz"])
def test_preparing_says_how_far_it_is_and_can_be_ended(
    kind: str, places: Places, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (places.plan / "rows.svm").write_bytes(TEXT)
    (places.plan / "rows.csv").write_text("1,2\n" * 12)
    np.savez(places.plan / "rows.npz", X=np.ones(20), y=np.ones(20))
    source = {
        "libsvm": LibSVM(path="rows.svm"),
        "csv": CSV(path="rows.csv", label=1),
        "npz": NPZ(path="rows.npz"),
    }[kind]
    monkeypatch.setattr(reading, "_PIECE", 20)
    monkeypatch.setattr("mpirobust.data.sources._arrays._PIECE", 80)
    left = 2

    def check() -> None:
        nonlocal left
        left -= 1
        if not left:
            raise _Enough

    with pytest.raises(_Enough):
        source.prepare(replace(places, check=check))
    assert not list(places.cache.rglob("*.h5"))
    assert capsys.readouterr() == ("", "")  # a file of no size is read without a word
    for seconds in ("_FIRST", "_EVERY"):
        monkeypatch.setattr(meter, seconds, -1.0)
    source.prepare(places)
    said = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"reading rows\.\S+( X| y)?: \d+ %", said[0])
    assert any(re.fullmatch(r"reading .*: \d+ %, 00:0\d left", line) for line in said)
    assert any(line.startswith("storing rows.") for line in said)
    source.prepare(places)  # from the store
    assert {line.partition(" ")[0] for line in capsys.readouterr().err.splitlines()} == {"checking"}
