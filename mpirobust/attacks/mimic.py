from __future__ import annotations

import numpy as np

from mpirobust.attacks.base import MessageAttack, Spy
from mpirobust.components import component


@component
class Mimic(MessageAttack):
    """All send what one honest worker sends, which so counts f + 1 times (Karimireddy et al. 2022).

    It is the honest worker of lowest number whose message is sound: the same in every
    round, so that the bias towards its data adds up. (The paper picks the worker that
    stands out most in a warm-up.) Its very bytes are sent,
    with its claim under Option I; if every worker has a code or a state of its own,
    the vector that they encode is encoded again.
    """

    def adheres(self) -> bool:
        return True

    def forge(self, worker: int, spy: Spy, rng: np.random.Generator) -> bytes:
        victim = spy.sound[:1]
        if victim.size and spy.one_code:
            return bytes(spy.due[victim[0]])
        v = np.zeros(spy.answers.dim)
        for where, block in spy.answers.blocks(victim):
            v[where] = block.sum(axis=0)  # of one row, or of none
        return spy.encode(worker, v, rng)
