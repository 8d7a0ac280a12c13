"""A center without workers."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from mpirobust.cluster.receiver import RoundReceiver
from mpirobust.cluster.wire import Wire
from mpirobust.cluster.worker import WorkerConfig
from mpirobust.compressors.base import Compressor
from mpirobust.feedback.base import Feedback
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.types import Norm, flat


def receiver(compressor: Compressor, dim: int, m: int, feedback: Feedback, norm: Norm) -> RoundReceiver:
    """What receives the messages of `m` workers, of whom the plan says that all are honest."""
    wire = Wire(1, flat(dim), compressor, norm, feedback)
    return RoundReceiver(replace(_config(), wire=wire, weights=np.ones(m)), m)


@cache
def _config() -> WorkerConfig:
    return LocalRun(regression_plan()).config
