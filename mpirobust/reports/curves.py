"""Curves from traces."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.errors import SetupFault, StorageFault
from mpirobust.files import expect_writable, printable, write_whole
from mpirobust.records.layout import TRACE
from mpirobust.records.tables import open_trace
from mpirobust.terminal import plain

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
            axes.plot(*curve(folder, metric, against), label=_as_label(folder.name))


def _as_label(name: str) -> str:
    """Return the name as Matplotlib shows it: `$` begins no formula, and a label with `_` in front is not hidden."""
    name = plain(printable(name)).replace("$", r"\$")
    return f" {name}" if name.startswith("_") else name


def curve(folder: Path, metric: str, against: str) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return the axis and the metric of the audits of the run in `folder`; raise `SetupFault` if there are none."""
    path = folder / TRACE
    with open_trace(path) as file:
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
        Fault: as `expect_drawable`.
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


def expect_drawable(out: Sequence[Path]) -> None:
    """Raise unless pictures can be written to the paths `out`. Call this before work that would be lost otherwise.

    Raises:
        SetupFault: matplotlib is not installed, or a path names no kind of picture.
        StorageFault: a file cannot be written.
    """
    os.environ.pop("MPLBACKEND", None)  # names a window, perhaps of a notebook that is not installed; none is opened
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SetupFault(f"figures need matplotlib ({error}): pip install '.[plot]' in the checkout") from error
    kinds = Figure().canvas.get_supported_filetypes()
    for path in out:
        if _kind_of(path) not in kinds:
            raise SetupFault(f"{path}: unknown kind of picture; choose .png, .pdf or .svg")
    for folder in {path.parent for path in out}:
        expect_writable(folder)


@contextmanager
def canvas(
    out: Sequence[Path], inches: tuple[float, float], grid: tuple[int, int] = (1, 1), dpi: int = 160
) -> Iterator[tuple[Any, list[Any]]]:
    """A drawing and its panels, row by row, saved as `figure` says."""
    expect_drawable(out)
    from matplotlib.figure import Figure  # not pyplot, which looks for a window

    drawing = Figure(figsize=inches, layout="constrained")
    axes = drawing.subplots(*grid, squeeze=False)
    yield drawing, list(axes.flat)
    for path in out:
        write_whole(path, partial(_save, drawing, _kind_of(path), dpi))


def _kind_of(path: Path) -> str:
    return path.suffix.removeprefix(".").lower()


def _save(drawing: Any, kind: str, dpi: int, path: Path) -> None:
    try:
        drawing.savefig(path, dpi=dpi, format=kind)
    except OSError:
        raise
    except Exception as error:  # of fonts, of sizes, of a library below: runs and tables are worth more than a picture
        raise StorageFault(f"cannot draw: {type(error).__name__}: {error}") from error
