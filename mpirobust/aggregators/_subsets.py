"""The best subset of the messages, by trying all of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, islice
from math import comb

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators._geometry import measured
from mpirobust.aggregators.base import Verdict, share
from mpirobust.answers import Answers
from mpirobust.errors import PlanFault
from mpirobust.types import Rows

MOST = 50_000  # subsets in a round
_TOGETHER = 512  # subsets whose matrices are in memory at a time

# Gram matrices of some subsets, shape (s, k, k), and the least first number so far -> for each subset the numbers to
# minimise, the first one first, shape (j, s); inf may stand for a first number that is larger than the least
Spread = Callable[[NDArray[np.float64], float], NDArray[np.float64]]


def expect_few(beta: float, workers: int) -> None:
    """Raise `PlanFault` unless there are at most `MOST` subsets without ⌈βm⌉ of the workers."""
    f = share(beta, workers)
    if comb(workers, f) > MOST:
        reason = f"{beta} of {workers} workers is f = {f}, and there are {comb(workers, f):,} subsets of the others"
        raise PlanFault("beta", f"{reason}; at most {MOST:,} are tried")


def tightest_mean(answers: Answers, beta: float, spread: Spread) -> Verdict:
    """Return the mean of the n - ⌈βm⌉ of n messages that are spread least; of equals, the lowest numbers."""
    workers, gram = measured(answers)
    kept = np.zeros(len(answers), dtype=bool)
    if workers.size:
        kept[workers[_least(gram, max(workers.size - share(beta, len(answers)), 1), spread)]] = True
    return Verdict(answers.average(kept), kept)


def _least(gram: NDArray[np.float64], size: int, spread: Spread) -> Rows:
    subsets, best, least = combinations(range(gram.shape[0]), size), np.arange(size), (np.inf,)
    while some := list(islice(subsets, _TOGETHER)):
        rows = np.array(some, np.intp)
        found = spread(gram[rows[:, :, None], rows[:, None, :]], least[0])
        first = int(np.lexsort(found[::-1])[0])
        if (here := tuple(found[:, first].tolist())) < least:
            best, least = rows[first], here
    return best
