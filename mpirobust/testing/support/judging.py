"""A rule, asked outside of a run."""

from __future__ import annotations

from typing import Any

from mpirobust.aggregators.base import Aggregator, Context, Verdict
from mpirobust.answers import Answers


def judged(rule: Aggregator, answers: Answers, memory: Any = None) -> Verdict:
    """The verdict on these answers, as in the first round unless there is a memory."""
    return rule.judge(answers, memory, Context())
