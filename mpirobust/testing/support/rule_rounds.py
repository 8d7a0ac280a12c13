"""Rounds for the tests of the rules: packed messages, and the same vectors decoded one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mpirobust.answers import NORM_PREFIX, Inbox
from mpirobust.compressors.base import BLOCK, Compressor
from mpirobust.compressors.identity import Identity
from mpirobust.compressors.l1_qsgd import L1QSGD
from mpirobust.compressors.randomk import RandomK
from mpirobust.compressors.topk import TopK
from mpirobust.streams import Purpose, stream
from mpirobust.testing.support.codes import code_of, inbox_of
from mpirobust.types import Message, Norm, Vector

CODES: list[Compressor] = [Identity(), Identity(dtype="float32"), L1QSGD(), TopK(k=7), RandomK(k=7)]
DIMS = [9, BLOCK + 5]

over_codes = pytest.mark.parametrize("code", CODES, ids=repr)
over_dims = pytest.mark.parametrize("dim", DIMS)


@dataclass(frozen=True)
class Round:
    """An inbox, and what is in it.

    Attributes:
        said: the decoded vectors of the sound, times the scale, shape (n, dim).
        workers: their numbers.
    """

    inbox: Inbox
    said: NDArray[np.float64]
    workers: NDArray[np.intp]

    def mask(self, rows: Any) -> list[bool]:
        """`kept` where these rows of `said` are kept."""
        kept = np.zeros(len(self.inbox), dtype=bool)
        kept[self.workers[rows]] = True
        return kept.tolist()


def vectors(m: int, dim: int, seed: int = 0) -> NDArray[np.float64]:
    """Return answers that have something in common, with noise of different strength."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((m, dim)) * rng.uniform(0.5, 2, (m, 1))
    return np.asarray(rng.standard_normal(dim) + noise, np.float64)


def a_round(
    said: NDArray[np.float64],
    code: Compressor | None = None,
    scale: float = 1.0,
    silent: tuple[int, ...] = (),
    norm: Norm | None = None,
    claims: NDArray[np.float64] | None = None,
) -> Round:
    """The round in which `said`, shape (m, dim), is sent, but for the silent, who send what is no code."""
    code, norm, dim = code or Identity(), norm or Norm(), said.shape[1]

    def shared(worker: int) -> np.random.Generator:
        return stream(1, worker, 0, Purpose.SHARED)

    messages: list[Message] = []
    decoded: list[NDArray[np.float64]] = []
    for worker, v in enumerate(said):
        own = code_of(code, dim, worker, shared)
        message = own.encode(v, np.random.default_rng(worker))
        if worker in silent:
            messages.append(b"")
            continue
        decoded.append(np.zeros(dim))
        own.add_to(decoded[-1], np.array([scale]), [message])
        claim = b"" if claims is None else np.array(claims[worker], NORM_PREFIX).tobytes()
        messages.append(claim + message)
    workers = np.setdiff1d(np.arange(len(said)), silent).astype(np.intp)
    inbox = inbox_of(messages, dim, code, norm, scale, shared)
    return Round(inbox, np.array(decoded).reshape(-1, dim), workers)


def squared_distances(said: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([[float(((a - b) ** 2).sum()) for b in said] for a in said])


def krum_choice(said: NDArray[np.float64], f: int, rows: list[int] | None = None) -> list[int]:
    """The rows from best to worst, among `rows`, straight from the paper."""
    rows = list(range(len(said))) if rows is None else rows
    table = squared_distances(said[rows])
    near = max(len(rows) - f - 2, 1)
    scores = [sum(sorted(np.delete(table[at], at))[:near]) for at in range(len(rows))]
    return [rows[at] for at in sorted(range(len(rows)), key=lambda at: scores[at])]


def pull(said: NDArray[np.float64], v: Vector) -> float:
    """Length of the mean unit vector from `v` to what was said: 0 at the geometric median."""
    away = said - v
    return float(np.linalg.norm((away / np.linalg.norm(away, axis=1, keepdims=True)).mean(axis=0)))
