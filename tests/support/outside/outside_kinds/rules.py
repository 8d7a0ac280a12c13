"""A rule with a memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from mpirobust import Field, component
from mpirobust.aggregators.base import Aggregator, Context, Verdict
from mpirobust.answers import Answers


@dataclass(frozen=True)
class Typical:
    """The typical norm of the rounds so far."""

    norm: float


@component
class Shorten(Aggregator):
    """The mean of all sound messages, those longer than a moving average of the median norm shortened to it."""

    memory_weight: Annotated[float, Field(ge=0, lt=1)] = 0.5

    def judge(self, answers: Answers, memory: Typical | None, context: Context) -> Verdict:
        sound, weights = answers.sound, np.zeros(len(answers))
        if not sound.any():
            return Verdict(answers.combine(weights), sound, memory)
        norm = float(np.median(answers.norms[sound]))
        if memory is not None:
            norm = self.memory_weight * memory.norm + (1 - self.memory_weight) * norm
        weights[sound] = norm / np.maximum(answers.norms[sound], max(norm, 1e-300)) / sound.sum()
        return Verdict(answers.combine(weights), sound, Typical(norm))

    def tolerates(self) -> float | None:
        return 0.5

    def memory(self) -> type | None:
        return Typical
