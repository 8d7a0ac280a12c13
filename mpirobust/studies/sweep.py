"""A sweep: one plan at every point of a product of values, from the command line."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from importlib.util import find_spec
from math import prod
from pathlib import Path

from mpirobust.comm.communicator import Communicator
from mpirobust.data.sources.base import Places
from mpirobust.errors import Exit, SetupFault
from mpirobust.files import expect_writable, write_whole
from mpirobust.meter import Meter
from mpirobust.plan import Plan, load_plan
from mpirobust.reports.curves import expect_drawable
from mpirobust.studies.campaign import Job, job_of
from mpirobust.studies.claims import counted
from mpirobust.studies.matrix import pictures
from mpirobust.studies.points import axes, points
from mpirobust.studies.side_by_side import carry_out_side_by_side
from mpirobust.studies.sweep_figure import draw
from mpirobust.studies.sweep_table import Swept, Table
from mpirobust.terminal import note, say, show

_FIGURE = "sweep"


@dataclass(frozen=True)
class SweepRequest:
    """The request of the command line.

    Attributes:
        plan: the plan.
        over: `key=values` of the keys that vary.
        overrides: `key=value` assignments for every point.
        metric: by which the best point is chosen, and which is drawn; the smaller the better.
        out: the folder for tables and pictures; None to choose one.
        runs: the folder that gets the runs, and is searched for those that are there.
        size: ranks of a run; None to choose.
        ends, limit: as in `RunRequest`.
    """

    plan: Path
    over: tuple[str, ...]
    overrides: tuple[str, ...]
    metric: str
    out: Path | None
    runs: Path
    size: int | None = None
    ends: float | None = None
    limit: str = ""


def sweep(request: SweepRequest, comm: Communicator) -> int:
    """Run the missing runs of all points, side by side, then write and draw at the center; return the exit code.

    The code is that of the first run that failed, if one has; the tables and the picture are those of the others.

    Raises:
        Fault: of the points, a plan, its data, the number of ranks, or a file.
    """
    found: list[Swept] = []  # at the center

    def jobs() -> list[Job]:
        found.append(_swept(request))
        out, drawn = _places(request)
        expect_drawable(drawn)
        expect_writable(out)
        if not drawn:
            note("no figure will be drawn: matplotlib is not installed (pip install '.[plot]')")
        return found[0].jobs()

    code, failed = carry_out_side_by_side(jobs, comm, request.size, request.ends, request.limit)
    if code != Exit.OK:
        return code

    def report() -> bytes:
        table = Table(found[0], request.metric, {folder: each.reason for folder, each in failed.items()})
        codes = [failed[job.folder].code for job in found[0].jobs() if job.folder in failed]
        if len(codes) == len(found[0].jobs()):
            out, _ = _places(request)
            table.write(out)
            say(f"mpirobust: every run has failed; {out} has the reasons")
        else:
            _report(table, request)
        return bytes([next(iter(codes), Exit.OK)])

    return int.from_bytes(comm.on_root(report))


def write_points(request: SweepRequest, file: Path) -> None:
    """Write the points into `file`, for jobs/array.sbatch: a line of options of `mpirobust run` for each.

    The runs go to where `sweep` looks for them.

    Raises:
        Fault: of the points, a plan, or the file.
    """
    lines = []
    for job in _swept(request, with_data=False).jobs():
        settings = [word for each in job.overrides for word in ("--set", each)]
        lines.append(shlex.join([*settings, f"--out={job.folder}"]))
        if "\n" in lines[-1]:
            raise SetupFault(f"a point is one line, and {str(job.folder)!r} has several")

    def write(scratch: Path) -> None:
        scratch.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogateescape")

    write_whole(file, write)
    array = shlex.join([f"--array=1-{len(lines)}", "jobs/array.sbatch", str(request.plan), "--points", str(file)])
    show(f"wrote {file}, {counted(len(lines), 'point')}\n  sbatch {array}\nthen the same sweep without --points")


def _swept(request: SweepRequest, with_data: bool = True) -> Swept:
    """Return the points, after all plans have been read, and their data prepared if `with_data`."""
    of = axes(request.over, request.overrides)
    jobs: dict[tuple[str, ...], Job] = {}
    data: dict[str, Plan] = {}
    first: dict[Path, tuple[str, ...]] = {}
    with Meter("reading plans", prod(len(axis.values) for axis in of), " plans") as meter:
        for point in points(of):
            effective, job = _planned(request, point)
            if job.folder in first:  # a mean would count it twice
                both = f"{' '.join(first[job.folder])} and {' '.join(point)}"
                raise SetupFault(f"--over: {both} are the same plan; give each value once")
            first[job.folder], jobs[point] = point, job
            data.setdefault(repr(effective.table()["data"]), effective)
            meter.at(len(jobs))
    if with_data:
        for effective in data.values():  # once, before many processes would at the same time
            effective.data.prepare(Places.for_plan(request.plan.absolute()))
    return Swept(request.plan, of, request.overrides, jobs)


def _planned(request: SweepRequest, point: tuple[str, ...]) -> tuple[Plan, Job]:
    overrides, name = (*request.overrides, *point), " ".join(point)
    try:
        effective, _ = load_plan(request.plan, overrides)
    except SetupFault as fault:
        raise SetupFault(f"{fault} (at {name})") from fault
    return effective, job_of(effective, request.plan, overrides, request.runs, f"{request.plan.stem}: {name}")


def _places(request: SweepRequest) -> tuple[Path, list[Path]]:
    """Return the folder for the tables, and the pictures in it, none without matplotlib."""
    keys = [text.partition("=")[0].strip() for text in request.over]
    out = request.out or Path("figures") / "-".join([request.plan.stem, *keys])
    return out, pictures(_FIGURE, out) if find_spec("matplotlib") else []


def _report(table: Table, request: SweepRequest) -> None:
    out, drawn = _places(request)
    written = table.write(out)
    if not table.measured:
        raise SetupFault(
            f"{out} has the tables, but no run has {table.metric}: give another --best; nothing is run again"
        )
    show(table.as_text())
    drawing = draw(table, drawn) if drawn else ""
    for path, what in [*written.items(), *((path, drawing) for path in drawn if drawing)]:
        show(f"wrote {path}: {what}")
