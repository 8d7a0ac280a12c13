"""What every rank has of an experiment: the request, the center's setup, and the workers built from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators.base import max_faulty
from mpirobust.attacks.base import WireAttack
from mpirobust.cluster.adversary import byzantine
from mpirobust.cluster.worker import Worker, WorkerConfig
from mpirobust.cluster.worker_group import WorkerGroup
from mpirobust.data.sources.base import Dataset, Facts
from mpirobust.errors import SetupFault
from mpirobust.plan import Plan
from mpirobust.shard import Shard
from mpirobust.streams import CENTER, Purpose, stream
from mpirobust.types import Rows, Vector


@dataclass(frozen=True)
class RunRequest:
    """What the command line asked for."""

    plan: Path
    overrides: Sequence[str] = ()
    out: Path | None = None
    resume: bool = False
    overwrite: bool = False
    quiet: bool = False  # no notes and no progress on the terminal
    ends: float | None = None  # when all has to be over, on `time.monotonic` of the center's machine


@dataclass(frozen=True)
class RunSetup:
    """What the center has worked out and every rank needs; crosses as JSON."""

    plan: dict[str, Any]
    stores: list[str]
    folder: str
    resumes: bool
    checkpoint: str  # '' to before_first_round at round 0
    quiet: bool
    ends: float | None  # of the request; for the center alone


@dataclass(frozen=True)
class RankSetup:
    """What one rank has built from the setup."""

    plan: Plan
    group: WorkerGroup
    facts: Facts
    x0: Vector
    solutions: Sequence[Vector]  # what the audited distance is measured to


def build_rank(setup: RunSetup, mine: Sequence[int], survives: bool) -> RankSetup:
    """Read the rows of the workers that live here (`WorkerConfig.survives`); raises `SetupFault`."""
    plan = Plan.of(setup.plan)
    stores = [Path(store) for store in setup.stores]
    with closing(plan.data.open(stores, plan.seed)) as dataset:
        facts = dataset.facts
        dealt = plan.deal(dataset)
        x0 = plan.problem.start(facts.features, stream(plan.seed, CENTER, 0, Purpose.START))
        config = worker_config(plan, x0.size, plan.weights(dealt), survives)
        workers = list(_build_workers(mine, config, dataset, dealt))
        w = dataset.solution()
    if setup.checkpoint and config.feedback != "none":
        _restore_residuals(Path(setup.checkpoint), workers, x0.size)

    def recruit(indices: Sequence[int]) -> Iterator[Worker]:
        with closing(plan.data.open(stores, plan.seed)) as dataset:
            yield from _build_workers(indices, config, dataset, plan.deal(dataset))

    group = WorkerGroup(config, workers, recruit)
    return RankSetup(plan, group, facts, x0, () if w is None else plan.problem.solutions(w))


def _build_workers(
    indices: Sequence[int], config: WorkerConfig, dataset: Dataset, dealt: Sequence[Rows]
) -> Iterator[Worker]:
    """Workers with their rows, read when their turn comes."""
    tests = np.array_split(np.arange(dataset.facts.test_rows), len(dealt))
    for index in indices:
        test: Shard | None = dataset.test(tests[index]) if tests[index].size else None
        yield Worker(index, config, dataset.train(dealt[index]), test)


def worker_config(plan: Plan, dim: int, weights: NDArray[np.float64], survives: bool = False) -> WorkerConfig:
    """What the plan tells every worker, for vectors of length `dim`; for the others see `WorkerConfig`."""
    bad = byzantine(plan.attack, plan.workers, plan.seed)
    return WorkerConfig(
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
        max_faulty=max_faulty(plan.aggregator, plan.workers, bad.size),
        survives=survives,
    )


def _restore_residuals(path: Path, workers: Sequence[Worker], dim: int) -> None:
    from mpirobust.records.checkpoint import RESIDUALS, load_memory

    found = list(load_memory(path, RESIDUALS, [each.index for each in workers], dim))
    if len(found) != len(workers):
        raise SetupFault(f"{path}: not a whole checkpoint (no residuals)")
    for worker, residual in zip(workers, found, strict=True):
        worker.residual = residual
