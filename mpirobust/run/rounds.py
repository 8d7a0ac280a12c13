"""The round loop."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

from mpirobust.aggregators.base import Aggregator
from mpirobust.algorithms.base import Algorithm, State
from mpirobust.cluster.base import Cluster, Depleted
from mpirobust.observers.base import Moment, Status, Watch
from mpirobust.streams import CENTER, Purpose, stream


def loop(
    algorithm: Algorithm[Any],
    aggregator: Aggregator,
    cluster: Cluster,
    watches: Sequence[Watch],
    state: State,
    t: int,
    seed: int,
) -> Status:
    """Do rounds from `t` on until the algorithm has finished or a watch ends the run; returns the status."""
    moment = Moment(t, state, cluster)
    status = _first([watch.before_first_round(moment) for watch in watches])

    try:
        while status is None and not algorithm.finished(state):
            query = algorithm.query(state)  # P1 Alg. 1 l. 4   broadcast w_t
            exchange = cluster.ask(t, query)  #           l. 5   answer, compress, send
            began = perf_counter()
            verdict = aggregator.judge(exchange.inbox)  #           l. 6   trim by norm, average
            state = algorithm.advance(state, verdict, stream(seed, CENTER, t, Purpose.ADVANCE))
            t += 1
            exchange.times.aggregate = perf_counter() - began
            moment = Moment(t, state, cluster, exchange, verdict, exchange.times)
            status = _first([watch.after_round(moment) for watch in watches])
    except Depleted:
        pass  # the round that did not come about is not in the state

    status = status or Status.FINISHED
    for watch in watches:
        watch.final_queries(moment, status)
    if cluster.depleted and status is not Status.DIVERGED:
        status = Status.LOST
    for watch in watches:
        watch.after_last_round(moment, status)
    return status


def _first(said: Sequence[Status | None]) -> Status | None:
    return next((status for status in said if status is not None), None)
