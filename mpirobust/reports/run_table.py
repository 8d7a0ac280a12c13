"""A table of several runs: seeds, points of a sweep, tasks of a job array."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpirobust.errors import SetupFault
from mpirobust.records.layout import TRACE
from mpirobust.records.plan_record import flat
from mpirobust.records.run_folder import holds_run
from mpirobust.reports.summary import DONE, summary

NO_RUN, DAMAGED = "no run", "damaged"  # in place of the status, for a run without one

_LOG = "slurm.log"  # the log of the job that wrote the folder, or a link to it, where the scripts of jobs/ put it
_FIGURES = (
    *("loss", "gradient_norm", "distance", "test_accuracy"),
    *("test_loss", "balanced_accuracy", "auc", "byzantine_kept_mean"),
    *("bytes_up", "bytes_down", "bytes", "seconds"),
)


@dataclass(frozen=True)
class RunRow:
    """A run of the table.

    Attributes:
        folder: of the run; it may be missing.
        status: as in its trace; `NO_RUN` without one, `DAMAGED` if it cannot be read.
        rounds: done.
        plan: key -> value; empty without a trace.
        figures: as in its summary; empty without a trace.
    """

    folder: Path
    status: str
    rounds: int
    plan: dict[str, Any]
    figures: dict[str, Any]

    def unfinished(self) -> str:
        """Return the state of an unfinished run as text; empty for a finished one."""
        if self.status in DONE:
            return ""
        asked = self.plan.get("algorithm.rounds")
        status = f"{self.status} ({self.figures['writer']})" if self.figures.get("writer") else self.status
        how = f"{status} after {self.rounds} of {asked} rounds" if asked is not None else status
        log = self.folder / _LOG
        return f"{self.folder}: {how}{f'; its log is {log}' if log.exists() else ''}"


def folders(paths: Iterable[Path]) -> list[Path]:
    """Return the folders of the runs at `paths`. A folder without a run is replaced by those in it, ordered by number.

    Raises:
        SetupFault: there is nothing at a path.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise SetupFault(f"no run at {path}")
        folder = path if path.is_dir() else path.parent
        inside = [] if holds_run(folder) else [each for each in folder.iterdir() if each.is_dir()]
        found += sorted(inside, key=_in_order) or [folder]
    return found


def with_trace(runs: Sequence[Path]) -> list[Path]:
    """Return those of the folders that have a trace; raise `SetupFault` if none has."""
    found = [folder for folder in runs if (folder / TRACE).exists()]
    if not found:
        raise SetupFault(f"no run at {runs[0]}")
    return found


def rows(runs: Sequence[Path]) -> list[RunRow]:
    """Return a row for each of the folders `runs`, from its trace."""
    return [_line(folder) for folder in runs]


def table(found: Sequence[RunRow]) -> list[list[str]]:
    """Return a head and a line per run: status, rounds, the keys in which the plans differ, figures of the summary."""
    plans = [line.plan for line in found if line.plan]
    keys = sorted({key for plan in plans for key in plan if any(plan[key] != other.get(key) for other in plans)})
    rows = [["run", "status", "rounds", *keys, *_FIGURES]]
    for line in found:
        cells = [*(line.plan.get(key) for key in keys), *(line.figures.get(name) for name in _FIGURES)]
        rows.append(
            [line.folder.name, line.status, str(line.rounds), *("" if cell is None else str(cell) for cell in cells)]
        )
    return rows


def as_text(found: Sequence[RunRow]) -> str:
    """Return the table as text, then the unfinished runs. A figure that no run has is left out."""
    rows = table(found)
    shown = [index for index in range(len(rows[0])) if any(row[index] for row in rows[1:])]
    text = aligned([[_short(row[index]) for index in shown] for row in rows])
    late = [what for line in found if (what := line.unfinished())]
    return "\n".join(
        [text, f"{len(found) - len(late)} of {len(found)} done", *(f"  not done: {what}" for what in late)]
    )


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return the rows as text with aligned columns, the first to the left and the others to the right."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    )


def _line(folder: Path) -> RunRow:
    if not (folder / TRACE).exists():
        return RunRow(folder, NO_RUN, 0, {}, {})
    try:
        figures = summary(folder)
    except SetupFault:
        return RunRow(folder, DAMAGED, 0, {}, {})
    return RunRow(folder, figures["status"], figures["rounds"], dict(flat(figures["plan"])), figures)


def _in_order(path: Path) -> list[tuple[int, str]]:
    """Return a sort key that puts seed-2 before seed-10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def _short(cell: str) -> str:
    try:
        return cell if cell.lstrip("-").isdigit() else f"{float(cell):.6g}"
    except ValueError:
        return cell
