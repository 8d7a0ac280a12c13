"""Replay: the center computes some messages again, as honest workers would send them, and names those that differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np

from mpirobust.algorithms.base import Query
from mpirobust.cluster.worker import Worker, WorkerConfig
from mpirobust.streams import CENTER, Purpose, stream
from mpirobust.types import Rows


@dataclass
class Replay:
    """The messages of a random share of the workers in each round, computed at the center.

    It rests on the law that a message is a pure function of the plan, the worker, the round and the query. What
    feedback keeps at the workers would be a part of it, so a plan with such a memory is refused (`plan_checks.check`).

    Attributes:
        share: the probability that the message of a worker is computed again in a round.
        config: of the workers of the run.
        build: return workers with these numbers and this configuration, with their rows.
    """

    share: float
    config: WorkerConfig
    build: Callable[[Sequence[int], WorkerConfig], Iterable[Worker]]
    _known: tuple[int, Mapping[int, bytes]] = field(init=False, default=(-1, {}))

    def __post_init__(self) -> None:
        self._honest = replace(self.config, attack=None, byzantine=np.empty(0, np.intp), survives=False)

    def chosen(self, round: int) -> Rows:
        """Return the workers whose messages are computed again in a round, ascending.

        The draw is keyed by the seed of the plan: who knows it can foresee it.
        """
        drawn = stream(self.config.wire.seed, CENTER, round, Purpose.REPLAY).random(self.config.groups.workers)
        return np.flatnonzero(drawn < self.share)

    def messages(self, round: int, query: Query) -> Mapping[int, bytes]:
        """Return what the chosen workers have to send; the second call in a round returns what the first computed.

        A worker that fails here is left out: it fails on its own rank as well, which reports it.

        Args:
            query: as the workers have it.
        """
        if self._known[0] != round:
            due: dict[int, bytes] = {}
            for worker in self.build(self.chosen(round).tolist(), self._honest):
                with suppress(Exception):
                    due[worker.index] = worker.reply(round, query)[0]
            self._known = round, due
        return self._known[1]
