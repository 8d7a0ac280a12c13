from __future__ import annotations

import numpy as np

from mpirobust.attacks._numbers import numbers
from mpirobust.attacks.base import MessageAttack, Spy
from mpirobust.components import component


@component
class WrongIndex(MessageAttack):
    """All bits that belong to no number are set: positions beyond the end, levels out of their range, lengths too long.

    Signs all become +, which is sound. A code that sends numbers alone is left as it is.
    """

    def forge(self, worker: int, spy: Spy, rng: np.random.Generator) -> bytes:
        due = spy.due[worker]
        message = bytearray(b"\xff" * len(due))
        for at, number in numbers(spy, worker, rng):
            message[at : at + number.itemsize] = due[at : at + number.itemsize]
        return bytes(message)
