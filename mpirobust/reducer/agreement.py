"""Set-up on all ranks: they succeed together, or raise the same fault together."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TypeVar

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
        mine = {"is": dict(described(result))}
    except Exception as caught:  # whatever it is, the other ranks must not wait for this one
        error = caught
        mine = {"fault": {"": str(caught) if isinstance(caught, Fault) else f"{type(caught).__name__}: {caught}"}}
    try:
        told = comm.gather_bytes(json.dumps(mine).encode())
        problem = comm.broadcast_bytes(_problem([*map(json.loads, told)]).encode() if comm.is_root else b"").decode()
    except Fault as fault:
        raise RankFault("a rank died while the reducer was set up") from fault
    if problem:
        raise SetupFault(problem) from (None if isinstance(error, Fault) else error)
    return result


def _problem(told: list[dict[str, dict[str, str]]]) -> str:
    """Return why the ranks, in rank order, cannot go on; '' if they can."""
    faults = {rank: each["fault"][""] for rank, each in enumerate(told) if "fault" in each}
    if faults:
        rank, fault = next(iter(faults.items()))
        return fault if len(faults) == len(told) else f"rank {rank}: {fault}"
    first = told[0]["is"]
    for rank, each in enumerate(told):
        for name in first | each["is"]:
            theirs, ours = (text.get(name, "none") for text in (each["is"], first))
            if theirs != ours:
                return f"{name}: rank {rank} has {theirs}, rank 0 has {ours}; it must be the same on all ranks"
    return ""
