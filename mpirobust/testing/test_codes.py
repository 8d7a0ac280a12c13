"""The contract of every draw of a code: one for each message at either end, from a stream and a layout alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mpirobust.algorithms.base import Query
from mpirobust.compressors.base import Compressor
from mpirobust.feedback.base import Feedback
from mpirobust.streams import Purpose, stream
from mpirobust.testing.examples import components, wire_formats
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.counting import Counting
from mpirobust.testing.support.marina import Marina
from mpirobust.types import flat

pytestmark = pytest.mark.usefixtures("as_in_a_run")

CODES = wire_formats(8)
FEEDBACKS = {**components("feedback"), "of this test": Marina()}
ATTACKS: list[dict[str, Any]] = [
    {},
    {"attack": {"kind": "collude", "alpha": 0.34}},
    {"attack": {"kind": "garbage", "alpha": 0.34}},
]

each = pytest.mark.parametrize("compressor", CODES.values(), ids=CODES.keys())


@each
@pytest.mark.parametrize("feedback", FEEDBACKS.values(), ids=FEEDBACKS.keys())
def test_a_code_is_drawn_once_a_message_at_either_end(compressor: Compressor, feedback: Feedback) -> None:
    """Under an omniscient attacker too, who encodes and measures with the codes that the center has drawn."""
    for attack in ATTACKS:
        counting = Counting(inner=compressor, drawn=[])
        local = LocalRun(replace(regression_plan(**attack), compressor=counting, feedback=feedback))
        rounds = 0
        for t in range(6):
            counting.drawn.clear()
            answers = local.ask(t, Query((np.ones(8),))).answers
            answers.average(answers.sound)
            answers.gram(np.flatnonzero(answers.sound))
            if not compressor.draws_for_each():
                assert len(counting.drawn) == (t == 0)
            elif counting.drawn:  # else all was sent in full
                assert Counter(counting.drawn) == dict.fromkeys(counting.drawn, 2)
                assert len(counting.drawn) == 2 * 6
                rounds += 1
        assert rounds >= 3 * compressor.draws_for_each()


@each
def test_a_code_is_a_function_of_the_stream_and_of_nothing_where_there_is_one(compressor: Compressor) -> None:
    v = np.random.default_rng(0).standard_normal(8)

    def at(round: int) -> tuple[bytes, bytes, bool]:
        """A message, what comes of it, and whether the draw left its stream where it was."""
        shared, untouched = (stream(1, 0, round, Purpose.SHARED) for _ in range(2))
        code = compressor.draw(flat(8), shared)
        message = code.encode(v, stream(1, 0, 0, Purpose.ENCODE))
        return message, code.decode(message).tobytes(), shared.random() == untouched.random()

    assert at(0) == at(0)
    others = [at(round) for round in range(1, 20)]
    if compressor.draws_for_each():
        assert not at(0)[2]
        assert any(other[:2] != at(0)[:2] for other in others)
    else:
        assert at(0)[2]
        assert all(other == at(0) for other in others)


@each
def test_a_code_knows_its_length(compressor: Compressor) -> None:
    assert compressor.draw(flat(8), stream(1, 0, 0, Purpose.SHARED)).dim == 8
