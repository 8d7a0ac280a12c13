"""The audits of a run, over rounds, bytes or seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.errors import SetupFault
from mpirobust.records.layout import TRACE
from mpirobust.records.tables import LATER, open_trace, types
from mpirobust.reports.metrics import DERIVED


@dataclass(frozen=True)
class Audits:
    """The audits of a run.

    Attributes:
        axes: by the names of `metrics.AXES`, what the run had done and sent by each audit, shape (A,).
        columns: by the names of the trace, shape (A,); NaN where nothing was measured.
    """

    axes: Mapping[str, NDArray[Any]]
    columns: Mapping[str, NDArray[np.float64]]

    def values(self, metric: str) -> NDArray[np.float64]:
        """Return a metric, audited or made from one that is, shape (A,)."""
        name, derive = DERIVED.get(metric, (metric, np.asarray))
        return derive(self.columns[name])


def audits(folder: Path) -> Audits:
    """Return the audits of the run in `folder`; raise `SetupFault` if there is none."""
    with open_trace(folder / TRACE) as file:
        return audits_of(file)


def audits_of(file: Any) -> Audits:
    """Return the audits of an open trace."""
    own, at = file["audits"], file["audits/round"][:]
    names = [name for name in types(0)["audits"].names or () if name != "round"]
    missing = np.full(at.shape, np.nan)
    return Audits(
        {name: column[at] for name, column in axes_of(file).items()},
        {name: own[name][:] if name in own or name not in LATER else missing for name in names},
    )


def axes_of(file: Any) -> dict[str, NDArray[Any]]:
    """Return what the run of an open trace had done and sent after each round, from 0 on; each of shape (T + 1,)."""
    rounds = file["rounds"]
    up, down = (np.concatenate(([0], np.cumsum(rounds[f"bytes_{way}"][:]))) for way in ("up", "down"))
    seconds = np.concatenate(([0.0], rounds["elapsed"][:]))
    return {"round": np.arange(up.size), "bytes": up + down, "bytes_up": up, "bytes_down": down, "seconds": seconds}


def curve(folder: Path, metric: str, against: str) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return the axis and the metric of the audits of the run in `folder`; raise `SetupFault` if there are none."""
    found = audits(folder)
    values = found.values(metric)
    if np.isnan(values).all():
        raise SetupFault(f"{folder / TRACE} has no {metric}")
    return found.axes[against], values
