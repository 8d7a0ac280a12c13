"""The figures of a paper: every family of a folder, run, drawn, and compared with the paper's claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mpirobust.comm.communicator import Communicator
from mpirobust.errors import Exit, SetupFault
from mpirobust.files import write_csv, write_whole
from mpirobust.reports.bands import draw_bands
from mpirobust.reports.curves import expect_drawable
from mpirobust.reports.summary import summary
from mpirobust.studies import claims, races
from mpirobust.studies.campaign import Job, carry_out, job
from mpirobust.studies.family import Family, Metric, load_family
from mpirobust.studies.outcome import Outcome, outcome

_SUFFIXES = (".png", ".pdf")


@dataclass(frozen=True)
class Figure:
    """A family and its runs: `jobs[label]` has one for each seed."""

    name: str
    family: Family
    seeds: tuple[int, ...]
    jobs: dict[str, list[Job]]


def figures(
    folder: Path,
    out: Path,
    runs: Path,
    seeds: int | None,
    comm: Communicator,
    ends: float | None = None,
    limit: str = "",
) -> int:
    """Run the missing runs on all ranks, then draw at the center; return the exit code.

    Args:
        folder: the families, `figure-*.toml`.
        out: gets `figure-*.png` and `.pdf`, `claims.md`, and `values.csv`, which holds what both are made from.
        runs: gets the runs, and is searched for those that are there.
        seeds: use the first so many of each family; None for all.

    Raises:
        Fault: of a family, a plan, a run or a file.
    """
    planned: list[Figure] = []

    def jobs() -> list[Job]:
        planned.extend(_planned(folder, runs, seeds))
        expect_drawable([picture for figure in planned for picture in _pictures(figure, out)])
        return [each for figure in planned for column in figure.jobs.values() for each in column]

    code = carry_out(jobs, comm, ends, limit)
    if code == Exit.OK:
        comm.on_root(lambda: report(planned, out))
    return code


def report(planned: Sequence[Figure], out: Path) -> bytes:
    """Write the tables of the runs, which are all finished, and then draw the figures, at the center.

    A fault in a claim or a picture leaves the tables that come before it.
    """
    measured = [_measured(figure) for figure in planned]
    curves = [
        {label: found[label, figure.family.metric] for label in figure.jobs}
        for figure, found in zip(planned, measured, strict=True)
    ]
    rows = [
        each
        for figure, own in zip(planned, curves, strict=True)
        for label, found in own.items()
        for each in _rows(figure, label, found)
    ]
    write_csv(out / "values.csv", [list(rows[0]), *(list(row.values()) for row in rows)])
    said = [line for figure, found in zip(planned, measured, strict=True) for line in _claims(figure, found)]
    _write(out / "claims.md", "\n".join(["# What was claimed and what was measured", *said]) + "\n")
    for figure, own in zip(planned, curves, strict=True):
        family = figure.family
        bands = {_legend(label, found): (found.at, found.values) for label, found in own.items()}
        draw_bands(bands, _pictures(figure, out), family.title, family.metric, family.against, family.scale)
    return b""


def _measured(figure: Figure) -> dict[tuple[str, Metric], Outcome]:
    """Return the outcome of each curve in the metric of the family and in those of its claims."""
    family = figure.family
    metrics = {family.metric, *(case.metric or family.metric for claim in family.claims for case in claim.cases)}
    return {(label, metric): _outcome(figure, label, metric) for label in figure.jobs for metric in metrics}


def _claims(figure: Figure, measured: claims.Measured) -> list[str]:
    """Return the section of one figure, in Markdown."""
    family = figure.family
    said = [f"\n## {family.title}\n", f"![{family.title}]({figure.name}.png)\n"]
    if family.claims:
        said += ["| the paper says | verdict | measured: medians over the seeds |", "| --- | --- | --- |"]
        said += [claims.row(claim, family.metric, measured) for claim in family.claims]
    if family.races:
        folders = {label: [each.folder for each in column] for label, column in figure.jobs.items()}
        said += ["", *races.HEAD]
        said += [races.row(race, folders[race.curve], folders[race.against]) for race in family.races]
    return said


def _pictures(figure: Figure, out: Path) -> list[Path]:
    return [out / f"{figure.name}{suffix}" for suffix in _SUFFIXES]


def _planned(folder: Path, runs: Path, seeds: int | None) -> list[Figure]:
    paths = sorted(folder.glob("figure-*.toml"))
    if not paths:
        raise SetupFault(f"there are no figure-*.toml in {folder}")
    planned = []
    for path in paths:
        family = load_family(path)
        chosen = family.seeds[:seeds]
        plan = path.parent / family.plan
        jobs = {
            curve.label: [job(plan, [*family.set, *curve.set, f"seed={seed}"], runs) for seed in chosen]
            for curve in family.curves
        }
        planned.append(Figure(path.stem, family, chosen, jobs))
    return planned


def _outcome(figure: Figure, label: str, metric: Metric) -> Outcome:
    return outcome([each.folder for each in figure.jobs[label]], metric, figure.family.against)


def _legend(label: str, found: Outcome) -> str:
    lost = int(found.diverged.sum())
    return f"{label} ({lost} of {found.diverged.size} diverge)" if lost else label


def _rows(figure: Figure, label: str, found: Outcome) -> list[dict[str, object]]:
    """Return one row for each run."""
    rows = []
    for seed, each, final in zip(figure.seeds, figure.jobs[label], found.final, strict=True):
        figures = summary(each.folder)
        rows.append(
            {
                "figure": figure.name,
                "curve": label,
                "seed": seed,
                "metric": figure.family.metric,
                "final": final,
                **{key: figures[key] for key in ("status", "rounds", "loss", "test_accuracy", "bytes_up", "seconds")},
                "byzantine_kept": figures["byzantine_kept_mean"],
                "run": each.folder.name,
            }
        )
    return rows


def _write(path: Path, text: str) -> None:
    def write(scratch: Path) -> None:
        scratch.write_text(text, encoding="utf-8", errors="backslashreplace")

    write_whole(path, write)
