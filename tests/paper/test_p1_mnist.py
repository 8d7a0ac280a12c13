"""P1 §8 on MNIST: 80 of 200 workers train on labels 9 - y; trimming by norm does not mind, averaging does."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.launching import CONFIGS, mpirobust

_ATTACK = ["attack.kind=label-flip", "attack.alpha=0.4"]
_SHORT = ["problem.hidden=[100]", "algorithm.step=5", "algorithm.rounds=80", "audit.every=80", "checkpoint.every=80"]


def final(folder: Path, *overrides: str) -> dict[str, Any]:
    """The summary of the plan for MNIST under the label attack, with `overrides`."""
    if not (Path(os.environ.get("MPIROBUST_DATA", "")) / "mnist" / "train-images-idx3-ubyte.gz").is_file():
        pytest.skip("no mnist below $MPIROBUST_DATA")
    plan = str(CONFIGS / "mnist.toml")
    settings = [word for each in (*_ATTACK, *_SHORT, *overrides) for word in ("--set", each)]
    run = mpirobust("run", plan, "--out", str(folder), *settings, timeout=900)
    assert run.returncode == 0, run.stderr
    figures: dict[str, Any] = json.loads(mpirobust("inspect", str(folder), "--json").stdout)
    return figures


def test_label_shift_by_two_fifths_is_trimmed_away(tmp_path: Path) -> None:
    """The one test of a network on real images, with 200 workers."""
    trimmed = final(tmp_path / "trimmed", "aggregator.beta=0.41")
    averaged = final(tmp_path / "averaged", "aggregator.kind=mean")
    assert (trimmed["byzantine"], averaged["byzantine_kept_mean"]) == (80, 80)
    assert trimmed["test_accuracy"] > 0.90
    assert trimmed["test_accuracy"] > averaged["test_accuracy"] + 0.03
    assert trimmed["byzantine_kept_mean"] < 8  # of 80, though 118 are kept
