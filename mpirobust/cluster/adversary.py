"""Which workers are Byzantine."""

from __future__ import annotations

from math import floor

import numpy as np

from mpirobust.attacks.base import Attack
from mpirobust.streams import CENTER, Purpose, stream
from mpirobust.types import Rows


def byzantine(attack: Attack | None, workers: int, seed: int) -> Rows:
    """The ⌊αm⌋ Byzantine workers, ascending: a function of α, m and the seed."""
    count = 0 if attack is None else floor(attack.alpha * workers + 1e-9)
    return np.sort(stream(seed, CENTER, 0, Purpose.BYZANTINE).permutation(workers)[:count])
