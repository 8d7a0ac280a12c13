from __future__ import annotations

from typing import Annotated

import numpy as np

from mpirobust.attacks.base import WireAttack
from mpirobust.components import Field, component


@component
class Bitflip(WireAttack):
    """Flips each bit of the message with probability `rate`, independently: soft errors in memory or on the wire.

    Which bits matter depends on the code: exponents and positions much, signs little (Elliott et al. 2013).

    Attributes:
        rate: probability that a bit flips.
    """

    rate: Annotated[float, Field(ge=0, le=1)] = 1e-3

    def tamper(self, message: bytes, rng: np.random.Generator) -> bytes:
        body = np.frombuffer(bytearray(message), np.uint8)
        bits = 8 * body.size
        # How many, then which: the same law as a draw for every bit, in the time and memory of those that flip.
        flipped = rng.choice(bits, rng.binomial(bits, self.rate), replace=False, shuffle=False)
        np.bitwise_xor.at(body, flipped // 8, (1 << flipped % 8).astype(np.uint8))
        return body.tobytes()
