from __future__ import annotations

from typing import Literal

import numpy as np

from mpirobust.attacks._numbers import numbers
from mpirobust.attacks.base import MessageAttack, Spy
from mpirobust.components import component


@component
class LyingScale(MessageAttack):
    """A lie in the code: the first number of the due message turns its sign, or becomes zero, huge or NaN.

    That is the scale of a code that begins with one, the claim under Option I, else the first
    value. All else stays, as the support of a sparse code; a code without numbers is left as it is.

    Attributes:
        lie: what the first number becomes (default: drawn for each message).
    """

    lie: Literal["negative", "zero", "huge", "nan"] | None = None

    def forge(self, worker: int, spy: Spy, rng: np.random.Generator) -> bytes:
        message = bytearray(spy.due[worker])
        first = next(numbers(spy, worker, rng), None)
        if first is not None:
            at, number = first
            due = float(np.frombuffer(message, number, 1, at)[0])
            lies = {"negative": -due or -1.0, "zero": 0.0, "huge": float(np.finfo(number).max), "nan": np.nan}
            told = lies[self.lie] if self.lie else rng.choice(list(lies.values()))
            message[at : at + number.itemsize] = np.array(told, number).tobytes()
        return bytes(message)
