"""Contracts of the communicator and the cluster, written once and run on any number of ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mpirobust.aggregators.base import Context, bound
from mpirobust.aggregators.mean import Mean
from mpirobust.algorithms.base import Query
from mpirobust.algorithms.first_order import FirstOrder
from mpirobust.answers import Inbox
from mpirobust.attacks.garbage import Garbage
from mpirobust.cluster.base import Cluster
from mpirobust.cluster.connect import connect
from mpirobust.cluster.local import LocalCluster
from mpirobust.cluster.placement import assign_workers
from mpirobust.cluster.wire import Wire
from mpirobust.cluster.worker import Worker, WorkerConfig
from mpirobust.cluster.worker_group import WorkerGroup
from mpirobust.cluster.worker_loop import serve
from mpirobust.comm.launch import communicator_of
from mpirobust.compressors.topk import TopK
from mpirobust.errors import PlanFault, ReportedFault, SetupFault
from mpirobust.feedback.residual import Residual
from mpirobust.problems.robust_regression import RobustRegression
from mpirobust.shard import Shard
from mpirobust.streams import Purpose, stream
from mpirobust.types import Norm, flat

if TYPE_CHECKING:
    from mpirobust.comm.mpi import MpiCommunicator

_WORKERS, _DIM = 7, 19


class _Narrow:
    """An MPI communicator whose calls carry few bytes of points, sums and messages; tables of audits are small."""

    def __init__(self, comm: Any, most: int) -> None:
        self._comm, self._most = comm, most

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._comm, name)
        if name not in ("Bcast", "Gatherv", "Allgatherv", "Reduce", "Send", "Recv"):
            return call

        def checked(*given: Any, **where: Any) -> None:
            buffers = [part for each in given for part in (each if isinstance(each, list) else [each])]
            for buffer in buffers:
                if isinstance(buffer, np.ndarray) and (not name.endswith("atherv") or buffer.dtype == np.uint8):
                    assert buffer.nbytes <= self._most, (name, buffer.shape)
            call(*given, **where)

        return checked


@pytest.fixture(params=[None, 24])
def comm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> MpiCommunicator:
    """The communicator as it is, and with a small limit in place of 2^30 bytes a call."""
    from mpirobust.comm.mpi import MpiCommunicator

    comm = MpiCommunicator()
    if request.param is not None:
        monkeypatch.setattr(comm, "largest", request.param)
        monkeypatch.setattr(comm._recovery, "comm", _Narrow(comm._recovery.comm, request.param))
    return comm


def group_of(workers: Sequence[int]) -> WorkerGroup:
    algorithm = FirstOrder(rounds=3, step=0.1)
    config = WorkerConfig(
        wire=Wire(5, flat(_DIM), TopK(k=4), Norm(), Residual()),
        loss=RobustRegression(),
        algorithm=algorithm,
        lengths_vary=True,
        attack=Garbage(alpha=0.2),
        byzantine=np.array([3]),
        weights=np.arange(1.0, 1 + _WORKERS),
        on_failure="drop",
        max_faulty=2,
    )
    return WorkerGroup(config, made_of(workers, config), lambda numbers: made_of(numbers, config))


def made_of(workers: Sequence[int], config: WorkerConfig) -> list[Worker]:
    made = []
    for index in workers:
        rng = stream(5, index, 0, Purpose.ROWS)
        shard, test = (
            Shard.of(rng.standard_normal((rows, _DIM)), rng.integers(2, size=rows).astype(np.float64), 2, 6 * _WORKERS)
            for rows in (6, 2 * index)
        )
        made.append(Worker(index, config, shard, test if index else None))
    return made


@pytest.mark.mpi
def test_bytes_reach_every_rank_and_come_back_by_rank(comm: MpiCommunicator) -> None:
    assert comm.broadcast_bytes(b"from the center" if comm.rank == 0 else b"not this") == b"from the center"
    assert comm.broadcast_bytes(b"") == b""
    gathered = comm.gather_bytes(b"x" * comm.rank)
    if comm.rank == 0:
        assert gathered == [b"x" * rank for rank in range(comm.size)]


@pytest.mark.mpi
@pytest.mark.parametrize("longest", [3, 50])
def test_every_rank_gets_the_items_of_all(comm: MpiCommunicator, longest: int) -> None:
    counts = np.array([(rank + 1) % longest for rank in range(comm.size)])
    mine, into = np.full(counts[comm.rank], comm.rank, np.uint8), np.zeros(counts.sum(), np.uint8)
    comm.gather_to_all(mine, into, counts)
    np.testing.assert_array_equal(into, np.repeat(np.arange(comm.size), counts))


@pytest.mark.mpi
def test_the_communicator_of_a_program_is_left_as_it_is() -> None:
    """Ours is another one on the same ranks, in their order, and leaves other ranks and messages alone."""
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    theirs = world.Split(world.rank % 2, key=-world.rank)
    theirs.Set_errhandler(MPI.ERRORS_ARE_FATAL)
    ours = communicator_of(theirs)
    assert (ours.rank, ours.size, ours.number) == (theirs.rank, theirs.size, theirs.rank)
    pending = theirs.Irecv(np.zeros(1), source=MPI.ANY_SOURCE, tag=MPI.ANY_TAG)
    into = np.zeros(ours.size, np.int64)
    ours.gather_to_all(np.array([world.rank]), into, np.ones(ours.size, np.int64))
    np.testing.assert_array_equal(into, np.arange(world.size)[world.rank % 2 :: 2][::-1])
    if not ours.is_root:
        ours.send(np.ones(1))
    theirs.Barrier()
    assert not pending.Test()
    for rank in range(1, ours.size) if ours.is_root else ():
        ours.receive(np.zeros(1), rank)
    pending.Cancel()
    pending.Wait()
    assert theirs.Get_errhandler() == MPI.ERRORS_ARE_FATAL


@pytest.mark.mpi
def test_what_is_no_intracommunicator_is_refused() -> None:
    from mpi4py import MPI

    for other in (None, MPI.COMM_NULL, MPI.GROUP_EMPTY, 3):
        with pytest.raises(PlanFault, match="expected an intracommunicator of mpi4py"):
            communicator_of(other)


@pytest.mark.mpi
def test_the_lowest_rank_that_fails_speaks_for_all(comm: MpiCommunicator) -> None:
    assert comm.all_or_fail(lambda: comm.rank) == comm.rank
    failing = {comm.size - 1, comm.size // 2}

    def work() -> None:
        if comm.rank in failing:
            raise SetupFault(f"rank {comm.rank} cannot")

    if comm.rank == min(failing):
        with pytest.raises(SetupFault, match=f"rank {comm.rank} cannot"):
            comm.all_or_fail(work)
    else:
        with pytest.raises(ReportedFault) as caught:
            comm.all_or_fail(work)
        assert caught.value.code == SetupFault.code


@pytest.mark.mpi
def test_the_cluster_does_what_a_local_one_does(comm: MpiCommunicator) -> None:
    placement = assign_workers(_WORKERS, comm.size)
    cluster = connect(comm, group_of(placement[comm.rank]), placement)
    if cluster is None:
        # A group of its own: the one that `connect` saw has kept no state, so they are alike.
        assert serve(comm, group_of(placement[comm.rank]), placement) == 3
        return
    local: Cluster = LocalCluster(group_of(range(_WORKERS)))
    x = np.linspace(-1, 1, _DIM)
    for round in range(3):
        query = Query((x,), scale=0.1)
        judge = bound(Mean(), None, Context(round, query))
        one, other = (each.ask(round, query, judge) for each in (cluster, local))
        assert isinstance(one.answers, Inbox)
        assert isinstance(other.answers, Inbox)
        assert list(map(bytes, one.answers.messages)) == list(map(bytes, other.answers.messages))
        assert (one.bytes_up, one.bytes_down) == (other.bytes_up, other.bytes_down)
        np.testing.assert_array_equal(one.answers.norms, other.answers.norms)
        x = x - one.answers.average(one.answers.sound)
    assert cluster.audit(x) == local.audit(x)
    for by_row in (False, True):
        of_rows = astuple(cluster.row_metrics(x, by_row))
        np.testing.assert_array_equal(of_rows, astuple(local.row_metrics(x, by_row)))
        assert np.isfinite(of_rows).sum() == (3 if by_row else 1)
    assert cluster.smoothness(x) == local.smoothness(x)
    assert cluster.lambda_min(x) == local.lambda_min(x)
    for one_residual, other_residual in zip(*(each.memory("residual", 3) for each in (cluster, local)), strict=True):
        np.testing.assert_array_equal(one_residual, other_residual)
    given_up = cluster.memory("residual", 3)
    next(given_up)
    given_up.close()  # a writer that fails half-way must not leave the workers sending
    cluster.dismiss(3)
