from __future__ import annotations

import numpy as np

from mpirobust.attacks.base import DataAttack
from mpirobust.components import component
from mpirobust.errors import PlanFault
from mpirobust.shard import Shard


@component
class LabelRandom(DataAttack):
    """Every label is drawn anew, uniformly over the classes (P1 §8 (a), P2 §4 (2))."""

    def admit(self, classes: int) -> None:
        if classes < 2:
            raise PlanFault("kind", "label-random needs classes; the data have real targets")

    def poison(self, shard: Shard, rng: np.random.Generator) -> Shard:
        return shard.with_labels(rng.integers(shard.classes, size=shard.rows).astype(np.float64))
