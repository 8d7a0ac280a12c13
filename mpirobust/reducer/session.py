"""The rounds of a reducer on arrays of one form, and its recovery from rank failures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators.base import Context, Verdict, max_faulty
from mpirobust.cluster.downlink import Downlink
from mpirobust.cluster.protocol import expect_carried
from mpirobust.cluster.wire import Wire
from mpirobust.comm.communicator import Communicator, CommunicatorRevoked, named
from mpirobust.errors import PlanFault, RankFault
from mpirobust.feedback.base import CenterMemory, Outgoing, WorkerMemory
from mpirobust.reducer.exchange import Center, Crossed, Exchange, Refused, Symmetric
from mpirobust.reducer.memory import Memory, State, counted
from mpirobust.reducer.settings import Settings
from mpirobust.reducer.trees import Form
from mpirobust.streams import Purpose, Streams
from mpirobust.terminal import say
from mpirobust.types import Message, Norm, Vector

_EXCHANGES: dict[str, type[Exchange]] = {"center": Center, "symmetric": Symmetric}


class Session:
    """One rank's part in the rounds. A round changes the memory of all survivors, or of none.

    Args:
        comm: the worker of a rank is `comm.number`.
        form: of the arrays of every call.
        workers: m; a worker without a rank is absent.
        state: to go on from; None to begin.

    Attributes:
        memory: after the last round.
        kept: the workers in the last aggregate, shape (m,); None before the first, and on a rank that does not judge.

    Raises:
        Fault: settings, form and state do not fit.
    """

    def __init__(self, comm: Communicator, settings: Settings, form: Form, workers: int, state: State | None) -> None:
        self._comm, self._settings, self.form, self._m = comm, settings, form, workers
        settings.admit(form.layout)
        self._wire = Wire(settings.seed, form.layout, settings.compressor, Norm(), settings.feedback)
        downlink = Downlink(settings.seed, form.layout, settings.downlink, np.zeros(form.layout.dim))
        expect_carried(downlink, 1)
        judges = comm.is_root or _EXCHANGES[settings.mode].everywhere
        self.memory = Memory.fresh(self._wire, workers, judges, downlink)
        if state is not None:
            self.memory = self.memory.restored(state, settings.aggregator, workers)
        self.kept: NDArray[np.bool_] | None = None
        self._shared, self._draws = (Streams(settings.seed, comm.number, of) for of in (Purpose.SHARED, Purpose.ENCODE))
        self._exchange: Exchange | None = None  # of the present ranks; None if they are others than in the last round

    def reduce(self, answer: Callable[[], Vector], step: float) -> Vector:
        """Do one round and return the aggregate, shape (d,), which is valid until the next.

        Args:
            answer: makes this rank's vector, shape (d,); if it raises, so do all ranks, and the round has no effect.
            step: as in `RobustReducer.reduce`.

        Raises:
            RankFault: see there.
            Exception: that of `answer`, of the compressor, or of the rule on a rank that judges.
        """
        error: Exception | None = None
        message, worker = None, self.memory.worker
        try:
            message, worker = self._encoded(answer(), step)
        except Exception as caught:  # the others must not wait for this rank
            error = caught
        try:
            crossed, center = self._exchanged(message, step)
        except Refused as refused:
            who = f"rank {refused.number} failed in round {self.memory.round + 1} of the reducer"
            raise error or RankFault(f"{who}, which has no effect; its own message says why") from refused
        before, verdict = self.memory, crossed.verdict
        self.memory = Memory(
            round=before.round + 1,
            worker=worker,
            center=center,
            rule=None if verdict is None else verdict.memory,
            downlink=before.downlink.after(crossed.query),
            traffic=counted(before.traffic, crossed.sent, crossed.received, self.form.nbytes, self._comm.size),
        )
        self.kept = None if verdict is None else verdict.kept
        return crossed.query.vectors[0]

    def _encoded(self, answer: Vector, step: float) -> tuple[bytes, WorkerMemory]:
        """Return the message of this rank, and the memory of its worker after it."""
        if not (isinstance(step, int | float | np.floating | np.integer) and 0 < step < np.inf):
            raise PlanFault("step", f"expected a positive number, not {step!r}")
        wire, round = self._wire, self.memory.round
        outgoing = Outgoing(
            answer=answer,
            point=np.broadcast_to(0.0, answer.shape),
            scale=step,
            code=wire.code(round, self._shared.of(round)),
            rng=self._draws.of(round),
            q=wire.norm.q,
            again=_refuse,
            coin=wire.coin(round),
        )
        message, memory = wire.encoded(self.memory.worker, outgoing)
        if len(message) > wire.message_limit():
            raise ValueError(f"the compressor has made {len(message)} bytes, more than its max_nbytes")
        return message, memory

    def _exchanged(self, message: bytes | None, step: float) -> tuple[Crossed, CenterMemory]:
        """Exchange and judge until all survivors have; return the result, and the center's memory after it."""
        while True:
            if self._exchange is None:
                self._exchange = self._connected()
            try:
                outcome = self._once(self._exchange, message, step)
                self._comm.confirm()
            except CommunicatorRevoked:
                self._exchange = None
                self._recover()
                continue
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

    def _once(self, exchange: Exchange, message: bytes | None, step: float) -> tuple[Crossed, CenterMemory] | Exception:
        """Exchange and judge; return what was raised, too: all ranks confirm the round before one of them leaves it."""
        before, wire, round = self.memory, self._wire, self.memory.round
        center = before.center
        if self._comm.survives:  # `Feedback.receive` changes its memory, and the round may be repeated
            center = {name: rows.copy() for name, rows in center.items()}

        def judge(received: Sequence[Message]) -> Verdict:
            messages: list[Message] = [b""] * self._m
            for number, each in zip(self._comm.numbers, received, strict=True):
                messages[number] = each
            inbox = wire.inbox(wire.codes(round), messages)
            answers = wire.feedback.receive(center, inbox, step, wire.coin(round))
            return self._settings.aggregator.judge(answers, before.rule, Context(round, None, self._settings.seed))

        try:
            return exchange.once(round, before.downlink, message, judge), center
        except CommunicatorRevoked:
            raise
        except Exception as error:
            return error

    def _connected(self) -> Exchange:
        """Return an exchange between the present ranks; raise `RankFault` if they are too few."""
        dead, most = absent(self._comm, self._m), max_faulty(self._settings.aggregator, self._m, 0)
        if len(dead) > most:
            raise RankFault(
                f"{named('rank', dead)} died, and the rule is set for {most} faulty or absent of {self._m} ranks"
            )
        wire, of_mode = self._wire, _EXCHANGES[self._settings.mode]
        return of_mode(self._comm, wire.message_limit(), wire.fixed_length(), self.memory.downlink)

    def _recover(self) -> None:
        died = self._comm.recover().failed_ranks
        if self._comm.is_root and died:
            when = f"in round {self.memory.round + 1} of the reducer"
            say(f"mpirobust: {named('rank', died)} died {when}: absent from now on")


def absent(comm: Communicator, workers: int) -> list[int]:
    """Return the workers whose rank has died, ascending."""
    return sorted({*range(workers)} - {*comm.numbers})


def _refuse(_: Vector) -> Vector:
    """Take the place of `Outgoing.again`."""
    raise PlanFault("feedback", "it asks for the gradient at another point, which a reducer does not know")
