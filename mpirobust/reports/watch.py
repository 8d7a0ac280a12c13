"""A view of a run while it goes on: a few lines that are read from its trace again and again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.errors import SetupFault
from mpirobust.observers.base import Status
from mpirobust.records.layout import LOCK, TRACE
from mpirobust.records.tables import open_trace
from mpirobust.records.writer import Writer, writer_of
from mpirobust.reports.run_table import si
from mpirobust.reports.summary import figures_of, said_of_writer
from mpirobust.terminal import Screen

_PAUSE, _SELDOM = 0.5, 5.0  # seconds between two looks, and between two lines where nothing can be drawn again
_SHARE = 0.05  # of the time that looking may take
_RECENT = 20  # rounds, from which the time left is estimated
_BAR = 24  # characters, for the rounds
_BARS, _WIDTH = "▁▂▃▄▅▆▇█", 40  # of a sparkline


def watch(path: Path, screen: Screen, wait: Callable[[float], None] = sleep) -> None:
    """Show the run at `path` (a run.h5 or its folder) until it has ended, or the process that wrote it is gone.

    Nothing is locked or written. A run that has not yet written its trace is waited for while its lock is held.

    Args:
        wait: pauses for so many seconds.

    Raises:
        SetupFault: there is no run, or its trace cannot be read.
    """
    trace = path if path.name == TRACE else path / TRACE
    shown: tuple[int, int] | None = None
    said = -_SELDOM
    while True:
        began = monotonic()
        state = _state(trace)
        ended = False
        if state is None:
            if writer_of(trace.parent, "") != Writer.ALIVE:
                raise SetupFault(f"no run at {path}")
            screen.draw([f"{trace.parent}: begun, no round is written yet"], f"{trace.parent}: begun")
        elif state != shown or _may_have_ended(trace.parent):
            with open_trace(trace) as file:
                figures, recent = figures_of(file, trace), _Recent(file)
            gone = figures["writer"] == Writer.GONE and _state(trace) == state  # else it has just written its end
            ended = gone or figures["status"] != Status.RUNNING
            if ended or screen.redraws or began - said >= _SELDOM:
                screen.draw(lines(figures, recent, trace.parent), line(figures, recent))
                said = began
            shown = state
        if ended:
            return
        wait(max(_PAUSE, (monotonic() - began) / _SHARE))


def _state(trace: Path) -> tuple[int, int] | None:
    """Return what tells one version of the file from the next; None if there is none."""
    with suppress(FileNotFoundError):
        found = trace.stat()
        return found.st_ino, found.st_mtime_ns
    return None


def _may_have_ended(folder: Path) -> bool:
    return (folder / LOCK).exists() and writer_of(folder, "") != Writer.ALIVE


class _Recent:
    """The columns of an open trace that a view shows beyond the summary."""

    def __init__(self, file: Any) -> None:
        elapsed = file["rounds/elapsed"][-_RECENT - 1 :]
        if 0 < elapsed.size <= _RECENT:
            elapsed = np.concatenate(([0.0], elapsed))
        self.seconds = float(elapsed[-1] - elapsed[0]) / (elapsed.size - 1) if elapsed.size > 1 else None
        self.kept = int(file["rounds/kept"][-1].sum()) if file["rounds/kept"].shape[0] else None
        self.norms: NDArray[np.float64] = file["audits/gradient_norm"][:]


def lines(figures: dict[str, Any], recent: _Recent, folder: Path) -> list[str]:
    """Return the view, for a terminal on which it is drawn in place."""
    done, asked = figures["rounds"], figures["plan"]["algorithm"].get("rounds", figures["rounds"])
    filled = round(_BAR * done / max(1, asked))
    said = [
        f"{figures['status']}: {folder}",
        f"  rounds         {done} of {asked}  [{'#' * filled}{'.' * (_BAR - filled)}]  {_left(figures, recent)}",
        f"  loss           {_number(figures['loss'])}",
        f"  gradient norm  {_number(figures['gradient_norm'])}  {sparkline(recent.norms)}",
    ]
    if figures["test_accuracy"] is not None:
        said.append(f"  test accuracy  {_number(figures['test_accuracy'])}")
    if recent.kept is not None:
        guilty = figures["byzantine_kept_mean"]
        among = f"; {guilty:.2f} of the {figures['byzantine']} Byzantine a round" if guilty is not None else ""
        said.append(f"  workers kept   {recent.kept} of {figures['workers']}{among}")
    said.append(f"  bytes          {si(figures['bytes_up'], 'B')} up, {si(figures['bytes_down'], 'B')} down")
    said.append(f"  seconds        {figures['seconds']:.1f}; {_number(recent.seconds)} a round")
    if figures["writer"] is not None:
        said.append(f"  writer         {said_of_writer(figures)}")
    return said


def line(figures: dict[str, Any], recent: _Recent) -> str:
    """Return the view in one line, for a log."""
    asked = figures["plan"]["algorithm"].get("rounds", figures["rounds"])
    parts = [f"round {figures['rounds']}/{asked}", f"loss {_number(figures['loss'])}"]
    parts.append(f"|grad| {_number(figures['gradient_norm'])}")
    if recent.kept is not None:
        parts.append(f"kept {recent.kept}/{figures['workers']}")
    parts += [si(figures["bytes"], "B"), _left(figures, recent)]
    alive = figures["writer"] in (None, Writer.ALIVE)
    parts.append(figures["status"] if alive else f"{figures['status']}; {said_of_writer(figures)}")
    return "  ".join(part for part in parts if part)


def sparkline(values: NDArray[np.float64]) -> str:
    """Return a bar of text for each of at most `_WIDTH` of the values, by their logarithm where all are positive."""
    known = values[np.isfinite(values)]
    if not known.size:
        return ""
    some = known[np.unique(np.linspace(0, known.size - 1, min(known.size, _WIDTH)).round().astype(int))]
    some = np.log(some) if some.min() > 0 else some
    low, high = float(some.min()), float(some.max())
    steps = (some - low) / (high - low) if high > low else np.zeros(some.size)
    return "".join(_BARS[int(step * (len(_BARS) - 1) + 0.5)] for step in steps)


def _left(figures: dict[str, Any], recent: _Recent) -> str:
    rounds = figures["plan"]["algorithm"].get("rounds", 0) - figures["rounds"]
    alive = figures["status"] == Status.RUNNING and figures["writer"] in (None, Writer.ALIVE)
    if not alive or rounds <= 0 or recent.seconds is None:
        return ""
    minutes, seconds = divmod(round(rounds * recent.seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02} left" if hours else f"{minutes}:{seconds:02} left"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
