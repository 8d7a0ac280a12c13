"""The values at which each rule of a matrix is measured: those at which its own worst attack does least."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from mpirobust.errors import SetupFault
from mpirobust.studies.campaign import Job, job
from mpirobust.studies.family import Matrix, Rule, load_matrix
from mpirobust.studies.outcome import outcome
from mpirobust.studies.points import Axis, axes, points

Chosen: TypeAlias = Mapping[tuple[str, str], tuple[str, ...]]  # code and rule -> assignments, as `--set` takes them


@dataclass(frozen=True)
class Trial:
    """A rule under a code, with values that are tried for it, against every attack.

    Attributes:
        point: the assignments, as `--set` takes them.
        jobs: the runs by attack, all with the seed of `Tuning`.
    """

    code: str
    rule: str
    point: tuple[str, ...]
    jobs: Mapping[str, Job]

    def worst(self, metric: str) -> tuple[float, str]:
        """Return the largest final value over the attacks, and the first attack that has it."""
        finals = {attack: float(outcome([each.folder], metric).final[0]) for attack, each in self.jobs.items()}
        attack = max(finals, key=finals.__getitem__)
        return finals[attack], attack


def trials(path: Path, runs: Path, overrides: Sequence[str]) -> list[Trial]:
    """Return the trials of the matrix at `path`, with their runs in folders below `runs`.

    Raises:
        SetupFault: the matrix has no `[tune]`, or one is no values; the matrix or a plan is wrong.
    """
    matrix = load_matrix(path)
    if matrix.tune is None:
        raise SetupFault(f"{path}: --tune needs a table [tune], which says what is tried (docs/STUDIES.md)")
    plan, found = path.parent / matrix.plan, []
    for code in matrix.codes:
        for rule in matrix.rules if matrix.tune.code in (None, code.label) else ():
            for point in points(_axes(path, matrix, rule, overrides)):
                jobs = {}
                for attack in matrix.attacks:
                    name = ", ".join([path.stem, "tuning", code.label, rule.label, attack.label])
                    keys = [*matrix.set, *code.set, *rule.set, *attack.set, *overrides, *point]
                    jobs[attack.label] = job(plan, [*keys, f"seed={matrix.tune.seed}"], runs, name)
                found.append(Trial(code.label, rule.label, point, jobs))
    return found


def _axes(path: Path, matrix: Matrix, rule: Rule, overrides: Sequence[str]) -> list[Axis]:
    """Return the axes of the values for a rule, its own in place of those for all."""
    try:
        own = axes(rule.tune, overrides)
        return [*axes([each for each in _over(matrix) if _key(each) not in map(_key, rule.tune)], overrides), *own]
    except SetupFault as fault:
        raise SetupFault(f"{path}: tune: {str(fault).removeprefix('--over ')}") from fault


def _over(matrix: Matrix) -> Sequence[str]:
    return () if matrix.tune is None else matrix.tune.over


def _key(assignment: str) -> str:
    return assignment.partition("=")[0].strip()


def chosen(matrix: Matrix, found: Sequence[Trial]) -> Chosen:
    """Return the best point for each code and rule, the first if several are as good; all runs are done."""
    best: dict[tuple[str, str], tuple[float, tuple[str, ...]]] = {}
    for trial in found:
        worst, _ = trial.worst(matrix.metric)
        place = (trial.code, trial.rule)
        if place not in best or worst < best[place][0]:
            best[place] = (worst, trial.point)
    decided = matrix.tune.code if matrix.tune is not None else None
    places = [(code.label, rule.label) for code in matrix.codes for rule in matrix.rules]
    return {(code, rule): best[decided or code, rule][1] for code, rule in places}


def rows(matrix: Matrix, found: Sequence[Trial]) -> Iterator[dict[str, object]]:
    """Yield a row for each trial: the values, the worst attack and what it does."""
    best = chosen(matrix, found)
    for trial in found:
        worst, attack = trial.worst(matrix.metric)
        yield {
            "code": trial.code,
            "rule": trial.rule,
            "set": shlex.join(trial.point),
            "worst": attack,
            matrix.metric: worst,
            "chosen": int(best[trial.code, trial.rule] == trial.point),
        }
