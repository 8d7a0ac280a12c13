"""Rules that look at one coordinate at a time: threads judge parts of the coordinates, and no bit changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from mpirobust.aggregators._columns import coordinate_wise
from mpirobust.aggregators.base import Aggregator
from mpirobust.aggregators.bulyan import Bulyan
from mpirobust.aggregators.median import Median
from mpirobust.aggregators.nnm import NNM
from mpirobust.aggregators.trimmed_mean import TrimmedMean
from mpirobust.answers import ArrayAnswers
from mpirobust.compressors.base import BLOCK, Compressor
from mpirobust.compressors.identity import Identity
from mpirobust.compressors.topk import TopK
from mpirobust.numerics import threads
from mpirobust.testing.support.judging import judged
from mpirobust.testing.support.rule_rounds import a_round, vectors

RULES = [Median(), TrimmedMean(beta=0.2), Bulyan(beta=0.1), NNM(beta=0.2, rule=Median())]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    yield
    threads.use(1)


@pytest.mark.parametrize("dim", [1, BLOCK, 3 * BLOCK + 5])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("code", [Identity(), TopK(k=1)], ids=lambda code: type(code).__name__)
def test_any_number_of_threads_gives_the_same_bits(code: Compressor, rule: Aggregator, dim: int) -> None:
    box = a_round(vectors(11, dim), code, 0.3)
    steps = []
    for number in (1, 2, 3, 7):
        threads.use(number)
        steps.append(judged(rule, box.inbox).step.tobytes())
    assert len(set(steps)) == 1


@pytest.mark.parametrize(("number", "widths"), [(1, [4]), (2, [2, 2]), (3, [2, 2]), (4, [1] * 4), (9, [1] * 4)])
def test_threads_take_equal_parts_of_whole_blocks(
    number: int, widths: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: list[slice] = []
    blocks = ArrayAnswers.blocks

    def noted(self: ArrayAnswers, workers: Any, within: slice) -> Any:
        parts.append(within)
        return blocks(self, workers, within)

    monkeypatch.setattr(ArrayAnswers, "blocks", noted)
    threads.use(number)
    coordinate_wise(ArrayAnswers(np.ones((3, 3 * BLOCK + 5))), np.ones(3, bool), lambda block: block[0])
    starts = sorted(part.start for part in parts)
    assert np.diff([*starts, 4 * BLOCK]).tolist() == [BLOCK * width for width in widths]
