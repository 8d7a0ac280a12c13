"""The set-up of a run: the request, the center's part that every rank needs, and the workers that a rank builds."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators.base import max_faulty
from mpirobust.attacks.base import WireAttack
from mpirobust.cluster.downlink import Downlink
from mpirobust.cluster.worker import Worker, WorkerConfig
from mpirobust.cluster.worker_group import WorkerGroup
from mpirobust.data.sources.base import Dataset, Facts
from mpirobust.errors import SetupFault
from mpirobust.plan import Plan
from mpirobust.running import starting
from mpirobust.shard import Shard
from mpirobust.types import Held, Layout, Rows, Vector


@dataclass(frozen=True)
class RunRequest:
    """The request of the command line, or of a Python program.

    Attributes:
        plan: the plan or its path; None for that of the run in the folder `out`, which is then resumed.
        overrides: `key=value` assignments.
        out: the folder of the output; None to choose one.
        resume, overwrite: whether to continue or to replace a run in this folder.
        quiet: whether to print no notes, and progress only with a label.
        label: what the progress begins with, of a run that is one of many.
        ends: when the job must have ended, on `time.monotonic` of the center's machine; None for never.
        limit: where `ends` comes from, for messages.
        allowed: the kinds from outside the package that may be imported if `plan` is None; see `outside.only`.
        threads: of each rank; None for its share of the cores, or one if its workers have little work.
    """

    plan: Path | Plan | None
    overrides: Sequence[str] = ()
    out: Path | None = None
    resume: bool = False
    overwrite: bool = False
    quiet: bool = False
    ends: float | None = None
    limit: str = ""
    allowed: Sequence[str] = ()
    threads: int | None = None
    label: str = ""


@dataclass(frozen=True)
class RunSetup:
    """The results of the center's preparation, which every rank receives as JSON.

    Attributes:
        plan: the effective plan, as `Plan.of` takes it: every rank, the center too, builds it from the same text.
        stores: the files of the data.
        folder: the output folder.
        resumes: whether it holds a run to continue.
        checkpoint: the file to continue from; '' to begin at round 0.
        plan_file: the plan, absolute, for files beside it; '' if it is not known: they are in the working directory.
        sources: the SHA-256 of the source of each kind from outside, by its table.
        quiet, ends, limit, threads, label: as in the request.
        start: the file of the starting point, absolute; '' if it is the problem's own, or in the run that continues.
        start_digest: of the starting point; '' if it is the problem's own.
    """

    plan: dict[str, Any]
    stores: list[str]
    folder: str
    resumes: bool
    checkpoint: str
    plan_file: str
    sources: dict[str, str]
    quiet: bool
    ends: float | None
    limit: str
    threads: int | None = None
    start: str = ""
    start_digest: str = ""
    label: str = ""


@dataclass(frozen=True)
class RankSetup:
    """The objects that one rank builds from a `RunSetup`.

    Attributes:
        plan: the plan of the run.
        group: the workers that this rank hosts.
        facts: sizes and digest of the data.
        x0: the starting point, shape (d,), float64.
        solutions: the audited distance is that to the nearest of these, each of shape (d,); empty if none is known.
    """

    plan: Plan
    group: WorkerGroup
    facts: Facts
    x0: Vector
    solutions: Sequence[Vector]


def build_rank(
    setup: RunSetup, mine: Sequence[int], survives: bool, check: Callable[[], None] = lambda: None
) -> RankSetup:
    """Build the workers `mine` with their rows, and with their memories if the run continues from a checkpoint.

    Args:
        mine: the numbers of the workers, ascending.
        survives: see `WorkerConfig.survives`.
        check: called before each worker; raises a `Fault` to end the work.

    Raises:
        SetupFault: the data or the checkpoint cannot be read.
    """
    plan = Plan.of(setup.plan, Path(setup.plan_file).parent)
    _expect_same_sources(plan, setup.sources)
    stores = [Path(store) for store in setup.stores]
    with closing(plan.data.open(stores, plan.seed)) as dataset:
        facts = dataset.facts
        dealt = plan.deal(dataset)
        layout = plan.problem.layout(facts.features)
        x0, held = _starting_point(setup, plan, facts.features), _held(setup, plan, layout.dim)
        config = worker_config(plan, layout, plan.weights(dealt), x0, held, survives)
        workers = []
        for worker in build_workers(mine, config, dataset, dealt):
            check()
            workers.append(worker)
        w = dataset.solution()
    if setup.checkpoint:
        _restore_memories(Path(setup.checkpoint), config, workers)

    def build_more(indices: Sequence[int]) -> Iterator[Worker]:
        with closing(plan.data.open(stores, plan.seed)) as dataset:
            yield from build_workers(indices, config, dataset, plan.deal(dataset))

    group = WorkerGroup(config, workers, build_more)
    return RankSetup(plan, group, facts, x0, () if w is None else plan.problem.solutions(w))


def build_workers(
    indices: Sequence[int], config: WorkerConfig, dataset: Dataset, dealt: Sequence[Rows]
) -> Iterator[Worker]:
    """Yield workers with their rows, which are read when the first worker of their group is yielded."""
    tests = np.array_split(np.arange(dataset.facts.test_rows), len(dealt))
    shards: dict[int, tuple[Shard, Shard | None]] = {}
    for index in indices:
        group = config.groups.of(index)
        if group not in shards:
            test = dataset.test(tests[group]) if tests[group].size else None
            shards[group] = dataset.train(dealt[group]), test
        yield Worker(index, config, *shards[group])


def worker_config(
    plan: Plan, layout: Layout, weights: NDArray[np.float64], x0: Vector, held: Held, survives: bool = False
) -> WorkerConfig:
    """Return the configuration of every worker of the plan; see `WorkerConfig` and `Downlink` for the arguments."""
    bad = plan.byzantine()
    wire = plan.wire(layout)
    return WorkerConfig(
        wire=wire,
        loss=plan.problem,
        algorithm=plan.algorithm,
        lengths_vary=isinstance(plan.attack, WireAttack) or not wire.fixed_length(),
        attack=plan.attack,
        byzantine=bad,
        weights=weights,
        on_failure=plan.on_failure,
        max_faulty=max_faulty(plan.aggregator, len(plan.groups), plan.lost().size),
        downlink=Downlink(plan.seed, layout, plan.downlink, x0, held),
        survives=survives,
        redundancy=plan.redundancy,
    )


def _expect_same_sources(plan: Plan, sources: dict[str, str]) -> None:
    """Raise `SetupFault` if the source of a kind from outside is not the same here as at the center."""
    for table, origin in plan.origins().items():
        if origin.sha256 != sources[table]:
            raise SetupFault(f"{table}: {origin.file} on {platform.node()} is not the file that the center has loaded")


def _starting_point(setup: RunSetup, plan: Plan, features: int) -> Vector:
    if not setup.start_digest:
        return starting.own(plan, features)
    if setup.start:
        return starting.taken(Path(setup.start), plan.problem.layout(features), setup.start_digest)
    from mpirobust.records.model import started_from  # h5py

    return started_from(Path(setup.folder), plan.problem.dim(features))


def _held(setup: RunSetup, plan: Plan, dim: int) -> Held:
    if plan.downlink is None or not setup.checkpoint:
        return {}
    from mpirobust.records.checkpoint import load_held

    return load_held(Path(setup.checkpoint), dim)


def _restore_memories(path: Path, config: WorkerConfig, workers: Sequence[Worker]) -> None:
    from mpirobust.records.checkpoint import load_memory  # h5py: only ranks that resume need it

    indices = [worker.index for worker in workers]
    for memory in config.wire.feedback.memories():
        if memory.at_worker:
            labels = [half.label for half in config.saved if half.name == memory.name]
            rows = load_memory(path, labels[::-1], indices, config.wire.dim)  # the workers' own half, if there is one
            for worker, row in zip(workers, rows, strict=True):
                worker.memory = {**worker.memory, memory.name: row}
