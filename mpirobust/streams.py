"""The random streams, keyed by seed, worker, round and purpose."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np

CENTER = 2**32 - 1  # the worker number of the center's streams; no worker has this number


class Purpose(IntEnum):
    """The purpose of a stream; no two purposes share a number."""

    SPLIT = 1
    PARTITION = 2
    ROWS = 3
    SOLUTION = 4
    START = 5
    BYZANTINE = 6
    POISON = 7
    ANSWER = 8
    CORRUPT = 9
    ENCODE = 10
    SHARED = 11
    TAMPER = 12
    ADVANCE = 13
    CURVATURE = 14
    FORGE = 15
    AGGREGATE = 16
    COIN = 17
    CENTER_ROWS = 18
    DOWNLINK = 19
    REPLAY = 20


def stream(seed: int, worker: int, round: int, purpose: Purpose) -> np.random.Generator:
    """Return the random stream of one worker in one round for one purpose.

    Counter-based (Philox 4x64; Salmon et al. 2011): the seed is the key, the other three are words of the
    counter, and a stream has 2^64 blocks before it overlaps the next one. The second word of the key is
    "mpirobus" in ASCII. There is no state that a checkpoint would have to save, and no stream depends on
    the rank that draws it.
    """
    key = np.array([seed, 0x6D706972_6F627573], dtype=np.uint64)
    counter = np.array([0, purpose, round, worker], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


class Streams:
    """The streams of one worker for one purpose, round after round, or of one worker after another.

    The same numbers as `stream`, in a fifth of its time; each stream is valid until the next call of `of`.
    """

    def __init__(self, seed: int, worker: int, purpose: Purpose) -> None:
        self._generator = stream(seed, worker, 0, purpose)
        self._state: Any = self._generator.bit_generator.state

    def of(self, round: int, worker: int | None = None) -> np.random.Generator:
        """Return the stream of a round, and of another worker if one is given."""
        self._state["state"]["counter"][2] = round
        if worker is not None:
            self._state["state"]["counter"][3] = worker
        self._generator.bit_generator.state = self._state
        return self._generator
