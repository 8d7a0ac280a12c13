"""A reducer of four ranks, one of which sends any packet, and says any length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mpirobust.aggregators.norm_trim import NormTrim
from mpirobust.compressors.base import Compressor
from mpirobust.errors import RankFault
from mpirobust.feedback.base import Feedback
from mpirobust.reducer.session import Session
from mpirobust.reducer.settings import Mode, Settings
from mpirobust.reducer.trees import flattened
from mpirobust.streams import Purpose, stream
from mpirobust.testing.support.attack_rounds import vectors
from mpirobust.testing.support.codes import drawn
from tests.support.ranks import Undying

RANKS, HOSTILE = 4, 2
_SEED = 1


class Scripted(Undying):
    """Rank 0, to which the others send what a script says."""

    rank = number = 0
    size, numbers = RANKS, range(RANKS)

    def __init__(self) -> None:
        self.packets: Sequence[bytes] = ()
        self.lengths: Sequence[int] = ()

    def gather(
        self,
        mine: NDArray[Any],
        into: NDArray[Any] | None = None,
        counts: NDArray[Any] | None = None,
        most: int = 0,
    ) -> None:
        assert into is not None
        assert counts is not None
        if mine.dtype == np.int64:
            into[:] = [mine[0], *self.lengths]
            return
        cut = [packet[:most].ljust(size, b"?")[:size] for packet, size in zip(self.packets, counts[1:], strict=True)]
        into[:] = np.frombuffer(mine.tobytes() + b"".join(cut), np.uint8)

    def gather_to_all(self, mine: NDArray[Any], into: NDArray[Any], counts: NDArray[Any]) -> None:
        self.gather(mine, into, counts, most=into.nbytes)

    def broadcast(self, buffer: NDArray[Any]) -> None:
        pass

    def sum_to_root(self, parts: NDArray[np.int64]) -> None:
        raise AssertionError("no call of a round")

    def minimum(self, value: int) -> int:
        raise AssertionError("no call of a round")


def reducer_takes(
    compressor: Compressor, dim: int, packet: bytes, feedback: Feedback, mode: Mode, claim: int | None = None
) -> None:
    """Two rounds in which one rank sends `packet`, of which it says that it has `claim` bytes.

    A last byte of 0 says that the rank has failed, and is the one thing that is believed. Otherwise the round has a
    finite aggregate, and no more memory is taken than for the longest messages.
    """
    comm, said = Scripted(), vectors(RANKS, dim)
    settings = Settings(compressor, NormTrim(beta=0.25), feedback, None, mode, _SEED)
    session = Session(comm, settings, flattened(said[0])[0], RANKS, None)
    longest = compressor.max_nbytes(flattened(said[0])[0].layout) + 1
    for round in range(2):
        sent = [_honest(compressor, said[worker], worker, round) for worker in range(1, RANKS)]
        sent[HOSTILE - 1] = packet
        comm.packets = sent
        comm.lengths = [len(each) for each in sent]
        if claim is not None:
            comm.lengths[HOSTILE - 1] = claim
        received = packet.ljust(longest, b"?")[:longest] if compressor.fixed_length() else packet[:longest]
        if claim is None and received[-1:] == b"\0":
            with pytest.raises(RankFault, match=f"rank {HOSTILE} failed in round {round + 1} of the reducer"):
                session.reduce(lambda: said[0], 1.0)
            return
        aggregate = session.reduce(lambda: said[0], 1.0)
        assert aggregate.shape == (dim,)
        assert np.isfinite(aggregate).all()
        assert session.kept is not None
        assert session.kept.sum() == RANKS - 1
        for rows in session.memory.center.values():
            assert np.isfinite(np.delete(rows, HOSTILE, axis=0)).all()


def _honest(compressor: Compressor, v: NDArray[np.float64], worker: int, round: int) -> bytes:
    code = drawn(compressor, v.size, stream(_SEED, worker, round, Purpose.SHARED))
    return code.encode(v, stream(_SEED, worker, round, Purpose.ENCODE)) + b"\1"
