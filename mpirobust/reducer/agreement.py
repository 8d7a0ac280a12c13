"""Set-up on all ranks: they succeed together, or raise the same fault together."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from mpirobust.comm.communicator import Communicator
from mpirobust.errors import Fault, RankFault, SetupFault

T = TypeVar("T")


def agreed(comm: Communicator, work: Callable[[], T], described: Callable[[T], Mapping[str, str]]) -> T:
    """Do `work` on every rank and return its result, if it succeeds on all of them and is described alike.

    Raises:
        SetupFault: on all ranks alike, with the lowest rank that failed or differs from rank 0.
        RankFault: on all ranks, if one has died.
    """
    error: Exception | None = None
    try:
        result = work()
        mine: dict[str, Any] = {"result": dict(described(result))}
    except Exception as caught:  # whatever it is, the other ranks must not wait for this one
        error = caught
        mine = {"fault": str(caught) if isinstance(caught, Fault) else f"{type(caught).__name__}: {caught}"}
    with _survivors_told():
        told = comm.gather_bytes(json.dumps(mine).encode())
        problem = comm.broadcast_bytes(_problem(told).encode() if comm.is_root else b"").decode()
    if problem:
        raise SetupFault(problem) from (None if isinstance(error, Fault) else error)
    return result


def told_to_root(comm: Communicator, text: str) -> list[str]:
    """Return the texts of all ranks, in rank order; meaningful on the root only. Raise `RankFault` as `agreed`."""
    with _survivors_told():
        return [each.decode() for each in comm.gather_bytes(text.encode())]


@contextmanager
def _survivors_told() -> Iterator[None]:
    """Turn the fault of a rank that has died, which is told on one survivor only, into one on each of them."""
    try:
        yield
    except Fault as fault:
        raise RankFault("a rank died while the reducer was set up") from fault


def _problem(texts: Sequence[bytes]) -> str:
    """Return why the ranks, in rank order, cannot go on; '' if they can."""
    told = [json.loads(text) for text in texts]
    faults = {rank: each["fault"] for rank, each in enumerate(told) if "fault" in each}
    for rank, fault in faults.items():
        return str(fault) if len(faults) == len(told) else f"rank {rank}: {fault}"
    first = told[0]["result"]
    for rank, each in enumerate(told):
        for name in first | each["result"]:
            theirs, ours = (text.get(name, "none") for text in (each["result"], first))
            if theirs != ours:
                return f"{name}: rank {rank} has {theirs}, rank 0 has {ours}; it must be the same on all ranks"
    return ""
