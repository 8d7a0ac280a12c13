"""The figures of a paper: every family of a folder, run, drawn, and compared with the paper's claims."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mpirobust.comm.communicator import Communicator
from mpirobust.errors import Exit, SetupFault
from mpirobust.files import write_table, write_text
from mpirobust.meter import metered
from mpirobust.reports.bands import Frame, draw_bands
from mpirobust.reports.curves import expect_drawable
from mpirobust.reports.metrics import Metric
from mpirobust.reports.summary import summary
from mpirobust.studies import claims, origin, races, rates
from mpirobust.studies.campaign import Job, Seeds, StudyRequest, carry_out, job
from mpirobust.studies.family import Family, Variant, load_family
from mpirobust.studies.matrix import Grid, matrices, pictures
from mpirobust.studies.matrix import planned as planned_grid
from mpirobust.studies.outcome import Outcome, facts, outcome
from mpirobust.studies.sampling import Sampled, measured, samplings
from mpirobust.terminal import show

VALUES, CLAIMS, ORIGIN = "values.csv", "claims.md", "origin.csv"
TITLE = f"# What was claimed and what was measured\n\n{claims.LEGEND}"


@dataclass(frozen=True)
class Panel:
    """The runs of a panel, '' if the family names none: `jobs[label]` has one for each seed."""

    label: str
    jobs: dict[str, list[Job]]


@dataclass(frozen=True)
class Figure:
    """A family and its runs."""

    name: str
    family: Family
    seeds: tuple[int, ...]
    panels: tuple[Panel, ...]

    def jobs(self) -> Iterator[Job]:
        for panel in self.panels:
            for column in panel.jobs.values():
                yield from column


def figures(folder: Path, request: StudyRequest, comm: Communicator) -> int:
    """Run the missing runs on all ranks, then draw at the center; return the exit code.

    Args:
        folder: the families, `figure-*.toml`, `sampling-*.toml` and the matrices, `robustness*.toml`. They become
            `figure-*.png` and `.pdf`, `claims.md`, and `values.csv`, which holds what both are made from; for each
            family of samples and each matrix a picture and a table of its own; and `origin.csv` of all runs.

    Raises:
        Fault: of a family, a plan, a run or a file.
    """
    # At the center:
    found: list[Figure] = []
    samples: list[Sampled] = []
    grids: list[Grid] = []

    def jobs() -> list[Job]:
        chosen, overrides, families = request.chosen, request.overrides, samplings(folder)
        found.extend(planned(folder, request.runs, chosen, overrides))
        grids.extend(planned_grid(path, request.runs, chosen, overrides) for path in matrices(folder))
        names = [figure.name for figure in found] + [path.stem for path in (*families, *matrices(folder))]
        expect_drawable([picture for name in names for picture in pictures(name, request.out)])
        for path, family in families.items():
            samples.append(measured(path, family, chosen(path.stem, family.seeds), overrides))
        return [each for figure in found for each in figure.jobs()]

    code = carry_out(jobs, comm, request.ends, request.limit)
    if code != Exit.OK:
        return code
    comm.on_root(lambda: _write_tables(found, samples, request.out))
    code = carry_out(lambda: [each for grid in grids for each in grid.jobs()], comm, request.ends, request.limit)
    if code == Exit.OK:
        comm.on_root(lambda: _finish(found, samples, grids, request.out))
    return code


def planned(folder: Path, runs: Path, seeds: Seeds, overrides: Sequence[str]) -> list[Figure]:
    """Return the figures of the families in `folder`, for the seeds that `seeds` chooses; raise `SetupFault`."""
    paths = sorted(folder.glob("figure-*.toml"))
    if not paths:
        raise SetupFault(f"there are no figure-*.toml in {folder}")
    found = []
    for path in metered(paths, "reading plans", " figures"):
        family = load_family(path)
        chosen = tuple(seeds(path.stem, family.seeds))
        panels = tuple(
            _panel(path.parent / family.plan, family, each, chosen, overrides, runs, path.stem)
            for each in family.panels or (Variant(label=""),)
        )
        found.append(Figure(path.stem, family, chosen, panels))
    return found


def _panel(
    plan: Path, family: Family, panel: Variant, seeds: Sequence[int], overrides: Sequence[str], runs: Path, figure: str
) -> Panel:
    def name(curve: Variant) -> str:
        return ", ".join(part for part in (figure, panel.label, curve.label) if part)

    def settings(curve: Variant, seed: int) -> list[str]:
        return [*family.set, *panel.set, *curve.set, *overrides, f"seed={seed}"]

    jobs = {
        curve.label: [job(plan, settings(curve, seed), runs, name(curve)) for seed in seeds] for curve in family.curves
    }
    return Panel(panel.label, jobs)


def _write_tables(figures: Sequence[Figure], samples: Sequence[Sampled], out: Path) -> bytes:
    """Write the tables of the runs of `figures`, which are all finished, and of `samples`, at the center.

    A fault in a claim leaves the tables that come before it.
    """
    every = metered(figures, "reading runs", " figures")
    write_table(out / VALUES, [row for figure in every for panel in figure.panels for row in values(figure, panel)])
    for each in samples:
        write_table(out / each.table, list(each.rows()))
    every = metered(figures, "judging claims", " figures")
    sections = [*(section(figure) for figure in every), *(each.section() for each in samples)]
    write_text(out / CLAIMS, "\n".join([TITLE, *(line for each in sections for line in each)]) + "\n")
    return b""


def _finish(figures: Sequence[Figure], samples: Sequence[Sampled], grids: Sequence[Grid], out: Path) -> bytes:
    """Write the tables of the matrices and of the origin of all runs, and then draw everything, at the center."""
    for grid in grids:
        grid.write(out)
    studies: list[Figure | Grid] = [*figures, *grids]
    write_table(out / ORIGIN, [row for study in studies for row in origin.rows(study.name, study.jobs())])
    for figure in metered(figures, "drawing", " figures"):
        _draw(figure, out)
    for each in samples:
        each.draw(out)
    for grid in grids:
        grid.draw(out)
    drawn = claims.counted(len(figures) + len(samples) + len(grids), "picture")
    show(f"wrote {out}: {VALUES}, {CLAIMS}, {ORIGIN}, and {drawn} as .png and .pdf")
    return b""


def values(figure: Figure, panel: Panel, done: Callable[[Path], bool] = lambda _: True) -> Iterator[dict[str, object]]:
    """Yield the row of each run of a panel that is `done`, by the names of the columns of values.csv."""
    family = figure.family
    for label, column in panel.jobs.items():
        for seed, each in zip(figure.seeds, column, strict=True):
            if done(each.folder):
                ended, known = summary(each.folder), facts(each.folder)
                yield {
                    "figure": figure.name,
                    "panel": panel.label,
                    "data": known.data,
                    "curve": label,
                    "seed": seed,
                    "metric": family.metric,
                    "final": outcome([each.folder], family.metric).final[0],
                    **{key: ended[key] for key in ("status", "rounds", "loss", "test_accuracy", "bytes_up", "seconds")},
                    "byzantine_kept": ended["byzantine_kept_mean"],
                    "kept": known.kept,
                    "blas": known.blas,
                    "run": each.folder.name,
                    "plan": each.plan.name,
                    "set": shlex.join(each.overrides),
                }


def section(figure: Figure) -> list[str]:
    """Return the lines of the section of one figure in claims.md."""
    family = figure.family
    said = [f"\n## {family.title}\n", f"![{family.title}]({figure.name}.png)"]
    for panel in figure.panels:
        judged = [claim for claim in family.claims if not claim.panels or panel.label in claim.panels]
        metrics = {family.metric, *(case.metric or family.metric for claim in judged for case in claim.cases)}
        audited = {
            (label, metric): _outcome(figure, panel, label, metric) for label in panel.jobs for metric in metrics
        }
        settings = {label: _setting(figure, panel, label) for label in panel.jobs}
        said += [f"\n### {family.title}, {panel.label}"] if panel.label else []
        if judged:
            said += ["", *claims.HEAD]
            said += [claims.row(claim, family.metric, audited, settings) for claim in judged]
        if family.guides:
            said += ["", *rates.HEAD]
            said += [
                rates.row(guide, audited[guide.through, family.metric], settings[guide.through])
                for guide in family.guides
            ]
        if family.races:
            folders = {label: [each.folder for each in column] for label, column in panel.jobs.items()}
            said += ["", *races.HEAD]
            said += [
                races.row(race, folders[race.curve], folders[race.against], settings[race.curve])
                for race in family.races
            ]
    return said


def _setting(figure: Figure, panel: Panel, label: str) -> str:
    """Return the data, the size and the seeds of a curve as text."""
    seeds = figure.seeds
    run = tuple(range(seeds[0], seeds[0] + len(seeds)))
    names = f"{seeds[0]}-{seeds[-1]}" if seeds == run and len(seeds) > 1 else ", ".join(map(str, seeds))
    return f"{facts(panel.jobs[label][0].folder)}, seed{'s' * (len(seeds) > 1)} {names}"


def _draw(figure: Figure, out: Path) -> None:
    family = figure.family
    panels = {}
    for panel in figure.panels:
        own = {label: _outcome(figure, panel, label, family.metric) for label in panel.jobs}
        panels[panel.label] = {
            label: (found.at, found.values, int(found.diverged.sum())) for label, found in own.items()
        }
    frame = Frame(family.title, family.metric, family.against, family.scale, family.across, family.guides)
    draw_bands(panels, pictures(figure.name, out), frame)


def _outcome(figure: Figure, panel: Panel, label: str, metric: Metric) -> Outcome:
    return outcome([each.folder for each in panel.jobs[label]], metric, figure.family.against)
