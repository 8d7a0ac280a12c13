"""Curves from traces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.errors import SetupFault
from mpirobust.files import write_whole
from mpirobust.records.layout import TRACE, open_record

LABELS = {
    "distance": "distance to the solution",
    "loss": "training loss",
    "gradient_norm": "gradient norm",
    "test_accuracy": "test accuracy",
    "test_loss": "test loss",
    "balanced_accuracy": "balanced test accuracy",
    "auc": "area under the ROC curve",
    "test_error": "test error",
    "balanced_error": "balanced test error",
    "auc_error": "area over the ROC curve",
    "round": "round",
    "bytes": "bytes sent up",
    "seconds": "seconds",
}

_SHARES = {"test_accuracy", "balanced_accuracy", "auc"}  # their complement to 1 is an error
_ERRORS = {"test_error": "test_accuracy", "balanced_error": "balanced_accuracy", "auc_error": "auc"}
_INSIDE = 6  # so many labels have a place in the picture


def draw(paths: Sequence[Path], out: Path, metric: str, against: str) -> None:
    """Draw one curve per run, labelled by the name of its folder; raise `SetupFault`."""
    with figure([out], metric, against, "linear" if metric in _SHARES else "log") as axes:
        for path in paths:
            folder = path if path.is_dir() else path.parent
            axes.plot(*curve(folder, metric, against), label=folder.name)


def curve(folder: Path, metric: str, against: str) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return the axis and the metric of the audits of the run in `folder`; raise `SetupFault` if there are none."""
    path = folder / TRACE
    with open_record(path, "run") as file:
        at = file["audits/round"][:]
        name = f"audits/{_ERRORS.get(metric, metric)}"
        values = file[name][:] if name in file else np.full(at.shape, np.nan)
        values = 1 - values if metric in _ERRORS else values
        column = {"bytes": "bytes_up", "seconds": "elapsed"}.get(against)
        if column is not None:
            per_round = file[f"rounds/{column}"][:]
            total = np.cumsum(per_round) if against == "bytes" else per_round
            at = np.concatenate(([0], total))[at]
    if np.isnan(values).all():
        raise SetupFault(f"{path} has no {metric}")
    return at, values


@contextmanager
def figure(out: Sequence[Path], metric: str, against: str, scale: str, title: str = "") -> Iterator[Any]:
    """Axes for a metric, saved to every path of `out` at the end of the block.

    Raises:
        SetupFault: matplotlib is not installed.
        StorageFault: a file cannot be written.
    """
    with canvas(out, (6.5, 3.7)) as (_, (axes,)):
        axes.set_title(title, fontsize="medium")
        axes.set_yscale(scale)
        yield axes
        if against == "bytes":
            from matplotlib import ticker

            axes.xaxis.set_major_formatter(ticker.EngFormatter(unit="B"))
        axes.set_xlabel(LABELS[against])
        axes.set_ylabel(LABELS[metric])
        axes.grid(alpha=0.3)
        beside = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)} if len(axes.lines) > _INSIDE else {}
        axes.legend(fontsize="small", **beside)


@contextmanager
def canvas(
    out: Sequence[Path], inches: tuple[float, float], grid: tuple[int, int] = (1, 1), dpi: int = 160
) -> Iterator[tuple[Any, list[Any]]]:
    """A drawing and its panels, row by row, saved as `figure` says."""
    try:
        import matplotlib
    except ImportError as error:
        raise SetupFault("figures need matplotlib: pip install '.[plot]' in the checkout") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawing, axes = pyplot.subplots(*grid, figsize=inches, layout="constrained", squeeze=False)
    yield drawing, list(axes.flat)
    for path in out:
        kind = path.suffix.removeprefix(".")
        if kind not in drawing.canvas.get_supported_filetypes():
            raise SetupFault(f"{path}: unknown kind of picture; choose .png, .pdf or .svg")
        write_whole(path, partial(drawing.savefig, dpi=dpi, format=kind))
    pyplot.close(drawing)
