"""The code blocks that docs/ADDING.md calls complete are run from the page."""

from __future__ import annotations

import hashlib
from pathlib import Path

import h5py
import numpy as np
import pytest

import mpirobust
from mpirobust import catalog
from mpirobust.aggregators.base import Aggregator
from mpirobust.compressors.base import Compressor
from mpirobust.errors import Malformed
from mpirobust.types import flat
from tests.docs.pages import complete_blocks
from tests.support.alone import command_alone, run_alone

_BLOCKS = complete_blocks("ADDING.md")
_INT8 = "compressor.kind=./int8.py:Int8"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with every file of the page."""
    for name, content in _BLOCKS.items():
        (tmp_path / name).write_text(content)
    return tmp_path


def test_the_page_has_these_files() -> None:
    assert {"shorten.py", "shorten.toml", "int8.py"} <= {*_BLOCKS}


def test_check_says_where_the_rule_comes_from(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_alone("check", str(folder / "shorten.toml")) == 0
    assert f"./shorten.py:Shorten from {folder / 'shorten.py'}" in capsys.readouterr().out


def test_the_plan_runs_and_converges(folder: Path) -> None:
    run = run_alone(folder / "shorten.toml", folder / "out")
    with h5py.File(run / "run.h5") as file:
        loss = file["audits/loss"][:]
        assert file["rounds/kept"][:].all()
        assert loss[-1] < 0.1 * loss[0]
        digest = hashlib.sha256((folder / "shorten.py").read_bytes()).hexdigest()
        assert file.attrs["sources"] == f"aggregator {digest}"


def test_the_rule_works_on_an_array(folder: Path) -> None:
    rule = _component(folder, "aggregator", "./shorten.py:Shorten", radius=1.0)
    assert isinstance(rule, Aggregator)
    assert np.allclose(rule([[0.0, 0.5], [0.0, 100.0], [np.nan, 0.0]]), [0.0, 0.75])


def test_rule_and_code_work_from_python(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As docs/LIBRARY.md says: a file is relative to the working directory."""
    monkeypatch.chdir(folder)
    rows = [[0.0, 0.5], [0.0, 100.0], [np.nan, 0.0]]
    assert np.allclose(mpirobust.aggregate(rows, "./shorten.py:Shorten", radius=1.0), [0.0, 0.75])
    assert len(mpirobust.encode(np.ones(9), mpirobust.compressor("./int8.py:Int8"))) == 4 + 9


def test_a_round_trip_through_the_code_is_within_half_a_level(folder: Path) -> None:
    rng = np.random.default_rng(1)
    for dim in (1, 9, 1000):
        compressor = _int8(folder)
        code = compressor.draw(flat(dim), rng)
        for v in (rng.normal(size=dim), 1e-30 * rng.normal(size=dim), np.zeros(dim), np.ones(dim)):
            message = code.encode(v, rng)
            assert len(message) == compressor.max_nbytes(flat(dim)) == 4 + dim
            decoded = code.decode(message)
            assert np.abs(decoded - v).max() <= 0.51 * np.abs(v).max() / 127
            assert code.norm(message, 2.0) == pytest.approx(np.linalg.norm(decoded))
            block = np.empty((1, dim))
            code.fill(block, [message], 0)
            assert np.array_equal(block[0], decoded)
            delta = compressor.delta(flat(dim))
            assert delta is not None
            assert (decoded - v) @ (decoded - v) <= (1 - delta) * (v @ v)


def test_the_code_refuses_what_is_no_message(folder: Path) -> None:
    rng = np.random.default_rng(1)
    code = _int8(folder).draw(flat(3), rng)
    for bad in (b"", bytes(6), bytes(8), np.array(-1, "<f4").tobytes() + bytes(3)):
        with pytest.raises(Malformed):
            code.norm(bad, 2.0)
    assert not np.isfinite(code.norm(np.array(np.nan, "<f4").tobytes() + bytes(3), 2.0))
    assert not np.isfinite(code.norm(code.encode(np.full(3, 1e300), rng), 2.0))


def test_a_plan_runs_with_the_compressor_of_the_page(folder: Path) -> None:
    run = run_alone(folder / "shorten.toml", folder / "out", _INT8)
    with h5py.File(run / "run.h5") as file:
        loss = file["audits/loss"][:]
        assert loss[-1] < 0.1 * loss[0]
        assert (file["rounds/bytes_up"][:] == 20 * (4 + 20)).all()


def _component(folder: Path, table: str, kind: str, **keys: object) -> object:
    return catalog.build(catalog.ROOMS[table], {"kind": kind, **keys}, table, folder)


def _int8(folder: Path) -> Compressor:
    compressor = _component(folder, "compressor", "./int8.py:Int8")
    assert isinstance(compressor, Compressor)
    return compressor
