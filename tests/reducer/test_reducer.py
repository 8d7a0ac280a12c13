"""The reducer on ranks that are threads: to the bit what the parts of a run make of the same gradients."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mpirobust.aggregators.base import Aggregator, Context
from mpirobust.algorithms.base import Query
from mpirobust.cluster.downlink import Downlink
from mpirobust.cluster.wire import Wire
from mpirobust.comm.communicator import Communicator
from mpirobust.compressors.base import Compressor
from mpirobust.compressors.qsgd import QSGD
from mpirobust.feedback.base import Feedback
from mpirobust.reducer.reducer import RobustReducer
from mpirobust.reducer.settings import Mode
from mpirobust.testing.examples import components, one_of_each_kind, wire_formats
from mpirobust.testing.support.feedback_rounds import SEED, Ends
from mpirobust.types import Norm, flat
from tests.support.ranks import together

M, DIM, ROUNDS = 5, 9, 3
MODES: tuple[Mode, ...] = ("center", "symmetric")
STEP = 0.5
_RULES = [NormTrim(beta=0.3), CenteredClipping(radius=1.0, start="previous"), CAF(beta=0.1)]


def gradients(t: int) -> NDArray[np.float64]:
    """Of all ranks in round `t`, the last one hostile."""
    rows = np.random.default_rng(t).standard_normal((M, DIM))
    rows[-1] *= -20
    return rows


def expected(
    compressor: Compressor, rule: Aggregator, feedback: Feedback, downlink: Compressor | None = None
) -> list[NDArray[np.float64]]:
    """The aggregate of each round, by the two ends of the feedback, the rule and the way down of a run."""
    ends, memory, made = Ends(feedback, compressor, M, DIM), None, []
    wire, way = Wire(SEED, flat(DIM), compressor, Norm(), feedback), Downlink(SEED, flat(DIM), downlink, np.zeros(DIM))
    for t in range(ROUNDS):
        inbox = wire.inbox(wire.codes(t), ends.sent(t, gradients(t), STEP))
        verdict = rule.judge(feedback.receive(ends.center, inbox, STEP, wire.coin(t)), memory, Context(t, None, SEED))
        memory, query = verdict.memory, way.coded(t, Query((verdict.step,)))
        way = way.after(query)
        made.append(query.vectors[0].copy())
    return made


def aggregates(comm: Communicator, **settings: Any) -> list[NDArray[np.float64]]:
    reducer = RobustReducer(comm, seed=SEED, **settings)
    return [reducer.reduce(gradients(t)[comm.rank], STEP) for t in range(ROUNDS)]


@pytest.mark.parametrize(("compressor", "feedback", "number"), in_turn(wire_formats(DIM), components("feedback"), range(3)))
def test_every_code_gives_the_bits_of_a_run_in_both_modes(compressor: str, feedback: str, number: int) -> None:
    code, fed, rule = wire_formats(DIM)[compressor], components("feedback")[feedback], _RULES[number]
    wanted = expected(code, rule, fed)
    for mode in MODES:
        of_rank = partial(aggregates, compressor=code, aggregator=rule, feedback=fed, mode=mode)
        for found in together(M, of_rank):
            np.testing.assert_array_equal(found, wanted)


def test_every_rule_gives_the_bits_of_a_run_in_both_modes() -> None:
    code, fed = QSGD(levels=4), Residual()
    for name, rule in one_of_each_kind(components("aggregator")).items():
        wanted = expected(code, rule, fed)
        for mode in MODES:
            of_rank = partial(aggregates, compressor=code, aggregator=rule, feedback=fed, mode=mode)
            for found in together(M, of_rank):
                np.testing.assert_array_equal(found, wanted, err_msg=name)
