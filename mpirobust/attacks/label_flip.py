from __future__ import annotations

import numpy as np

from mpirobust.attacks.base import DataAttack
from mpirobust.components import component
from mpirobust.errors import PlanFault
from mpirobust.shard import Shard


@component
class LabelFlip(DataAttack):
    """Class c becomes C - 1 - c: flipped for two classes (P2 §4 (3)), 9 - y for ten (P1 §8 (b))."""

    def admit(self, classes: int) -> None:
        if classes < 2:
            raise PlanFault("kind", "label-flip needs classes; the data have real targets")

    def poison(self, shard: Shard, rng: np.random.Generator) -> Shard:
        return shard.with_labels(shard.classes - 1 - shard.y)
