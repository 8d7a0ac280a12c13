"""A table of several runs: seeds, points of a sweep, tasks of a job array."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpirobust.errors import SetupFault
from mpirobust.meter import metered
from mpirobust.records.layout import TRACE
from mpirobust.records.plan_record import flat
from mpirobust.records.run_folder import holds_run
from mpirobust.reports.naming import differing, folder_names, short_keys
from mpirobust.reports.summary import DONE, summary

NO_RUN, DAMAGED = "no run", "damaged"  # in place of the status, for a run without one

_LOG = "slurm.log"  # the log of the job that wrote the folder, or a link to it, where the scripts of jobs/ put it
_WIDE = 150  # characters of a line where there is no terminal
FIGURES = (
    *("loss", "gradient_norm", "distance", "test_accuracy"),
    *("test_loss", "balanced_accuracy", "auc", "byzantine_kept_mean"),
    *("bytes_up", "bytes_down", "bytes", "seconds"),
)
FIRST_TO_GO = ("auc", "balanced_accuracy", "test_loss")  # if there is no room for all
NEXT_TO_GO = ("distance", "bytes_up", "bytes_down", "seconds")  # after the keys that are neither kinds nor seeds
SHORT_NAMES = {
    "gradient_norm": "|grad|",
    "test_accuracy": "accuracy",
    "byzantine_kept_mean": "Byz. kept",
    "bytes_up": "up",
    "bytes_down": "down",
}


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
        if self.status == NO_RUN and any(self.folder.glob(f"*/{TRACE}")):
            return f"{self.folder}: no run, but runs in its folders: mpirobust report {self.folder}"
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


def rows(runs: Sequence[Path]) -> list[RunRow]:
    """Return a row for each of the folders `runs`, from its trace."""
    return [_line(folder) for folder in metered(runs, "reading runs", " runs")]


def table(found: Sequence[RunRow]) -> list[list[str]]:
    """Return a head and a line per run: the keys in which the plans differ, status, rounds, figures of the summary."""
    keys = differing([line.plan for line in found if line.plan])
    names = folder_names([line.folder for line in found])
    rows = [["run", *keys, "status", "rounds", *FIGURES]]
    for line, name in zip(found, names, strict=True):
        plan, figures = ([each.get(key) for key in of] for each, of in ((line.plan, keys), (line.figures, FIGURES)))
        rows.append([name, *map(_cell, plan), line.status, str(line.rounds), *map(_cell, figures)])
    return rows


def as_text(found: Sequence[RunRow]) -> str:
    """Return the table as text, as wide as the terminal at most, then the unfinished runs.

    A figure that no run has is left out; so is what has no room, and how much that is, is said.
    """
    rows = table(found)
    keys = rows[0][1 : rows[0].index("status")]
    short = {**short_keys(keys), **SHORT_NAMES}
    columns = {
        row[0]: [short.get(row[0], row[0]), *(short_cell(row[0], cell) for cell in row[1:])]
        for row in map(list, zip(*rows, strict=True))
        if any(row[1:]) and row[0] != "bytes"
    }
    main = [key for key in keys if key.endswith(".kind") or "." not in key]
    others = [key for key in keys if key not in main]
    order = [*FIRST_TO_GO, *reversed(others), *NEXT_TO_GO, *reversed(main)]
    return "\n".join([fitted(columns, order), ending(found)])


def ending(found: Sequence[RunRow]) -> str:
    """Return how many of the runs are done, and which are not, as text."""
    late = [what for line in found if (what := line.unfinished())]
    return "\n".join([f"{len(found) - len(late)} of {len(found)} done", *(f"  not done: {what}" for what in late)])


def fitted(columns: Mapping[str, Sequence[str]], order: Iterable[str]) -> str:
    """Return the columns as text that fits the terminal: those first in `order` are left out until the rest does."""
    left = dict(columns)
    room = shutil.get_terminal_size((_WIDE, 0)).columns
    for name in order:
        if sum(max(map(len, column)) + 2 for column in left.values()) - 2 <= room:
            break
        left.pop(name, None)
    text = aligned(list(zip(*left.values(), strict=True)))
    missing = len(columns) - len(left)
    return f"{text}\nno room for {missing} more columns; --out FILE.csv has all" if missing else text


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


def _cell(value: object) -> str:
    return "" if value is None else str(value)


def short_cell(name: str, cell: str) -> str:
    """Return the text of a cell of the column `name` with four digits at most, if it is a fraction."""
    if name.startswith("bytes"):
        return si(float(cell), "B") if cell else ""
    try:
        return cell if cell.lstrip("-").isdigit() else f"{float(cell):.4g}"
    except ValueError:
        return cell


def si(value: float, unit: str) -> str:
    """Return a size with three digits and a decimal prefix: `2.58 MB`."""
    for prefix in ("", "k", "M", "G", "T"):
        if abs(value) < 999.5 or prefix == "T":
            break
        value /= 1000
    return f"{value:.3g} {prefix}{unit}"
