"""What every rank has of an experiment: the request, the center's brief, and the workers built from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators.base import bearable
from mpirobust.attacks.base import WireAttack
from mpirobust.cluster.adversary import byzantine
from mpirobust.cluster.host import Host
from mpirobust.data.sources.base import Dataset, Facts
from mpirobust.errors import SetupFault
from mpirobust.plan import Plan
from mpirobust.types import CENTER, Purpose, Rows, Shard, Vector, stream
from mpirobust.worker import Orders, Worker


@dataclass(frozen=True)
class Request:
    """What the command line asked for."""

    plan: Path
    overrides: Sequence[str] = ()
    out: Path | None = None
    resume: bool = False
    overwrite: bool = False
    quiet: bool = False  # no notes and no progress on the terminal
    ends: float | None = None  # when all has to be over, on `time.monotonic` of the center's machine


@dataclass(frozen=True)
class Brief:
    """What the center has worked out and every rank needs; crosses as JSON."""

    plan: dict[str, Any]
    stores: list[str]
    folder: str
    resumes: bool
    checkpoint: str  # '' to begin at round 0
    quiet: bool
    ends: float | None  # of the request; for the center alone


@dataclass(frozen=True)
class Team:
    """What one rank has built from the brief."""

    plan: Plan
    host: Host
    facts: Facts
    x0: Vector
    solutions: Sequence[Vector]  # what the audited distance is measured to


def assemble(brief: Brief, mine: Sequence[int], survives: bool) -> Team:
    """Read the rows of the workers that live here (`Orders.survives`); raises `SetupFault`."""
    plan = Plan.of(brief.plan)
    stores = [Path(store) for store in brief.stores]
    with closing(plan.data.open(stores, plan.seed)) as dataset:
        facts = dataset.facts
        dealt = plan.deal(dataset)
        x0 = plan.problem.start(facts.features, stream(plan.seed, CENTER, 0, Purpose.START))
        orders = orders_of(plan, x0.size, plan.weights(dealt), survives)
        workers = list(_hire(mine, orders, dataset, dealt))
        w = dataset.solution()
    if brief.checkpoint and orders.feedback != "none":
        _give_back_residuals(Path(brief.checkpoint), workers, x0.size)

    def recruit(indices: Sequence[int]) -> Iterator[Worker]:
        with closing(plan.data.open(stores, plan.seed)) as dataset:
            yield from _hire(indices, orders, dataset, plan.deal(dataset))

    host = Host(orders, workers, recruit)
    return Team(plan, host, facts, x0, () if w is None else plan.problem.solutions(w))


def _hire(indices: Sequence[int], orders: Orders, dataset: Dataset, dealt: Sequence[Rows]) -> Iterator[Worker]:
    """Workers with their rows, read when their turn comes."""
    tests = np.array_split(np.arange(dataset.facts.test_rows), len(dealt))
    for index in indices:
        test: Shard | None = dataset.test(tests[index]) if tests[index].size else None
        yield Worker(index, orders, dataset.train(dealt[index]), test)


def orders_of(plan: Plan, dim: int, weights: NDArray[np.float64], survives: bool = False) -> Orders:
    """What the plan tells every worker, for vectors of length `dim`; for the others see `Orders`."""
    bad = byzantine(plan.attack, plan.workers, plan.seed)
    return Orders(
        seed=plan.seed,
        loss=plan.problem,
        algorithm=plan.algorithm,
        compressor=plan.compressor,
        norm=plan.algorithm.norm(),
        feedback=plan.feedback,
        lengths_vary=isinstance(plan.attack, WireAttack) or not plan.compressor.fixed_length(),
        dim=dim,
        attack=plan.attack,
        byzantine=bad,
        weights=weights,
        on_failure=plan.on_failure,
        bearable=bearable(plan.aggregator, plan.workers, bad.size),
        survives=survives,
    )


def _give_back_residuals(path: Path, workers: Sequence[Worker], dim: int) -> None:
    from mpirobust.records.checkpoint import residuals_of

    found = list(residuals_of(path, [each.index for each in workers], dim))
    if len(found) != len(workers):
        raise SetupFault(f"{path}: not a whole checkpoint (no residuals)")
    for worker, residual in zip(workers, found, strict=True):
        worker.residual = residual
