"""The time of a round against the number of processes, from finished runs of one plan on several sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.errors import SetupFault
from mpirobust.numerics import blas
from mpirobust.plan import Plan, free_keys
from mpirobust.records.layout import PHASES, TRACE
from mpirobust.records.plan_record import PlanRecord
from mpirobust.records.tables import open_trace
from mpirobust.reports import style
from mpirobust.reports.curves import canvas
from mpirobust.reports.run_table import RunRow, aligned
from mpirobust.reports.scaling_model import held_out

WARM_UP = 10  # rounds at the start that are left out: pages, caches and connections are new
_LEAST = 10  # rounds that a median needs
_STEPS = tuple(phase for phase in PHASES if phase not in ("audit", "checkpoint"))  # of the algorithm
_SAME = ("rounds/norms", "rounds/kept", "rounds/bytes_up")


@dataclass(frozen=True)
class Size:
    """A run on one number of processes; times are medians over its rounds, in seconds, without audits and checkpoints.

    Attributes:
        nodes: on which the processes were.
        phases: of a round. Their sum is about `seconds`, no more: the median of a sum is not the sum of the medians.
        nbytes: sent up in a round, all workers together.
        kernels: of BLAS, as `numerics/blas.py` writes them; '' in files of earlier versions.
    """

    folder: Path
    processes: int
    nodes: int
    workers: int
    seconds: float
    phases: dict[str, float]
    nbytes: int
    kernels: str


@dataclass(frozen=True)
class Scaling:
    """Sizes, smallest first.

    Attributes:
        strong: one plan on all of them. Otherwise the number of workers differs (weak scaling).
        apart: two runs that should have the same numbers and have not, and from which round on; '' if there are none.
    """

    sizes: list[Size]
    strong: bool
    apart: str

    def speed_up(self) -> NDArray[np.float64]:
        """Return t(smallest) / t, shape (sizes,)."""
        seconds = np.array([size.seconds for size in self.sizes])
        found: NDArray[np.float64] = seconds[0] / seconds
        return found

    def efficiency(self) -> NDArray[np.float64]:
        """Return the speed-up over the ratio of processes; in weak scaling, t(smallest) / t; shape (sizes,)."""
        processes = np.array([size.processes for size in self.sizes])
        paid: NDArray[np.float64] = processes / processes[0] if self.strong else np.ones(len(self.sizes))
        return self.speed_up() / paid


def scaling(runs: Sequence[RunRow]) -> Scaling:
    """Compare the finished runs.

    Raises:
        SetupFault: none is, one is too short, or they are of different experiments.
    """
    done = [run for run in runs if not run.unfinished()]
    if not done:
        raise SetupFault("none of the runs is done; mpirobust report says how far they are")
    _comparable(done)
    paired = sorted(((_size(run), run) for run in done), key=lambda pair: (pair[0].processes, pair[0].workers))
    strong = len({size.workers for size, _ in paired}) == 1
    return Scaling([size for size, _ in paired], strong, _apart([run for _, run in paired]) if strong else "")


def table(found: Scaling) -> list[list[str]]:
    """Return a head and a line per size, times in seconds."""
    rows = [["run", "ranks", "nodes", "workers", "round", *_STEPS, "speed-up", "efficiency", "bytes up"]]
    for size, speed_up, efficiency in zip(found.sizes, found.speed_up(), found.efficiency(), strict=True):
        seconds = [f"{value:.3g}" for value in (size.seconds, *size.phases.values())]
        counts = [str(count) for count in (size.processes, size.nodes, size.workers)]
        gain = f"{speed_up:.2f}" if found.strong else ""
        rows.append([size.folder.name, *counts, *seconds, gain, f"{efficiency:.2f}", str(size.nbytes)])
    return rows


def as_text(found: Scaling, runs: Sequence[RunRow]) -> str:
    """Return the table as text, whether the sizes have the same numbers, and the runs that were left out."""
    rows = table(found)
    shown = [index for index in range(len(rows[0])) if any(row[index] not in ("", "0") for row in rows[1:])]
    text = [aligned([[row[index] for index in shown] for row in rows])]
    text.append(f"seconds of a round: medians without the first {WARM_UP} rounds, audits and checkpoints")
    if found.strong and not found.apart and len(found.sizes) > 1:
        text.append("same numbers on all sizes: norms, kept workers, bytes and iterate to the last bit")
    first, *others = found.sizes
    text += [
        f"other kernels of BLAS: {first.folder} used {first.kernels}, {size.folder} {size.kernels}"
        for size in others
        if blas.differ(size.kernels, first.kernels)
    ]
    if not found.strong:
        text.append("weak scaling: efficiency is the time of the smallest over the time")
    foretold = [
        f"{size.processes} ranks {seconds:.3g} ({100 * (seconds / size.seconds - 1):+.0f} %)"
        for size, seconds in zip(found.sizes, held_out(found.sizes), strict=False)
    ]
    if foretold:
        text.append(f"what an α-β model of the phases says of each size, fitted to the others: {', '.join(foretold)}")
    text += [f"left out: {what}" for run in runs if (what := run.unfinished())]
    return "\n".join(text)


def draw(found: Scaling, out: Path) -> None:
    """Draw the phases of a round by size, and the speed-up; raise `Fault` as `curves.canvas`."""
    names = [str(size.processes) for size in found.sizes]
    with canvas([out], (style.COLUMN, 4.8), (2, 1)) as (_, (top, bottom)):
        base, fills = np.zeros(len(names)), iter(style.fills(len(_STEPS)))
        for step in _STEPS:
            heights = np.array([size.phases[step] for size in found.sizes])
            if heights.any():
                top.bar(range(len(names)), heights, bottom=base, label=step, color=next(fills))
            base += heights
        top.set_ylabel("seconds of a round")
        top.margins(y=0.3)  # room for the legend
        top.legend(ncols=2, loc="upper center")
        ideal = np.array([size.processes / found.sizes[0].processes for size in found.sizes])
        bottom.plot(names, found.speed_up() if found.strong else found.efficiency(), color="black", marker="o")
        bottom.plot(names, ideal if found.strong else np.ones(len(names)), color="grey", linestyle="--", label="ideal")
        bottom.set_ylabel("speed-up" if found.strong else "efficiency")
        bottom.legend()
        bottom.grid(visible=True)
        top.set_xticks(range(len(names)), names)
        for panel in (top, bottom):
            panel.set_xlabel("ranks")
            panel.set_ylim(bottom=0)


def _comparable(runs: Sequence[RunRow]) -> None:
    """Raise `SetupFault` unless the plans are one, or one whose workers and data grow."""
    first, free = runs[0], free_keys()
    for run in runs[1:]:
        one, other = (PlanRecord(each.figures["plan"], free, Plan.added_keys).identity() for each in (run, first))
        if one == other:
            continue
        keys = {key for key in first.plan.keys() | run.plan.keys() if first.plan.get(key) != run.plan.get(key)}
        foreign = sorted(key for key in keys if key.partition(".")[0] not in ("workers", "data", "algorithm"))
        if foreign or "workers" not in keys:
            differing = ", ".join(foreign or sorted(keys))
            raise SetupFault(f"{first.folder} and {run.folder} are of different experiments: {differing}")


def _size(run: RunRow) -> Size:
    with open_trace(run.folder / TRACE) as file:
        steps = {step: file[f"rounds/seconds_{step}"][WARM_UP:] for step in _STEPS}
        nbytes = file["rounds/bytes_up"][WARM_UP:]
        hosts, kernels = str(file.attrs["hosts"]).split(), str(file.attrs.get("blas", ""))
    if nbytes.size < _LEAST:
        raise SetupFault(f"{run.folder}: {run.rounds} rounds are too few to time; at least {WARM_UP + _LEAST}")
    seconds = float(np.median(sum(steps.values())))
    phases = {step: float(np.median(column)) for step, column in steps.items()}
    workers = int(run.figures["workers"])
    return Size(run.folder, len(hosts), len(set(hosts)), workers, seconds, phases, int(np.median(nbytes)), kernels)


def _apart(runs: Sequence[RunRow]) -> str:
    """Compare each run with the first, over the rounds that both have; return the first difference as text."""
    first = _numbers(runs[0])
    for run in runs[1:]:
        own = _numbers(run)
        rounds = min(len(first["rounds/kept"]), len(own["rounds/kept"]))
        for name in _SAME:
            differs = first[name][:rounds] != own[name][:rounds]
            if differs.any():
                at = int(np.argwhere(differs)[0, 0]) + 1
                return f"{runs[0].folder} and {run.folder} differ from round {at} on ({name})"
        if run.rounds == runs[0].rounds and not np.array_equal(first["model/x"], own["model/x"]):
            return f"{runs[0].folder} and {run.folder} end in different iterates"
    return ""


def _numbers(run: RunRow) -> dict[str, NDArray[Any]]:
    with open_trace(run.folder / TRACE) as file:
        return {name: file[name][:] for name in (*_SAME, "model/x")}
