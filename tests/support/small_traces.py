"""Traces that no run has made, with what a test needs in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from numpy.typing import NDArray

from mpirobust.records.layout import TRACE
from mpirobust.records.trace import Trace


def write_trace(
    folder: Path,
    loss: Sequence[float] = (4.0, 2.0, 1.0),
    kept: NDArray[np.bool_] | None = None,
    byzantine: Sequence[int] = (),
    status: str = "finished",
    absent: NDArray[np.bool_] | None = None,
    facts: Mapping[str, str] | None = None,
    **plan: Any,
) -> Path:
    """Write a run into `folder` and return the folder.

    Args:
        loss: of the audits, after rounds 0, 1, 2 and so on.
        kept, absent: shape (T, m); by default of two workers, all kept and none absent, a round after each audit.
        facts: attributes of the file.
        plan: tables and keys beside those that every plan has.
    """
    kept = np.ones((len(loss) - 1, 2), dtype=bool) if kept is None else kept
    count, workers = kept.shape
    table = {"seed": 1, "workers": workers, "algorithm": {"rounds": count}, "aggregator": {"kind": "mean"}, **plan}
    trace = Trace(workers, np.array(byzantine, np.intp), {"plan": tomli_w.dumps(table), **(facts or {})})
    for round in range(1, count + 1):
        row = trace.rounds.append()
        row["round"], row["bytes_up"], row["bytes_down"], row["elapsed"] = round, 10, 1000, 0.5 * round
        row["kept"] = kept[round - 1]
        row["absent"] = False if absent is None else absent[round - 1]
        row["norms"] = np.arange(1, workers + 1)
        row["seconds_compute"] = 0.25
    for at, value in enumerate(loss):
        audit = trace.audits.append()
        audit["round"], audit["loss"], audit["gradient_norm"] = at, value, value * value
        for missing in ("distance", "test_accuracy", "lambda_min", "test_loss", "balanced_accuracy", "auc"):
            audit[missing] = np.nan
    folder.mkdir(parents=True, exist_ok=True)
    trace.write(folder / TRACE, status, count, np.zeros(1))
    return folder
