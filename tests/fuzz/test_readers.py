"""Readers of text and packed files: what was found by searching, and what is declared and not there."""

from __future__ import annotations

import gzip
import os
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpirobust.data.sources.base import Places
from mpirobust.data.sources.libsvm import LibSVM
from mpirobust.data.sources.mnist import read_idx
from mpirobust.errors import DataFault, PlanFault, SetupFault
from mpirobust.plan import load_plan, with_overrides
from tests.fuzz.readers import TEXT, or_one_fault
from tests.support.launching import CONFIGS

_ROOM = 2**22


def idx(shape: tuple[int, ...], content: bytes) -> bytes:
    return bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes() + content


def test_a_flipped_bit_in_a_gzip_file_is_one_fault(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    whole = gzip.compress(idx((5, 30, 40), np.random.default_rng(0).integers(9, size=6000, dtype=np.uint8).tobytes()))
    refused = []
    for bit in range(0, 8 * len(whole), 37):
        body = bytearray(whole)
        body[bit // 8] ^= 1 << bit % 8
        path.write_bytes(body)
        try:
            read_idx(path, 3)
        except DataFault as fault:
            refused.append(str(fault))
    assert all(str(path) in said for said in refused)
    assert len(refused) > 0.9 * len(range(80, 8 * len(whole), 37))  # the name and the time in the head say nothing


@pytest.mark.parametrize(
    "declared", [(2**32 - 1, 2**32 - 1, 2**32 - 1), (10**4, 10**3, 10**3), (1, 1, 100), (3, 4, 5)], ids=str
)
def test_no_more_is_unpacked_than_the_head_says(tmp_path: Path, declared: tuple[int, int, int]) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(idx(declared, bytes(2**26))))
    tracemalloc.start()
    try:
        with pytest.raises(DataFault, match=r"images\.gz"):
            read_idx(path, 3)
        assert tracemalloc.get_traced_memory()[1] < _ROOM
    finally:
        tracemalloc.stop()


def test_an_index_that_asks_for_billions_of_features_is_to_be_confirmed(tmp_path: Path) -> None:
    (tmp_path / "rows.svm").write_text("+1 1:1\n-1 2000000000:1\n")
    places = Places(tmp_path, None, tmp_path / "cache")
    source = LibSVM(path="rows.svm")
    with pytest.raises(
        DataFault, match=r"line 2: feature 2000000000; if that is meant, say data.features = 2000000000"
    ):
        source.open(source.prepare(places), seed=1)
    confirmed = LibSVM(path="rows.svm", features=2_000_000_000)
    assert confirmed.open(confirmed.prepare(places), seed=1).facts.features == 2_000_000_000


def test_text_that_cannot_be_opened_is_one_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.svm"
    path.write_bytes(TEXT)
    opened = os.open

    def fail(name: str | Path, *flags: int) -> int:
        if Path(name) == path:
            raise PermissionError(13, "Permission denied")
        return opened(name, *flags)

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(DataFault, match=r"rows\.svm: cannot be read \(Permission denied\)"):
        LibSVM(path="rows.svm").prepare(Places(tmp_path, None, tmp_path / "cache"))


TOML = {
    "nested": "a = " + "[" * 10_000,
    "nested-tables": "a = " + "{b = " * 10_000,
    "digits": "seed = " + "1" * 10_000,
    "no-date": "seed = 2000-99-99",
    "bytes": "\x00\x01",
    "array": "data = [1, 2]",
    "number": "algorithm = 3",
}


@pytest.mark.parametrize("name", TOML)
def test_damaged_plans(tmp_path: Path, name: str) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(TOML[name])
    with pytest.raises(SetupFault, match=r"plan\.toml"):
        load_plan(path, ())


VALUES = [
    "nan",
    "inf",
    "-1",
    "0",
    "1e400",
    "1e308",
    "[]",
    "{}",
    "''",
    "true",
    "9" * 40,
    "9" * 5000,
    "[" * 5000,
    "2000-01-01",
]
KEYS = [
    *("seed", "workers", "feedback", "weigh", "data", "data.kind", "data.rows", "data.features", "problem.kind"),
    *("algorithm.step", "algorithm.rounds", "compressor.kind", "aggregator.beta", "attack.alpha", "attack.kind"),
    *("audit.every", "checkpoint.every", "stop.loss", "stop", "data.partition", "data.partition.kind"),
]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sets=st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(VALUES)), min_size=1, max_size=3))
def test_overrides_are_taken_or_one_fault(sets: list[tuple[str, str]]) -> None:
    path = CONFIGS / "quickstart.toml"
    with or_one_fault(path):
        load_plan(path, [f"{key}={value}" for key, value in sets])


@settings(max_examples=200)
@given(text=st.text(max_size=30))
def test_any_override(text: str) -> None:
    with suppress(PlanFault):
        with_overrides({"seed": 1}, [text])
