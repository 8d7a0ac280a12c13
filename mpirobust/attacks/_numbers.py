"""The places of the numbers in a message."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import numpy as np

from mpirobust.attacks.base import Spy

_WIDTHS = (np.dtype("<f4"), np.dtype("<f8"))


def numbers(spy: Spy, worker: int, rng: np.random.Generator) -> Iterator[tuple[int, np.dtype[Any]]]:
    """Place and type of each number in the message that is due from `worker`, in order.

    A number is what is twice as large in the code of 2v as in that of v: the claim under Option I, scales,
    values. v is so large that a state which is taken from it (EF21) makes no difference.
    """
    one, two = (spy.encode(worker, np.full(spy.answers.dim, v), deepcopy(rng)) for v in (2.0**100, 2.0**101))
    length = min(len(one), len(two), len(spy.due[worker]))
    differing = [at for at, (a, b) in enumerate(zip(one, two, strict=False)) if a != b]
    begin = 0
    for differs in differing:
        places = range(max(begin, differs - 7), differs + 1)
        for at, number in ((at, number) for at in places for number in _WIDTHS):
            if at + number.itemsize <= length:
                a, b = (float(np.frombuffer(code, number, 1, at)[0]) for code in (one, two))
                if b == 2 * a != 0:
                    yield at, number
                    begin = at + number.itemsize
                    break
