"""The matrix of attacks, rules and codes: one number and one colour for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpirobust.comm.communicator import Communicator
from mpirobust.errors import Exit
from mpirobust.files import write_csv
from mpirobust.reports.curves import expect_drawable
from mpirobust.reports.heatmap import draw_heatmaps
from mpirobust.studies.campaign import Job, carry_out, job
from mpirobust.studies.family import Matrix, load_matrix
from mpirobust.studies.outcome import outcome

WORST = "worst case"


@dataclass(frozen=True)
class Cell:
    """An attack, a rule, a code, and the runs, one for each seed."""

    attack: str
    rule: str
    code: str
    jobs: list[Job]


def matrix(
    path: Path,
    out: Path,
    runs: Path,
    seeds: int | None,
    comm: Communicator,
    ends: float | None = None,
    limit: str = "",
    overrides: Sequence[str] = (),
) -> int:
    """Run the missing runs on all ranks, then draw at the center; return the exit code.

    Args:
        path: the matrix, a TOML file.
        out: gets `<name>.png` and `.pdf`, and `<name>.csv` with the final metric of every run.
        runs, seeds, overrides: as in `figures.figures`.

    Raises:
        Fault: of the matrix, a plan, a run or a file.
    """
    cells: list[Cell] = []
    stem = out / path.stem

    def jobs() -> list[Job]:
        cells.extend(_cells(path, load_matrix(path), runs, seeds, overrides))
        expect_drawable(_pictures(stem))
        return [each for cell in cells for each in cell.jobs]

    code = carry_out(jobs, comm, ends, limit)
    if code == Exit.OK:
        comm.on_root(lambda: _report(load_matrix(path), cells, stem))
    return code


def _cells(path: Path, matrix: Matrix, runs: Path, seeds: int | None, overrides: Sequence[str]) -> list[Cell]:
    plan = path.parent / matrix.plan
    cells = []
    for code in matrix.codes:
        for rule in matrix.rules:
            for attack in matrix.attacks:
                keys = [*matrix.set, *code.set, *rule.set, *attack.set, *overrides]
                jobs = [job(plan, [*keys, f"seed={seed}"], runs) for seed in matrix.seeds[:seeds]]
                cells.append(Cell(attack.label, rule.label, code.label, jobs))
    return cells


def _report(matrix: Matrix, cells: list[Cell], stem: Path) -> bytes:
    found = {
        (cell.attack, cell.rule, cell.code): outcome([each.folder for each in cell.jobs], matrix.metric)
        for cell in cells
    }
    attacks = [attack.label for attack in matrix.attacks]
    rules = [rule.label for rule in matrix.rules]
    tables: dict[str, NDArray[np.float64]] = {}
    for code in matrix.codes:
        table = np.array([[found[attack, rule, code.label].final.mean() for rule in rules] for attack in attacks])
        tables[code.label] = np.vstack([table, table.max(axis=0)])
    start = float(np.median([each.values[:, 0] for each in found.values()]))

    rows: list[list[object]] = [["code", "rule", "attack", "seed", matrix.metric, "run"]]
    for cell in cells:
        finals = found[cell.attack, cell.rule, cell.code].final
        for seed, value, each in zip(matrix.seeds, finals, cell.jobs, strict=False):
            rows.append([cell.code, cell.rule, cell.attack, seed, value, each.folder.name])
    write_csv(stem.with_suffix(".csv"), rows)
    draw_heatmaps(tables, [*attacks, WORST], rules, _pictures(stem), matrix.title, matrix.metric, start)
    return b""


def _pictures(stem: Path) -> list[Path]:
    return [stem.with_suffix(suffix) for suffix in (".png", ".pdf")]
