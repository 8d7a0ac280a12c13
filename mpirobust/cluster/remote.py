"""The center's end of a cluster whose workers are on other ranks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, suppress
from itertools import chain, pairwise
from time import perf_counter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators.base import Judge
from mpirobust.algorithms.base import Query
from mpirobust.cluster.base import Audit, Cluster, Depleted, Exchange
from mpirobust.cluster.placement import Placement, displaced, reassign
from mpirobust.cluster.protocol import SECONDS, Channel, most_up
from mpirobust.cluster.receiver import RoundReceiver
from mpirobust.cluster.replay import Replay
from mpirobust.cluster.row_metrics import SUMS, TOLD, RowMetrics, measure
from mpirobust.cluster.worker import WorkerConfig
from mpirobust.cluster.worker_group import SCORES, summarise
from mpirobust.comm.communicator import Communicator, CommunicatorRevoked, named
from mpirobust.errors import Exit, Fault, RankFault, ReportedFault
from mpirobust.numerics.eigenvalues import power_iteration, smallest_eigenvalue
from mpirobust.numerics.exact_sum import ExactSum
from mpirobust.round_times import RoundTimes
from mpirobust.terminal import say
from mpirobust.types import Held, Message, Vector

T = TypeVar("T")

_MISSING = -1  # in place of a length, seconds or a number of test rows that has not been received


class RemoteCluster(Cluster):
    """Workers on other ranks.

    Args:
        placement: the workers of each rank.
    """

    def __init__(self, comm: Communicator, config: WorkerConfig, placement: Placement) -> None:
        self._comm = comm
        self._config = config
        self._m = sum(map(len, placement))
        self._round = 0
        self._receiver = RoundReceiver(config, self._m)
        self._prepare(placement)

    @property
    def depleted(self) -> bool:
        return self._receiver.unreliable > self._config.max_faulty

    @property
    def attack_memory(self) -> Any:
        return self._receiver.attack_memory

    @property
    def held(self) -> Held:
        return self._receiver.downlink.held

    def coded(self, round: int, query: Query) -> Query:
        return self._receiver.downlink.coded(round, query)

    def ask(self, round: int, query: Query, judge: Judge) -> Exchange:
        self._round = round
        return self._repeated(lambda: self._ask_once(round, query, judge))

    def _ask_once(self, round: int, query: Query, judge: Judge) -> Exchange:
        if self.depleted:
            raise Depleted
        began = perf_counter()
        self._channel.ask(round, self._receiver.crossing(query))
        sent = perf_counter()
        replayed = self._receiver.replay_ahead(round, query)  # the workers are at work meanwhile
        messages, compute, encode = self._collect()
        waited = perf_counter() - sent
        beyond = max(0.0, replayed - compute - encode)
        gather = max(0.0, waited - compute - encode - beyond)
        times = RoundTimes(broadcast=sent - began, compute=compute, encode=encode, gather=gather, audit=beyond)
        return self._receiver.exchange(round, query, judge, messages, times)

    def _collect(self) -> tuple[list[Message], float, float]:
        """Return one message per worker in worker order, as views, and the seconds of the slowest rank."""
        if self._config.lengths_vary:
            self._lengths[:] = _MISSING
            self._comm.gather(np.empty(0, np.int64), self._lengths, self._hosted)
            self._lay_out()
        self._received[self._ends] = 0xFF  # the last byte of the seconds of each rank, which are not negative
        most = most_up(self._config.round_limit, self._comm.size)
        self._comm.gather(np.empty(0, np.uint8), self._received, self._counts, most)
        compute, encode = max(self._seconds, key=lambda each: each[0] + each[1])
        return list(self._messages), float(compute), float(encode)

    def _prepare(self, placement: Placement) -> None:
        """Allocate the buffers for the present ranks."""
        self._placement = placement
        self._channel = Channel(self._comm, self._config.wire.dim, self._config.downlink)
        self._hosted = np.array([len(workers) for workers in placement])
        self._order = [worker for workers in placement for worker in workers]  # in which messages are received
        self._lengths = np.full(len(self._order), self._config.wire.message_limit(), np.int64)
        self._scores = np.zeros((len(self._order), SCORES))
        self._sums = np.zeros((len(self._order), SUMS))
        self._received = np.empty(0, np.uint8)
        self._messages: list[Message] = [b""] * self._m
        self._seconds: list[NDArray[np.float64]] = []
        self._lay_out()

    def _lay_out(self) -> None:
        """Cut the receive buffer into views: the messages and the seconds of each rank."""
        seams = np.concatenate(([0], np.cumsum(self._hosted)))
        sums = np.concatenate(([0], np.cumsum(self._lengths)))
        self._counts = sums[seams[1:]] - sums[seams[:-1]]
        self._counts[1:] += SECONDS.itemsize
        if self._received.size < self._counts.sum():
            self._received = np.zeros(int(self._counts.sum()), np.uint8)
        self._ends = np.cumsum(self._counts)[1:] - 1
        self._seconds.clear()
        view, at = self._received.data, 0
        for first, last in pairwise(seams[1:]):
            for worker, length in zip(self._order[first:last], self._lengths[first:last].tolist(), strict=True):
                self._messages[worker] = view[at : at + length]
                at += length
            self._seconds.append(np.frombuffer(view[at : at + SECONDS.itemsize], "<f8"))
            at += SECONDS.itemsize

    def silent(self) -> Sequence[int]:
        first = np.concatenate(([0], np.cumsum(self._hosted)))[1:-1]  # in the order of receipt, of each rank
        hosts = self._hosted[1:] > 0
        at = first[hosts]
        silent = self._received[self._ends] == 0xFF
        silent[hosts] |= (self._lengths[at] == _MISSING) | (self._scores[at, -1] == _MISSING)
        silent[hosts] |= self._sums[at, -1] == _MISSING
        return [self._comm.numbers[rank] for rank in (1 + np.flatnonzero(silent)).tolist()]

    def check_by(self, replay: Replay) -> None:
        self._receiver.replay = replay

    def audit(self, x: Vector) -> Audit:
        return self._repeated(lambda: self._audit(x))

    def _audit(self, x: Vector) -> Audit:
        self._channel.audit(x)
        scores = np.zeros((self._m, SCORES))
        self._scores[:] = _MISSING
        self._comm.gather(np.empty(0), self._scores, self._hosted * SCORES)
        scores[self._order] = self._scores
        ahead = max(scores[list(workers), -1].sum() for workers in self._placement)
        return summarise(scores, self._summed(x.size), self._weight(), float(ahead))

    def row_metrics(self, x: Vector, by_row: bool) -> RowMetrics:
        return self._repeated(lambda: self._test(x, by_row))

    def _test(self, x: Vector, by_row: bool) -> RowMetrics:
        self._channel.test(x, by_row)
        sums = np.zeros((self._m, SUMS))
        self._sums[:] = _MISSING
        self._comm.gather(np.empty(0), self._sums, self._hosted * SUMS)
        sums[self._order] = self._sums
        rows = np.concatenate(([0], np.cumsum(self._sums[:, -1].astype(np.int64))))  # before each worker, and all
        told = np.empty((rows[-1], TOLD))
        if by_row:
            seams = np.concatenate(([0], np.cumsum(self._hosted)))
            self._comm.gather(np.empty(0), told, TOLD * np.diff(rows[seams]))
        return measure(sums, told)

    def smoothness(self, x: Vector) -> float:
        found = self._of_one_hessian(lambda: power_iteration(self._hessian(x), x.size, self._config.wire.seed))
        if self.depleted:  # a step size derived from it would stay in the state, even with all workers again
            raise RankFault("too many workers were lost before the first round; another start has all of them again")
        return found

    def lambda_min(self, x: Vector) -> float:
        return self._of_one_hessian(lambda: smallest_eigenvalue(self._hessian(x), x.size, self._config.wire.seed))

    def _of_one_hessian(self, work: Callable[[], float]) -> float:
        """Return the result of `work`; repeat it until all its products are over the same workers."""
        while True:
            channel, result = self._channel, work()
            if channel is self._channel:
                return result

    def _hessian(self, x: Vector) -> Callable[[Vector], Vector]:
        """Return the product with the mean Hessian of the workers at `x`."""

        def product(v: Vector) -> Vector:
            self._channel.curvature(x, v)
            return self._summed(x.size).total() / self._weight()

        return lambda v: self._repeated(lambda: product(v))

    def _summed(self, dim: int) -> ExactSum:
        total = ExactSum(dim)
        self._comm.sum_to_root(total.parts)
        return total

    def _weight(self) -> float:
        hosted = {self._config.groups.of(worker) for worker in self._order}
        return float(self._config.weights[sorted(hosted)].sum())

    def memory(self, name: str, round: int, at_worker: bool = False) -> Generator[Vector, None, None]:
        self._expect_memory()
        if name in self._receiver.memory and not at_worker:
            kept = self._receiver.memory[name]
            yield from (kept[group] for group in self._config.groups.of_all)
            return
        done = 0
        while done < self._m:  # once, and again from the first missing worker after a rank failure
            try:
                with closing(self._memory_from(done, name, round)) as rows:
                    for row in rows:
                        yield row
                        done += 1
            except CommunicatorRevoked:
                self._recover()
                self._expect_memory()

    def _expect_memory(self) -> None:
        """Raise `Depleted` if the run ends for want of workers whose memory is lost: it is still in a checkpoint."""
        if self.depleted and self._receiver.forgotten.any():
            raise Depleted

    def _memory_from(self, first: int, name: str, round: int) -> Generator[Vector, None, None]:
        """Yield a memory that the workers keep, beginning with the worker `first`."""
        names = [memory.name for memory in self._config.wire.feedback.memories()]
        self._channel.memory(round, names.index(name), first)
        rank_of = {worker: rank for rank, workers in enumerate(self._placement) for worker in workers}
        row = np.empty(self._config.wire.dim)
        due = list(range(first, self._m))
        try:
            while due:
                worker = due.pop(0)
                if worker in rank_of:
                    self._comm.receive(row, rank_of[worker])
                else:
                    kept = self._receiver.memory.get(name)
                    row[:] = 0.0 if kept is None else kept[self._config.groups.of(worker)]
                yield row
        except GeneratorExit:  # the reader stopped: receive what the workers still send
            try:
                for worker in due:
                    if worker in rank_of:
                        self._comm.receive(row, rank_of[worker])
            except CommunicatorRevoked:
                with suppress(Fault):  # the reader has its own fault to report
                    self._recover()
            raise

    def restore(self, name: str, rows: Iterable[Vector]) -> None:
        self._receiver.restore(name, rows)

    def forgets(self, worker: int) -> bool:
        return bool(self._receiver.forgotten[worker])

    def restore_forgotten(self, workers: Sequence[int]) -> None:
        self._receiver.forget(workers)

    def restore_attack(self, memory: Any) -> None:
        self._receiver.attack_memory = memory

    def dismiss(self, code: int) -> None:
        while True:
            try:
                self._channel.dismiss(code)
                return self._comm.confirm()
            except CommunicatorRevoked:
                self._comm.recover()
                self._channel = Channel(self._comm, self._config.wire.dim, self._config.downlink)

    def _repeated(self, call: Callable[[], T]) -> T:
        """Return the result of `call`, which is repeated after every rank failure."""
        while True:
            try:
                return call()
            except CommunicatorRevoked:
                self._recover()

    def _recover(self) -> None:
        """Continue with the surviving ranks and workers.

        Raises:
            Fault: the plan says `on_failure = "stop"`, or the root is the rank that failed.
        """
        policy, before = self._config.on_failure, self._placement
        survivors = self._comm.recover()
        self._prepare(reassign(before, survivors, policy == "adopt"))  # also for the dismissal
        happened = []
        if survivors.failed_ranks:
            happened.append(f"{named('rank', survivors.failed_ranks)} died in round {self._round + 1}")
        if survivors.failed_worker is not None:
            happened.append(f"{named('worker', [survivors.failed_worker])} failed in round {self._round + 1}")
        if policy == "stop":
            why = f'{"; ".join(happened)} (on_failure = "stop")'
            if survivors.failed_worker is not None:  # it would fail again in the next start
                say(f"mpirobust: {why}")
                raise ReportedFault(Exit.WORKER)
            raise RankFault(f"{why}; another start goes on from the newest checkpoint")
        here = set(self._order)
        absent = sorted(set(chain(*before)) - here)
        moved = [worker for worker in displaced(before, survivors) if worker in here]
        self._receiver.lose(absent, moved)
        if moved:
            without = ", without what feedback had kept there" if self._config.wire.feedback.memories() else ""
            if without and self._config.redundancy > 1:
                without += ", and so absent from now on"
            happened.append(f"{named('worker', moved)}: moved to other ranks{without}")
        if absent:
            happened.append(f"{named('worker', absent)}: absent from now on")
        say(f"mpirobust: {'; '.join(happened)}")
