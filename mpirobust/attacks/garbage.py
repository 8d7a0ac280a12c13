from __future__ import annotations

import numpy as np

from mpirobust.attacks.base import WireAttack
from mpirobust.components import component


@component
class Garbage(WireAttack):
    """Sends random bytes of random length (none to twice what is due), or a payload of NaN or of Inf."""

    def tamper(self, message: bytes, rng: np.random.Generator) -> bytes:
        mode = rng.integers(4)
        if mode < 2:
            return rng.bytes(int(rng.integers(2 * len(message) + 1)))
        if mode == 2:
            return b"\xff" * len(message)  # NaN in every width
        inf = np.array(np.inf, "<f4").tobytes()  # read as float64 it is finite, and longer than anything honest
        return (inf * (len(message) // len(inf) + 1))[: len(message)]
