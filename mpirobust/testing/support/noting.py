"""A rule that notes what it is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mpirobust.aggregators.base import Aggregator, Context, Verdict
from mpirobust.answers import Answers


@dataclass(frozen=True)
class Note:
    """The round of a verdict."""

    round: int


@dataclass(frozen=True)
class Noting(Aggregator):
    """The mean; notes with what memory and where it is asked, and remembers the round."""

    asked: list[tuple[Any, Context]] = field(default_factory=list)

    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        self.asked.append((memory, context))
        return Verdict(answers.average(answers.sound), answers.sound, Note(context.round))

    def tolerates(self) -> float | None:
        return None

    def memory(self) -> type | None:
        return Note
