"""The outcome of a plan in which the workers reduce their gradients by a `RobustReducer`, worked out in one process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mpirobust.aggregators.base import Context
from mpirobust.algorithms.base import Query
from mpirobust.attacks.base import UpdateAttack
from mpirobust.feedback.base import Outgoing
from mpirobust.plan import Plan
from mpirobust.streams import Purpose, stream
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.types import Message, Vector

RANKS, ROUNDS, STEP = 5, 12, 0.1


def reduced_plan(feedback: str, **changes: Any) -> Plan:
    """Five workers, one of whom is Byzantine, and a rule that bears two; messages of varying length."""
    tables = {
        "workers": RANKS,
        "feedback": feedback,
        "algorithm": {"kind": "first-order", "rounds": ROUNDS, "step": STEP},
        "compressor": {"kind": "qsgd", "levels": 4},
        "aggregator": {"kind": "norm-trim", "beta": 0.4},
        "attack": {"kind": "negative", "alpha": 0.2, "factor": 30.0},
    }
    return regression_plan(**{**tables, **changes})


def gradient(local: LocalRun, worker: int, t: int, x: Vector) -> Vector:
    """The answer of a worker in a run of the plan: its gradient, corrupted if it is Byzantine."""
    config, plan = local.config, local.plan
    rng = stream(plan.seed, worker, t, Purpose.ANSWER)
    answer = plan.algorithm.answer(Query((x,)), config.loss, local.workers[worker].clean, rng)
    if local.byzantine[worker] and isinstance(config.attack, UpdateAttack):
        return config.attack.corrupt(answer, stream(plan.seed, worker, t, Purpose.CORRUPT))
    return answer


def replayed(plan: Plan, absent_from: Mapping[int, int]) -> Vector:
    """The iterate after all rounds, if each of these workers is absent from that round on."""
    local = LocalRun(plan)
    wire, x, step = local.config.wire, local.x0, STEP
    center, workers = wire.center_memory(RANKS), [wire.worker_memory() for _ in range(RANKS)]
    for t in range(plan.algorithm.rounds):
        messages: list[Message] = [b""] * RANKS
        for worker in range(RANKS):
            if t < absent_from.get(worker, ROUNDS):
                shared, draws = (stream(plan.seed, worker, t, of) for of in (Purpose.SHARED, Purpose.ENCODE))
                outgoing = Outgoing(
                    answer=gradient(local, worker, t, x),
                    point=x,
                    scale=step,
                    code=wire.code(t, shared),
                    rng=draws,
                    q=2.0,
                    again=lambda point: point,
                    coin=wire.coin(t),
                )
                messages[worker], workers[worker] = wire.encoded(workers[worker], outgoing)
        answers = wire.feedback.receive(center, wire.inbox(wire.codes(t), messages), step, wire.coin(t))
        x = x - plan.aggregator.judge(answers, None, Context(t, None, plan.seed)).step
    return np.asarray(x)
