from __future__ import annotations

from math import ceil
from typing import Annotated

import numpy as np

from mpirobust.attacks.base import WireAttack
from mpirobust.components import Field, component


@component
class Resized(WireAttack):
    """Sends `factor` times as many bytes as are due: nothing (0), the beginning (below 1), the message repeatedly.

    The wire cuts what is too long one byte above the longest honest message.

    Attributes:
        factor: bytes that are sent, in units of what is due; 0: nothing.
    """

    factor: Annotated[float, Field(ge=0, le=1000)] = 2.0

    def tamper(self, message: bytes, rng: np.random.Generator) -> bytes:
        length = int(self.factor * len(message))
        return (message * ceil(self.factor))[:length]
