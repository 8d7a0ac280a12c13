"""The center's part of an experiment: before, around and after the round loop."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from mpirobust.aggregators.base import Oracle
from mpirobust.attacks.base import MessageAttack
from mpirobust.cluster.base import Cluster
from mpirobust.cluster.placement import assign_workers
from mpirobust.cluster.replay import Replay
from mpirobust.cluster.worker import Worker, WorkerConfig
from mpirobust.comm.communicator import by_rank, named
from mpirobust.data.sources.base import Places
from mpirobust.errors import DataFault, Exit, Fault, PlanFault, SetupFault
from mpirobust.numerics import blas
from mpirobust.observers.base import RunContext, Status, Watch
from mpirobust.plan import Plan, load_plan
from mpirobust.records import checkpoint, run_folder
from mpirobust.records.fields import expect_storable
from mpirobust.records.layout import TRACE, open_record, round_of
from mpirobust.records.provenance import provenance
from mpirobust.records.tables import open_trace
from mpirobust.records.trace import Trace
from mpirobust.running import resuming, rounds, starting
from mpirobust.running.ranks import RankFacts, expect_same_arguments, expect_same_kernels
from mpirobust.running.setup import RankSetup, RunRequest, RunSetup, build_workers
from mpirobust.terminal import detail, note, say, tell

_EXIT = {Status.DIVERGED: Exit.DIVERGED, Status.INTERRUPTED: Exit.INTERRUPTED, Status.LOST: Exit.LOST}


@dataclass(frozen=True)
class Start:
    """The beginning of the rounds.

    Attributes:
        lock: the lock on the folder, held while this file is open.
        found: the checkpoint to continue from; None to begin at round 0.
        trace: the rows up to this round.
    """

    lock: IO[str]
    found: checkpoint.Snapshot | None
    trace: Trace


def prepare(request: RunRequest, size: int, check: Callable[[], None] = lambda: None, hosts: int = 0) -> RunSetup:
    """Check everything that can be checked before the ranks start to work; return the set-up for all ranks.

    Args:
        check: called now and then; raises a `Fault` to end the work.
        hosts: how many there are; 0 if nobody has counted them.

    Raises:
        SetupFault: the plan, its data, the folder, or the number of ranks do not fit.
    """
    former = None if request.plan else _former_in(request.out)
    plan, notes, plan_file = _requested(request, former)
    if size > 1 and hosts:
        data = plan.table()["data"]
        where = f"{size} ranks on {hosts} host{'s' if hosts > 1 else ''}"
        tell(f"{where} for {plan.workers} workers; data: {data.get('path', data['kind'])}")
    schema = _schema(plan)
    assign_workers(plan.workers, size)
    folder = run_folder.choose_folder(request.out, Path(plan_file).stem or "plan", request.resume, request.overwrite)
    if run_folder.holds_run(folder):
        run_folder.lock(folder).close()  # without the lock, a file that another run is writing could look damaged
    resumes = request.resume and run_folder.holds_run(folder)
    if resumes:
        former = former or run_folder.former_run(folder)
        run_folder.check_continues(folder, former, plan.record())
    start, start_digest = _start(plan, plan_file, former if resumes else None, folder, stored=request.plan is None)
    stores = _stores(plan, plan_file, request, check)
    detail(f"output in {folder}; data in {', '.join(map(str, stores)) or 'no file'}")
    found = None
    if former and resumes:
        with open_trace(folder / TRACE, plan.workers, verify=False) as trace:  # `former_run` has verified it
            written, dim = trace["rounds/round"].size, trace["model/x"].size
        schema = replace(schema, rounds=max(plan.algorithm.rounds, written))
        found, damaged = checkpoint.newest(folder, schema, dim)
        for why in damaged:
            say(f"note: passed over {why}")
        notes.append(resuming.note_on(folder, former, plan.record(), at_checkpoint=found is not None))
        if found and not notes[-1] and not request.label:
            tell(f"goes on after round {round_of(found)} of {plan.algorithm.rounds}")
    elif request.resume and not request.label:  # a study asks always
        notes.append(f"{folder} holds no run to resume: a new one begins")
    for each in filter(None, notes):
        note(each)
    return RunSetup(
        plan=plan.table(),
        stores=[str(path.absolute()) for path in stores],
        folder=str(folder),
        resumes=resumes,
        checkpoint=str(found.absolute()) if found else "",
        plan_file=plan_file,
        sources=dict(plan.record().sources),
        quiet=request.quiet,
        ends=request.ends,
        limit=request.limit,
        threads=request.threads,
        start=start,
        start_digest=start_digest,
        label=request.label,
    )


def _former_in(folder: Path | None) -> run_folder.Former:
    """Return the run in a folder that is to be resumed by its own plan."""
    if folder is None or not run_folder.holds_run(folder):
        raise SetupFault(f"{folder} holds no run to resume")
    run_folder.lock(folder).close()
    return run_folder.former_run(folder)


def _requested(request: RunRequest, former: run_folder.Former | None) -> tuple[Plan, list[str], str]:
    """Return the plan, notes on its overrides, and its file, absolute, or '' if that is not known."""
    if former is not None and request.out is not None:
        plan, notes = resuming.stored_plan(former, request.overrides, request.allowed, request.out)
        return plan, notes, former.plan_file
    assert request.plan is not None
    if isinstance(request.plan, Plan):
        return request.plan, [], str(request.plan.file or "")
    if run_folder.holds_run(request.plan) or (request.plan.name == TRACE and request.plan.exists()):
        raise SetupFault(f"{request.plan} is a run and no plan; mpirobust resume {request.plan} continues it")
    plan, notes = load_plan(request.plan, request.overrides)
    return plan, notes, str(request.plan.absolute())


def _start(plan: Plan, plan_file: str, former: run_folder.Former | None, folder: Path, stored: bool) -> tuple[str, str]:
    """Return the file and the digest of the starting point, as `RunSetup` has them.

    A run that continues has its own copy; the file that it came from may be gone.

    Args:
        former: the run that continues, in `folder`.
        stored: whether its plan is the one in its trace, so that nobody asks for another start.

    Raises:
        PlanFault: there is no such file, or it is no longer what the run began with.
    """
    if plan.start is None:
        return "", ""
    if former is None:
        file = starting.file_of(plan.start, plan_file)
        return str(file), starting.digest_of(file)
    try:
        now = former.start_digest if stored else starting.digest_of(starting.file_of(plan.start, plan_file))
    except PlanFault:  # gone, or another kind of file: this run needs it no more
        now = former.start_digest
    if now != former.start_digest:
        changed = f"{plan.start} has changed since the run in {folder} began"
        raise PlanFault("start", f"{changed}; choose another --out, or continue with mpirobust resume {folder}")
    return "", former.start_digest


def _stores(plan: Plan, plan_file: str, request: RunRequest, check: Callable[[], None]) -> list[Path]:
    """Return the files of the data; raise `DataFault`."""
    try:
        return plan.data.prepare(Places.for_plan(Path(plan_file), check))
    except DataFault as fault:
        if request.plan is not None:
            raise
        where = f"the plan was {plan_file}" if plan_file else "run.h5 does not say where the plan was"
        raise DataFault(f"{fault}; {where}: mpirobust run PLAN --out {request.out} --resume takes another") from fault


def begin(setup: RunSetup, rank_setup: RankSetup, versions: dict[str, str], ranks: Sequence[RankFacts]) -> Start:
    """Lock the folder and load the checkpoint. The older run is deleted here, after everything else is validated.

    Args:
        versions: of the MPI library and its binding, for the trace.
        ranks: all of them, in rank order.

    Raises:
        Fault: the folder or what it holds cannot be used.
    """
    expect_same_arguments(ranks)
    if rank_setup.plan.redundancy > 1:
        expect_same_kernels(ranks)
    if rank_setup.plan.audit.replay is not None:
        expect_same_kernels(ranks, replay=True)
    plan, folder = rank_setup.plan, Path(setup.folder)
    hosts, kernels = [rank.host for rank in ranks], [rank.blas for rank in ranks]
    lock = run_folder.lock(folder)
    own = {"plan": plan.toml(), "data_digest": rank_setup.facts.digest, "blas": blas.merged(kernels)}
    own["threads"] = " ".join(str(rank.threads) for rank in ranks)
    facts = own | provenance(versions, hosts, setup.plan_file, plan.records)
    if not facts["blas"]:
        note("no BLAS is recognised, so its threads are not limited: set OMP_NUM_THREADS=1, or the bits may vary")
    if blas.mixed(facts["blas"]):
        note(f"the ranks use different kernels of BLAS, so the bits depend on who hosts whom: {by_rank(kernels)}")
    if sources := plan.record().sources:
        facts["sources"] = "\n".join(f"{table} {digest}" for table, digest in sources.items())
    if setup.start_digest:
        facts["start_digest"] = setup.start_digest
    own_start = rank_setup.x0 if setup.start_digest else None
    detail(f"all ranks have their workers; threads {own['threads']}; {own['blas']}")
    trace = Trace(plan.workers, plan.byzantine(), facts, rank_setup.group.config.wire.layout, own_start)
    if not setup.checkpoint:
        run_folder.prune(folder, after=0 if setup.resumes else -1)
        return Start(lock, None, trace)
    with open_record(folder / TRACE, "run", verify=False) as file:  # `prepare` has verified both files
        if file.attrs["data_digest"] != rank_setup.facts.digest:
            raise SetupFault(f"the data have changed since the run in {folder} began; choose another --out")
        before = str(file.attrs.get("blas", ""))
    if blas.differ(before, facts["blas"]):
        changed = f"BLAS used {before}, and now uses {facts['blas']}"
        note(f"{changed}: the bits may be others than those of a run without this break")
    found = checkpoint.load(Path(setup.checkpoint), _schema(plan), rank_setup.x0.size, verify=False)
    if found.lost:
        before = f"was lost with a rank before round {found.round + 1}"
        fate = f"{before} and begins at zero there: the bits are not those of an undisturbed run"
        if plan.redundancy > 1:
            fate = f"{before}, or a group had no majority then: absent from now on"
        say(f"note: {named('worker', found.lost)}: what feedback had kept {fate}")
    trace.restore(folder / TRACE, found.tail, found.round, verify=False)
    run_folder.prune(folder, after=found.round)  # the damaged ones, which `prepare` passed over
    return Start(lock, found, trace)


def run_rounds(
    setup: RunSetup,
    rank_setup: RankSetup,
    cluster: Cluster,
    interrupted: Callable[[], bool],
    start: Start,
    first: Watch,
) -> int:
    """Run from the first query to the dismissal of the workers; return the exit code.

    Args:
        interrupted: return whether the system has asked the run to end.
        first: sees each round before the observers of the plan.
    """
    plan, found = rank_setup.plan, start.found
    try:
        if found is None:
            found = checkpoint.Snapshot(0, plan.algorithm.start(rank_setup.x0, cluster), {})
        else:
            _restore_center(Path(setup.checkpoint), found, rank_setup, cluster)
        watches = [first, *_watches(setup, rank_setup, start.trace, interrupted)]
        oracle = _oracle(setup, plan)
        state, t, rule = found.state, found.round, found.rule
        with _replaying(setup, rank_setup, cluster):
            status = rounds.loop(plan.algorithm, plan.aggregator, cluster, watches, state, t, plan.seed, rule, oracle)
    except Fault as fault:
        cluster.dismiss(fault.code)
        raise
    code = _EXIT.get(status, Exit.OK)
    cluster.dismiss(code)
    return code


def _restore_center(path: Path, found: checkpoint.Snapshot, rank_setup: RankSetup, cluster: Cluster) -> None:
    """Restore the center's half of the feedback and an omniscient attacker's memory from the checkpoint."""
    plan, dim = rank_setup.plan, rank_setup.x0.size
    cluster.restore_attack(found.attack)
    cluster.restore_forgotten(found.lost)
    for memory in plan.feedback.memories():
        if memory.at_center:
            cluster.restore(memory.name, checkpoint.load_memory(path, [memory.name], range(len(plan.groups)), dim))


def _watches(setup: RunSetup, rank_setup: RankSetup, trace: Trace, interrupted: Callable[[], bool]) -> list[Watch]:
    """Start the observers of the plan, in their order."""
    plan, saved = rank_setup.plan, rank_setup.group.config.saved
    context = RunContext(
        trace=trace,
        folder=Path(setup.folder),
        plan_id=_schema(plan).plan_id,
        rounds=plan.algorithm.rounds,
        solutions=rank_setup.solutions,
        stop=plan.stop,
        memories=saved,
        memories_nbytes=len(saved) * 8 * plan.workers * rank_setup.x0.size,
        ends=setup.ends,
        limit=setup.limit,
        quiet=setup.quiet,
        label=setup.label,
        interrupted=interrupted,
    )
    started = (observer.start(context) for observer in plan.all_observers())
    return [watch for watch in started if watch is not None]


def _oracle(setup: RunSetup, plan: Plan) -> Oracle | None:
    if not plan.center_rows:
        return None
    with closing(plan.data.open([Path(store) for store in setup.stores], plan.seed)) as dataset:
        return Oracle(plan.problem, dataset.train(plan.rows_of_center(dataset.facts.rows)), plan.algorithm)


@contextmanager
def _replaying(setup: RunSetup, rank_setup: RankSetup, cluster: Cluster) -> Iterator[None]:
    """Let the cluster check messages by replay, if the plan asks for it: the data stay open meanwhile."""
    plan = rank_setup.plan
    if plan.audit.replay is None:
        yield
        return
    with closing(plan.data.open([Path(store) for store in setup.stores], plan.seed)) as dataset:
        dealt = plan.deal(dataset)

        def build(indices: Sequence[int], config: WorkerConfig) -> Iterator[Worker]:
            return build_workers(indices, config, dataset, dealt)

        cluster.check_by(Replay(plan.audit.replay, rank_setup.group.config, build))
        yield


def _schema(plan: Plan) -> checkpoint.Schema:
    """Return what the checkpoints of the plan hold; raise `PlanFault` if a kind keeps what cannot be stored."""
    attack = plan.attack.memory() if isinstance(plan.attack, MessageAttack) else None
    for table, kept in [
        ("algorithm", plan.algorithm.state),
        ("aggregator", plan.aggregator.memory()),
        ("attack", attack),
    ]:
        if kept is not None:
            try:
                expect_storable(kept)
            except (NameError, TypeError, ValueError) as error:
                raise PlanFault(f"{table}.kind", f"what it keeps between rounds cannot be stored: {error}") from error
    plan_id = hashlib.sha256(plan.record().identity().encode()).hexdigest()
    return checkpoint.Schema(
        state=plan.algorithm.state,
        plan_id=plan_id,
        rule=plan.aggregator.memory(),
        attack=attack,
        workers=plan.workers,
        redundancy=plan.redundancy,
        memories=[memory.name for memory in plan.feedback.memories()],
        byzantine=frozenset({*plan.byzantine().tolist(), *plan.groups.members(plan.lost()).tolist()}),
        holds=plan.downlink is not None,
    )
