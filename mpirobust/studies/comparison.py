"""The committed tables of the figures of a paper, compared with the runs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mpirobust.comm.communicator import Communicator
from mpirobust.errors import Exit, SetupFault
from mpirobust.files import read_csv
from mpirobust.studies.campaign import Job, StudyRequest, carry_out, is_done
from mpirobust.studies.family import Family, load_matrix
from mpirobust.studies.figures import CLAIMS, VALUES, Figure, planned, section, values
from mpirobust.studies.matrix import Cell, matrices
from mpirobust.studies.matrix import planned as planned_cells
from mpirobust.studies.matrix import rows as cell_rows
from mpirobust.studies.sampling import Sampled, measured, samplings
from mpirobust.terminal import say, show

TOLERANCE = 1e-9  # relative, of a number in values.csv: other processors round otherwise
_ROUNDED = 1e-3  # the same in claims.md, whose numbers have four digits

_UNCHECKED = {"seconds"}  # of a machine, not of a plan
_EXACT = {"rounds", "bytes_up", "byzantine_kept", "kept", "run"}  # of the columns that may read as numbers
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")

Row = Mapping[str, str]


def compare(folder: Path, request: StudyRequest, comm: Communicator, run_missing: bool = False) -> int:
    """Compare at the center, after the missing runs have been run on all ranks if that is asked; return the exit code.

    Args:
        folder: as in `figures.figures`.
        request: `out` has the `values.csv` and the `claims.md` that are compared; if `seeds` is None, they are those
            that `values.csv` has.

    Raises:
        Fault: of a family, a plan, a run or a file.
    """
    out, runs, seeds, overrides = request.out, request.runs, request.seeds, request.overrides
    figures: list[Figure] = []
    grids: dict[Path, list[Cell]] = {}

    def jobs() -> list[Job]:
        figures.extend(_committed(folder, out, runs, seeds, overrides))
        for path in matrices(folder):
            matrix = load_matrix(path)
            chosen = _seeds(matrix.seeds, seeds, read_csv(out / f"{path.stem}.csv"))
            grids[path] = planned_cells(path, matrix, chosen, overrides, runs)
        own = [each for figure in figures for each in figure.jobs()]
        cells = [each for grid in grids.values() for cell in grid for each in cell.jobs.values()]
        return [*own, *cells] if run_missing else []

    code = carry_out(jobs, comm, request.ends, request.limit)
    if code != Exit.OK:
        return code

    def judged() -> bytes:
        return bytes([check(figures, _committed_samples(folder, out, seeds, overrides), grids, out)])

    return int.from_bytes(comm.on_root(judged))


def _committed(folder: Path, out: Path, runs: Path, seeds: int | None, overrides: Sequence[str]) -> list[Figure]:
    """Return the figures of `folder` with the seeds that `out`/values.csv has, or with the first `seeds`."""
    rows = read_csv(out / VALUES)

    def chosen(name: str, family: Family) -> Sequence[int]:
        return _seeds(family.seeds, seeds, [row for row in rows if row.get("figure") == name])

    return planned(folder, runs, chosen, overrides)


def _committed_samples(folder: Path, out: Path, seeds: int | None, overrides: Sequence[str]) -> list[Sampled]:
    """Return the families of samples, measured for the seeds that their tables have, or for the first `seeds`."""
    found = []
    for path, family in samplings(folder).items():
        table = out / f"{path.stem}.csv"
        chosen = _seeds(family.seeds, seeds, read_csv(table))
        if not chosen:
            raise SetupFault(f"{table}: no row is of a seed of {path}")
        found.append(measured(path, family, chosen, overrides))
    return found


def _seeds(all_seeds: Sequence[int], first: int | None, rows: Sequence[Row]) -> Sequence[int]:
    """Return the `first` seeds, or those of the committed rows."""
    there = {row.get("seed") for row in rows}
    return all_seeds[:first] if first else [each for each in all_seeds if str(each) in there]


def check(
    figures: Sequence[Figure], samples: Sequence[Sampled], grids: Mapping[Path, Sequence[Cell]], out: Path
) -> Exit:
    """Compare the tables in `out` with the runs that are there, and with `samples`, and say every difference.

    Numbers may differ by the relative `TOLERANCE`, those of claims.md by a rounding; all else has to be the same, the
    workers kept in every round included, but not the seconds. Nothing is run: missing runs are named, and differ.

    Raises:
        SetupFault: a file or a trace cannot be read.
    """
    rows, text = read_csv(out / VALUES), _read(out / CLAIMS)
    differences: list[str] = []
    checked = 0
    for figure in figures:
        missing = [each.folder for each in figure.jobs() if not is_done(each.folder)]
        found = [_as_text(row) for panel in figure.panels for row in values(figure, panel, is_done)]
        own = [row for row in rows if row.get("figure") == figure.name]
        checked += len(found)
        differences += _of_runs(figure.name, ("panel", "curve", "seed"), own, found, missing)
        if figure.seeds and not missing:
            differences += _of_section(figure.name, _section(text, figure.family.title), section(figure))
    for each in samples:
        own, found = read_csv(out / each.table), [_as_text(row) for row in each.rows()]
        differences += _of_table(each.name, ("data", "seed", "rows"), own, found)
        differences += _of_section(each.name, _section(text, each.family.title), each.section())
    for path, cells in grids.items():
        own = read_csv(out / f"{path.stem}.csv")
        missing = [job.folder for cell in cells for job in cell.jobs.values() if not is_done(job.folder)]
        found = [_as_text(row) for row in cell_rows(load_matrix(path), cells, is_done)]
        checked += len(found)
        differences += _of_runs(path.stem, ("code", "rule", "attack", "seed"), own, found, missing)
    strangers = sorted({str(row.get("figure")) for row in rows} - {figure.name for figure in figures})
    differences += [f"{out / VALUES} has a figure {name!r}, and there is no such family" for name in strangers]
    for difference in differences:
        say(difference)
    if differences:
        say(f"{out} does not agree with the runs: {len(differences)} differences")
        return Exit.SETUP
    show(f"{out} agrees with its {checked} runs")
    return Exit.OK


def _of_runs(
    name: str, keys: Sequence[str], own: Sequence[Row], found: Sequence[Row], missing: Sequence[Path]
) -> Iterator[str]:
    """Yield what is missing and what differs in the rows of one figure or matrix."""
    if not own:
        yield f"{name}: the table that is committed has no row of it"
    yield from (f"{name}: no finished run in {folder}" for folder in missing)
    gone = {folder.name for folder in missing}
    yield from _of_table(name, keys, [row for row in own if row.get("run") not in gone], found)


def _as_text(row: Mapping[str, object]) -> dict[str, str]:
    """Return a row as it is read from a CSV file."""
    return {key: "" if value is None else str(value) for key, value in row.items()}


def _of_table(name: str, keys: Sequence[str], own: Sequence[Row], found: Sequence[Row]) -> Iterator[str]:
    """Yield the differences of the rows of one figure: those that are committed, and those that were found now.

    Args:
        keys: the columns that tell rows apart.
    """

    def key(row: Row) -> str:
        return ", ".join([name, *(row.get(each, "") for each in keys)])

    there = {key(row): row for row in own}
    for row in found:
        old = there.pop(key(row), None)
        if old is None:
            yield f"{key(row)}: not in the table that is committed"
            continue
        for column, new in row.items():
            if column not in _UNCHECKED and not _same(column, old.get(column), new):
                yield f"{key(row)}: {column} is {old.get(column)!r}, and {new!r} by the run"
    yield from (f"{where}: in the table that is committed, and of no run of the families" for where in there)


def _same(column: str, old: str | None, new: str) -> bool:
    if old == new:
        return True
    if column in _EXACT or not old:
        return False
    try:
        return math.isclose(float(old), float(new), rel_tol=TOLERANCE)
    except ValueError:
        return False


def _of_section(name: str, old: Sequence[str], section: Sequence[str]) -> Iterator[str]:
    """Yield the first difference of the lines of the section of one figure, without the empty ones."""
    new = [line for each in section for line in each.splitlines() if line]
    for was, now in zip(old, new, strict=False):
        if not _reads_as(was, now):
            yield f"{name}: {CLAIMS} says {was!r}, and the runs {now!r}"
            return
    if len(old) != len(new):
        yield f"{name}: its section in {CLAIMS} has {len(old)} lines, and {len(new)} by the runs"


def _section(text: str, title: str) -> list[str]:
    """Return the lines of a section, without empty ones."""
    _, _, rest = text.partition(f"\n## {title}\n")
    return [line for line in [f"## {title}", *rest.partition("\n## ")[0].splitlines()] if line] if rest else []


def _reads_as(one: str, other: str) -> bool:
    """Return whether two lines are the same but for the last digit of numbers that are no counts."""
    if _NUMBER.sub("#", one) != _NUMBER.sub("#", other):
        return False
    pairs = zip(_NUMBER.findall(one), _NUMBER.findall(other), strict=True)
    return all(a == b or _near(a, b) for a, b in pairs)


def _near(one: str, other: str) -> bool:
    counts = one.lstrip("-").isdigit() and other.lstrip("-").isdigit()
    return not counts and math.isclose(float(one), float(other), rel_tol=_ROUNDED)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise SetupFault(f"{path}: cannot be read ({error})") from error
