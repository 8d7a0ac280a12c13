"""Each kind of hostile bytes against every code, from the plan to the end of the run."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
import pytest
import tomli_w
from numpy.typing import NDArray

from mpirobust import catalog
from mpirobust.comm.local import LocalCommunicator
from mpirobust.running import experiment
from mpirobust.running.setup import RunRequest
from mpirobust.types import flat
from tests.support.launching import mpirobust

M, ROUNDS, FEATURES = 10, 40, 40

CODES: dict[str, dict[str, Any]] = {
    "identity": {},
    "l1-qsgd": {},
    "atomo": {"budget": 3},
    "pca": {"k": 3},
    "qsgd": {"levels": 16},
    "one-bit-qsgd": {"kind": "qsgd", "levels": 1},
    "randomk": {"k": 10},
    "rotated": {"levels": 11},
    "sign": {},
    "sketch": {"rows": 4, "columns": 100},
    "terngrad": {},
    "topk": {"k": 10},
    "uniform": {},
    "vqsgd": {"samples": 200},
}

ATTACKS: dict[str, dict[str, Any]] = {
    "garbage": {},
    "bitflip": {"rate": 0.02},
    "empty": {"kind": "resized", "factor": 0.0},
    "truncated": {"kind": "resized", "factor": 0.5},
    "oversized": {"kind": "resized", "factor": 3.0},
    "nan": {"kind": "lying-scale", "lie": "nan"},
    "huge": {"kind": "lying-scale", "lie": "huge"},
    "huge-norm": {"kind": "negative", "factor": 1e30},
    "negative-scale": {"kind": "lying-scale", "lie": "negative"},
    "wrong-index": {},
}

# Codes that show what an attack sends, each time.
UNSOUND = {
    "empty": set(CODES),
    "oversized": set(CODES),
    "truncated": set(CODES) - {"qsgd", "one-bit-qsgd", "uniform"},  # the beginning of an entropy code may be a code
    "nan": set(CODES) - {"sign"},
    "negative-scale": {"l1-qsgd", "qsgd", "one-bit-qsgd", "terngrad", "uniform", "vqsgd"},
    "wrong-index": {"topk", "vqsgd", "qsgd", "one-bit-qsgd", "terngrad", "rotated", "uniform"},
}
# Codes in which it is the longest message, sound or not. One huge sum of a sketch is outvoted; a huge unit times
# levels that are all zero is zero.
LONGEST = {
    "huge": set(CODES) - {"sign", "sketch", "one-bit-qsgd", "qsgd"},
    "huge-norm": set(CODES) - {"sign", "one-bit-qsgd"},
}

Mask: TypeAlias = NDArray[np.bool_]


def plan(code: str, attack: str | None, feedback: str = "none", **algorithm: object) -> dict[str, Any]:
    step = 0.02 if code == "sign" else 0.2
    return {
        "seed": 3,
        "workers": M,
        "feedback": feedback,
        "data": {"kind": "regression", "rows": 800, "features": FEATURES},
        "problem": {"kind": "least-squares"},
        "algorithm": {"kind": "first-order", "rounds": ROUNDS, "step": step, **algorithm},
        "compressor": {"kind": code, **CODES[code]},
        "aggregator": {"kind": "norm-trim", "beta": 0.3},
        "audit": {"every": ROUNDS},
        **({} if attack is None else {"attack": {"kind": attack, "alpha": 0.3, **ATTACKS[attack]}}),
    }


def write(table: dict[str, Any], folder: Path) -> Path:
    path = folder / "plan.toml"
    path.write_text(tomli_w.dumps(table))
    return path


def outcome(folder: Path) -> tuple[Mask, Mask, float]:
    """Which messages were unsound and which kept, round by round, and the share of the loss that is left.

    The run has come to its end, the iterate is finite, no more crossed than a byte above the longest honest
    message of each worker, what was unsound was not kept, and what was kept is not longer than the longest honest
    message.
    """
    with h5py.File(folder / "run.h5") as file:
        assert file.attrs["status"] == "finished"
        assert file["rounds/round"].shape == (ROUNDS,)
        assert np.isfinite(file["model/x"][:]).all()
        norms, kept, loss = file["rounds/norms"][:], file["rounds/kept"][:], file["audits/loss"][:]
        sent = file["rounds/bytes_up"][:]
        byzantine = np.isin(np.arange(M), file["workers/byzantine"][:])
        table = tomllib.loads(file.attrs["plan"])
    compressor, claim = catalog.build(catalog.ROOMS["compressor"], table["compressor"], ""), 8  # P1 Option I's
    assert (sent <= M * (compressor.max_nbytes(flat(FEATURES)) + claim + 1)).all()
    unsound = ~np.isfinite(norms)
    assert not unsound[:, ~byzantine].any()
    assert not (kept & unsound).any(), "an unsound message was kept"
    assert (kept.sum(axis=1) == M - 3).all()
    honest = norms[:, ~byzantine].max(axis=1, keepdims=True)
    assert (norms <= honest)[kept].all(), "a message longer than any honest one was kept"
    return unsound[:, byzantine], kept[:, byzantine], float(loss[-1] / loss[0])


def run(table: dict[str, Any], folder: Path) -> tuple[Mask, Mask, float]:
    folder.mkdir(exist_ok=True)
    code, _ = experiment.run(
        RunRequest(write(table, folder), out=folder, quiet=True, overwrite=True), LocalCommunicator()
    )
    assert code == 0
    return outcome(folder)


@pytest.mark.parametrize("code", CODES)
def test_the_run_ends_and_gets_on(code: str, tmp_path: Path) -> None:
    most = 0.8 if code == "sign" else 0.3  # of signs without a scale the norm tells nothing
    assert run(plan(code, None), tmp_path)[2] < most
    for attack in ATTACKS:
        unsound, kept, loss = run(plan(code, attack), tmp_path)
        assert loss < most, attack
        if code in UNSOUND.get(attack, ()):
            assert unsound.all(), attack
        if code in LONGEST.get(attack, ()):
            assert not kept.any(), attack


@pytest.mark.parametrize("code", ["identity", "l1-qsgd", "qsgd", "topk"])
@pytest.mark.parametrize("feedback", ["residual", "difference"])
def test_feedback_stands_it_too(code: str, feedback: str, tmp_path: Path) -> None:
    for attack in ("garbage", "bitflip", "empty", "huge", "huge-norm", "wrong-index"):
        step = 0.05 if feedback == "residual" else 0.2  # what is kept back comes all at once
        _, _, loss = run(plan(code, attack, feedback, step=step), tmp_path)
        assert loss < 0.5, attack


def test_a_claimed_norm_does_not_save_what_is_unsound(tmp_path: Path) -> None:
    """P1 Option I: the claim is believed, the code is not."""
    for code in ("l1-qsgd", "topk", "qsgd"):
        for attack in ("garbage", "empty", "oversized", "nan"):
            unsound, _, _ = run(plan(code, attack, option="I"), tmp_path)
            assert unsound.any(), (code, attack)


@pytest.mark.mpi
@pytest.mark.parametrize(("code", "attack"), [("qsgd", "garbage"), ("l1-qsgd", "oversized"), ("topk", "wrong-index")])
def test_the_same_on_several_processes(code: str, attack: str, tmp_path: Path) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    run(plan(code, attack), alone)
    done = mpirobust("run", str(alone / "plan.toml"), "--out", str(together), ranks=3, timeout=300)
    assert done.returncode == 0, done.stderr
    outcome(together)
    with h5py.File(alone / "run.h5") as one, h5py.File(together / "run.h5") as other:
        for name in ("rounds/norms", "rounds/kept", "rounds/bytes_up", "model/x"):
            np.testing.assert_array_equal(one[name][:], other[name][:])
