"""The round loop: query, exchange, judge, advance, observe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

from mpirobust.aggregators.base import Aggregator, Context, Oracle, bound
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
    memories: Mapping[int, Any] | None = None,
    oracle: Oracle | None = None,
) -> Status:
    """Do rounds from `t` on until the algorithm has finished or a watch ends the run; return the status.

    Args:
        memories: what the aggregation rule remembers for each kind of query; empty before the first round.
        oracle: of the center's own rows; None if it has none.
    """
    memories = dict(memories or {})
    moment = Moment(t, state, cluster, memories)
    status = _first([watch.before_first_round(moment) for watch in watches])

    try:
        while status is None and not algorithm.finished(state):
            query = cluster.coded(t, algorithm.query(state))  # P1 Alg. 1 l. 4   broadcast w_t
            judge = bound(aggregator, memories.get(query.kind), Context(t, query, seed, oracle))
            exchange = cluster.ask(t, query, judge)  #           l. 5   answer, compress, send (attackers may ask judge)
            began = perf_counter()
            verdict = judge(exchange.answers)  #           l. 6   trim by norm, average
            memories = {**memories, query.kind: verdict.memory}
            state = algorithm.advance(state, verdict, stream(seed, CENTER, t, Purpose.ADVANCE))
            t += 1
            exchange.times.aggregate = perf_counter() - began
            moment = Moment(t, state, cluster, memories, exchange, verdict, exchange.times)
            status = _first([watch.after_round(moment) for watch in watches])
    except Depleted:
        pass  # the round is discarded: state and memories are those before it

    status = status or Status.FINISHED
    status = _first([watch.final_queries(moment, status) for watch in watches]) or status
    if cluster.depleted and status is not Status.DIVERGED:
        status = Status.LOST
    for watch in watches:
        watch.after_last_round(moment, status)
    return status


def _first(statuses: Sequence[Status | None]) -> Status | None:
    return next((status for status in statuses if status is not None), None)
