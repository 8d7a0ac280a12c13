"""What is committed of the figures of a paper, compared with what the runs say."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mpirobust.comm.communicator import Communicator
from mpirobust.errors import Exit, SetupFault
from mpirobust.files import read_csv
from mpirobust.studies.campaign import Job, carry_out, is_done
from mpirobust.studies.family import Family
from mpirobust.studies.figures import CLAIMS, VALUES, Figure, planned, section, values
from mpirobust.terminal import say, show

TOLERANCE = 1e-9  # relative, of a number in values.csv: other processors round otherwise
_ROUNDED = 1e-3  # the same in claims.md, whose numbers have four digits

_UNCHECKED = {"seconds"}  # of a machine, not of a plan
_EXACT = {"figure", "data", "curve", "seed", "metric", "status", "rounds", "bytes_up", "byzantine_kept", "kept", "run"}
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")

Row = Mapping[str, str]


def compare(
    folder: Path,
    out: Path,
    runs: Path,
    seeds: int | None,
    overrides: Sequence[str],
    comm: Communicator,
    ends: float | None = None,
    limit: str = "",
    *,
    run_missing: bool = False,
) -> int:
    """Compare at the center, after the missing runs have been run on all ranks if that is asked; return the exit code.

    Args:
        out: with the `values.csv` and the `claims.md` that are compared.
        seeds: the first so many of each family; None for those that `values.csv` has.
        folder, runs, overrides, ends, limit: as in `figures.figures`.

    Raises:
        Fault: of a family, a plan, a run or a file.
    """
    figures: list[Figure] = []

    def jobs() -> list[Job]:
        figures.extend(_committed(folder, out, runs, seeds, overrides))
        return [each for figure in figures for each in figure.jobs()] if run_missing else []

    code = carry_out(jobs, comm, ends, limit)
    return code or int.from_bytes(comm.on_root(lambda: bytes([check(figures, out)])))


def _committed(folder: Path, out: Path, runs: Path, seeds: int | None, overrides: Sequence[str]) -> list[Figure]:
    """Return the figures of `folder` with the seeds that `out`/values.csv has, or with the first `seeds`."""
    rows = read_csv(out / VALUES)

    def chosen(name: str, family: Family) -> Sequence[int]:
        there = {row.get("seed") for row in rows if row.get("figure") == name}
        return family.seeds[:seeds] if seeds else [each for each in family.seeds if str(each) in there]

    return planned(folder, runs, chosen, overrides)


def check(figures: Sequence[Figure], out: Path) -> Exit:
    """Compare `out`/values.csv and claims.md with the runs that are there, and say every difference.

    Numbers may differ by the relative `TOLERANCE`, those of claims.md by a rounding; all else has to be the same, the
    workers kept in every round included, but not the seconds. Nothing is run: missing runs are named, and differ.

    Raises:
        SetupFault: a file or a trace cannot be read.
    """
    rows, text = read_csv(out / VALUES), _read(out / CLAIMS)
    differences, checked = [], 0
    for figure in figures:
        missing = [each.folder for each in figure.jobs() if not is_done(each.folder)]
        differences += [f"{figure.name}: no finished run in {folder}" for folder in missing]
        own = [row for row in rows if row.get("figure") == figure.name]
        found = [
            {key: "" if value is None else str(value) for key, value in row.items()}
            for panel in figure.panels
            for row in values(figure, panel, is_done)
        ]
        checked += len(found)
        differences += _of_values(figure.name, own, found, {folder.name for folder in missing})
        if figure.seeds and not missing:
            new = [line for each in section(figure) for line in each.splitlines() if line]
            differences += _of_section(figure.name, _section(text, figure.family.title), new)
    known = {figure.name for figure in figures}
    strangers = sorted({str(row.get("figure")) for row in rows} - known)
    differences += [f"{out / VALUES} has a figure {each!r}, and there is no such family" for each in strangers]
    for each in differences:
        say(each)
    if differences:
        say(f"{out} does not agree with the runs: {len(differences)} differences")
        return Exit.SETUP
    show(f"{out} agrees with its {checked} runs")
    return Exit.OK


def _of_values(name: str, own: Sequence[Row], found: Sequence[Row], missing: set[str]) -> Iterator[str]:
    """Yield the differences of the rows of one figure."""
    if not own:
        yield f"{name}: {VALUES} has no row of it"
        return
    there = {_key(row): row for row in own}
    for row in found:
        key = _key(row)
        where = f"{name}, {', '.join(key)}"
        if key not in there:
            yield f"{where}: {VALUES} has no such row"
            continue
        old = there.pop(key)
        for column, new in row.items():
            if column not in _UNCHECKED and not _same(column, old.get(column), new):
                yield f"{where}: {column} is {old.get(column)!r} in {VALUES}, and {new!r} by the run"
    for key, row in there.items():
        if row.get("run") not in missing:
            yield f"{name}, {', '.join(key)}: {VALUES} has a row that no run of the families gives"


def _key(row: Row) -> tuple[str, str, str]:
    return row.get("data", ""), row.get("curve", ""), row.get("seed", "")


def _same(column: str, old: str | None, new: str) -> bool:
    if old == new:
        return True
    if column in _EXACT or not old:
        return False
    try:
        return math.isclose(float(old), float(new), rel_tol=TOLERANCE)
    except ValueError:
        return False


def _of_section(name: str, old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    """Yield the first difference of the lines of the section of one figure, old and new."""
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
