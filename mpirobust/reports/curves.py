"""Figures for print: their panels, labels and files."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from mpirobust.errors import SetupFault, StorageFault
from mpirobust.files import expect_writable, write_whole
from mpirobust.reports import style
from mpirobust.reports.metrics import LABELS

KINDS = ("png", "pdf", "svg")
_HIGH, _LOW, _ROW = 2.2, 1.7, 0.16  # inches of a panel, of one of more than two, and of a line of text
_LETTERS, _SHORT = 58, 16  # of a line across the column, and of a label that takes half of it at most


@contextmanager
def figure(
    out: Sequence[Path], metric: str, against: str, title: str = "", panels: Sequence[str] = ("",)
) -> Iterator[list[Any]]:
    """Yield panels for a metric, one below the other, with one legend; save them to every path of `out` at the end.

    Raises:
        Fault: as `expect_drawable`.
    """
    inches = len(panels) * (_HIGH if len(panels) <= 2 else _LOW)
    with canvas(out, (style.COLUMN, inches), (len(panels), 1)) as (drawing, drawn):
        yield drawn
        for axes, name in zip(drawn, panels, strict=True):
            axes.set_title(name)
            axes.set_ylabel(LABELS[metric])
            axes.grid(visible=True)
            if against.startswith("bytes"):
                from matplotlib import ticker

                axes.xaxis.set_major_formatter(ticker.EngFormatter(unit="B"))
                axes.xaxis.set_major_locator(ticker.MaxNLocator(5))  # its labels are wide
        drawn[-1].set_xlabel(LABELS.get(against, against))
        title = _in_lines(title)
        if title:
            drawing.suptitle(title)
        handles, labels = drawn[0].get_legend_handles_labels()
        labels = [textwrap.fill(label, _LETTERS - 10) for label in labels]
        columns = 2 if max(map(len, labels), default=0) <= _SHORT else 1
        drawing.legend(handles, labels, loc="outside lower center", ncols=columns)
        lines = -(-sum(label.count("\n") + 1 for label in labels) // columns) + title.count("\n")
        drawing.set_size_inches(style.COLUMN, inches + _ROW * lines)


def _in_lines(title: str) -> str:
    """Return the title in as few lines as a column allows, all of them about as long."""
    words = title.split()
    title = " ".join(words)
    least = textwrap.fill(title, _LETTERS).count("\n")
    shortest = min(_LETTERS, max(len(title) // (least + 1), *map(len, words), 1))
    each = (textwrap.fill(title, width) for width in range(shortest, _LETTERS + 1))
    return next(text for text in each if text.count("\n") == least)


def expect_drawable(out: Sequence[Path]) -> None:
    """Raise unless pictures can be written to the paths `out`, if any; to be called before work that would be lost.

    Raises:
        SetupFault: matplotlib is not installed, or a path names no kind of picture.
        StorageFault: a file cannot be written.
    """
    if not out:
        return
    os.environ.pop("MPLBACKEND", None)  # names a window, perhaps of a notebook that is not installed; none is opened
    try:
        from importlib import import_module

        import_module("matplotlib.figure")
    except ImportError as error:
        raise SetupFault(f"figures need matplotlib ({error}): pip install '.[plot]' in the checkout") from error
    for path in out:
        if _kind_of(path) not in KINDS:
            raise SetupFault(f"{path}: unknown kind of picture; choose .png, .pdf or .svg")
    for folder in {path.parent for path in out}:
        expect_writable(folder)


@contextmanager
def canvas(
    out: Sequence[Path], inches: tuple[float, float], grid: tuple[int, int] = (1, 1)
) -> Iterator[tuple[Any, list[Any]]]:
    """Yield a drawing and its panels, row by row, in the style of `style`; save and raise as `figure`."""
    expect_drawable(out)
    from matplotlib.figure import Figure  # not pyplot, which looks for a window

    with style.applied():
        drawing = Figure(figsize=inches, layout="constrained")
        axes = drawing.subplots(*grid, squeeze=False)
        yield drawing, list(axes.flat)
        for path in out:
            write_whole(path, partial(_save, drawing, _kind_of(path)))


def _kind_of(path: Path) -> str:
    return path.suffix.removeprefix(".").lower()


def _save(drawing: Any, kind: str, path: Path) -> None:
    with drawable():
        drawing.savefig(path, dpi=style.DPI, format=kind)


@contextmanager
def drawable() -> Iterator[None]:
    """Raise `StorageFault` for whatever keeps the picture inside from being drawn."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # of fonts, of sizes, of a library below: runs and tables are worth more than a picture
        raise StorageFault(f"cannot draw: {type(error).__name__}: {error}") from error
