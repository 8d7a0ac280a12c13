"""Seconds of works that alternate, so that what disturbs the machine disturbs all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import truediv
from statistics import quantiles
from time import perf_counter, process_time

Spread = dict[str, float]


@dataclass
class Seconds:
    """Of each repeat, for one call.

    Attributes:
        wall: seconds that went by.
        cpu: CPU seconds of the process.
    """

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


Timed = Callable[[], tuple[float, float]]  # wall and CPU seconds of one call


def timed(work: Callable[[], object], calls: int = 1) -> Timed:
    """Return what calls `work` so many times and returns the seconds of one call."""

    def run() -> tuple[float, float]:
        wall, cpu = perf_counter(), process_time()
        for _ in range(calls):
            work()
        return (perf_counter() - wall) / calls, (process_time() - cpu) / calls

    return run


def alternating(works: Mapping[str, Timed], repeats: int, budget: float = math.inf) -> dict[str, Seconds]:
    """Return the seconds of each work, one after the other, again and again.

    Args:
        repeats: how often, after a first time that does not count.
        budget: seconds after which two repeats are enough; the first time counts, for works that take long.
    """
    found, began = {name: Seconds() for name in works}, perf_counter()
    for repeat in range(0 if budget < math.inf else -1, repeats):
        if repeat >= 2 and perf_counter() - began > budget:
            break
        for name, work in works.items():
            wall, cpu = work()
            if repeat >= 0:
                found[name].wall.append(wall)
                found[name].cpu.append(cpu)
    return found


def spread(values: list[float]) -> Spread:
    """Return the median and the quartiles, to four digits."""
    low, middle, high = quantiles(values, n=4, method="inclusive")
    return {name: float(f"{value:.4g}") for name, value in (("median", middle), ("low", low), ("high", high))}


def milliseconds(seconds: Seconds) -> dict[str, Spread]:
    """Return the median and quartiles of wall and CPU milliseconds."""
    kinds = {"wall_ms": seconds.wall, "cpu_ms": seconds.cpu}
    return {kind: spread([1e3 * each for each in values]) for kind, values in kinds.items()}


def ratios(work: Seconds, peer: Seconds) -> dict[str, Spread]:
    """Return the median and quartiles of work over peer, of neighbours in time."""
    return {
        "wall": spread(list(map(truediv, work.wall, peer.wall))),
        "cpu": spread(list(map(truediv, work.cpu, peer.cpu))),
    }
