"""The memory of a rank between two calls of `reduce`, and its arrays for the checkpoint of a program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators.base import Aggregator
from mpirobust.cluster.downlink import Downlink
from mpirobust.cluster.wire import Wire
from mpirobust.errors import SetupFault
from mpirobust.feedback.base import CenterMemory, WorkerMemory
from mpirobust.records.fields import arrays_of, read_fields

State: TypeAlias = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Traffic:
    """Bytes of one rank, over all calls.

    Attributes:
        sent, received: what crossed.
        allreduce: what this rank would have sent, and received, in a ring Allreduce of the same arrays:
            2 (n - 1) / n of their bytes for n ranks, rounded down.
    """

    sent: int = 0
    received: int = 0
    allreduce: int = 0


def counted(before: Traffic, sent: int, received: int, nbytes: int, ranks: int) -> Traffic:
    """Return the bytes after one more call, on arrays of `nbytes`."""
    ring = 2 * (ranks - 1) * nbytes // ranks
    return Traffic(before.sent + sent, before.received + received, before.allreduce + ring)


@dataclass(frozen=True)
class Memory:
    """The memory of one rank between two rounds.

    Attributes:
        round: the number of rounds done.
        worker: the worker's half of the feedback.
        center: the center's half, of all workers; nothing on a rank that does not aggregate.
        rule: of the aggregation rule; None before the first round, or if it keeps nothing.
        downlink: this rank's end of the way down.
        traffic: the bytes so far.
    """

    round: int
    worker: WorkerMemory
    center: CenterMemory
    rule: Any
    downlink: Downlink
    traffic: Traffic = Traffic()

    @classmethod
    def fresh(cls, wire: Wire, workers: int, judges: bool, downlink: Downlink) -> Memory:
        """Return the memory before the first round, on a rank that aggregates or not."""
        return cls(0, wire.worker_memory(), wire.center_memory(workers) if judges else {}, None, downlink)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return a copy as arrays by name."""
        traffic = self.traffic
        found = {
            "round": np.array(self.round),
            "traffic": np.array([traffic.sent, traffic.received, traffic.allreduce]),
            **{f"worker/{name}": vector for name, vector in self.worker.items()},
            **{f"center/{name}": rows for name, rows in self.center.items()},
            **({} if self.rule is None else {f"rule/{name}": each for name, each in arrays_of(self.rule).items()}),
            **{f"downlink/{number}": w for held in self.downlink.held.values() for number, w in enumerate(held)},
        }
        return {name: np.array(array) for name, array in found.items()}

    def restored(self, state: State, aggregator: Aggregator, workers: int) -> Memory:
        """Return the memory of which `state` has the arrays.

        Raises:
            SetupFault: they are not those of a reducer like this one, whose memory before the first round this is.
        """
        kept, unread = aggregator.memory(), {*state}

        def read(name: str, like: NDArray[Any]) -> NDArray[Any]:
            unread.discard(name)
            if name not in state:
                raise SetupFault(f"the state has no {name}")
            array = np.asarray(state[name])
            if (array.shape, array.dtype) != (like.shape, like.dtype):
                wanted, found = (f"{each.dtype} {each.shape}" for each in (like, array))
                raise SetupFault(f"{name} of the state: expected {wanted}, not {found}")
            return array.copy()

        fresh = self.arrays()
        round, traffic = int(read("round", fresh["round"])), read("traffic", fresh["traffic"]).tolist()
        worker = {name: read(f"worker/{name}", like) for name, like in self.worker.items()}
        center = {name: read(f"center/{name}", like) for name, like in self.center.items()}
        downlink = self.downlink
        if downlink.compressor is not None and round:
            downlink = replace(downlink, held={0: (read("downlink/0", downlink.start),)})
        rule = None
        of_rule = {name for name in unread if name.startswith("rule/")}
        if kept is not None and of_rule:
            try:
                rule = read_fields(state, "rule", kept, downlink.start.size, workers)
            except (KeyError, ValueError) as error:
                raise SetupFault(f"the state of the rule: {error}") from error
            unread -= of_rule
        if unread:
            raise SetupFault(f"the state has {', '.join(sorted(unread))}, which this reducer does not keep")
        return Memory(round, worker, center, rule, downlink, Traffic(*traffic))
