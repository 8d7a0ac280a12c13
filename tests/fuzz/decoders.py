"""What may come of a message, whatever its bytes: a finite vector, the same by every way, or `Malformed`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators.base import Context, bound
from mpirobust.aggregators.mean import Mean
from mpirobust.aggregators.norm_trim import NormTrim
from mpirobust.algorithms.base import Query
from mpirobust.compressors.base import BLOCK, Code, Compressor
from mpirobust.errors import Malformed
from mpirobust.feedback.base import Feedback
from mpirobust.feedback.difference import Difference
from mpirobust.feedback.none import NoFeedback
from mpirobust.reducer.settings import Mode as ReducerMode
from mpirobust.round_times import RoundTimes
from mpirobust.streams import Purpose, stream
from mpirobust.testing.examples import EXAMPLES, components, fitting
from mpirobust.testing.support.attack_rounds import vectors
from mpirobust.testing.support.codes import drawn, inbox_of, length
from mpirobust.testing.support.judging import judged
from mpirobust.types import Message, Norm, Vector
from tests.fuzz import reducers
from tests.fuzz.config import receiver

ORDERS = (1.0, 2.0, np.inf, 1.5)
_DIMS = [1, 9, 123]
_IN_BLOCKS = ("l1-qsgd", "qsgd", "rotated", "sign", "terngrad", "uniform")  # short: a second block is affordable


@dataclass(frozen=True)
class Case:
    """A code for vectors of one length."""

    compressor: Compressor
    dim: int

    def code(self) -> Code:
        return drawn(self.compressor, self.dim, shared(0))

    def seeds(self) -> list[bytes]:
        """Honest messages: of vectors of different shape, and of what diverges."""
        rng = np.random.default_rng(self.dim)
        made = [
            rng.standard_normal(self.dim),
            np.zeros(self.dim),
            np.where(np.arange(self.dim) == self.dim // 2, -3e30, 0.0),
            rng.standard_t(1, self.dim),
            np.full(self.dim, np.nan),
        ]
        with np.errstate(over="ignore", invalid="ignore"):
            return [self.code().encode(v, stream(1, 0, 0, Purpose.ENCODE)) for v in made]


def shared(worker: int) -> np.random.Generator:
    return stream(1, worker, 0, Purpose.SHARED)


@cache
def cases(kind: str) -> list[Case]:
    """Every example of a kind, with the lengths that it takes."""
    dims = [*_DIMS, BLOCK + 9] if kind in _IN_BLOCKS else _DIMS
    found = fitting("compressor", dims)
    names = [name for name in found if any(name.startswith(each) for each in _prefixes(kind))]
    return [Case(*found[name]) for name in names]


def _prefixes(kind: str) -> list[str]:
    settings = EXAMPLES["compressor"][kind]
    return ["-".join([kind, *(f"{key}={value}" for key, value in each.items())]) + "-d" for each in settings]


def vector_or_malformed(case: Case, message: bytes) -> Vector | None:
    """The vector of `message` as all ways of the contract agree on it; None where it is refused or not finite."""
    code, dim = _code(case), case.dim
    held = bytearray(b"?" + message)  # as in the receive buffer: writable, and not aligned
    view = memoryview(held)[1:]
    norms = [_norm(code, view, q) for q in ORDERS]
    assert len({norm is None for norm in norms}) == 1, "malformed for one order and not for another"
    assert all(norm is None or norm >= 0 or np.isnan(norm) for norm in norms)
    decoded = _decoded(code, view)
    assert (decoded is not None) == (norms[1] is not None and bool(np.isfinite(norms[1]))), "decode and norm disagree"
    sound = [norm is not None and bool(np.isfinite(norm)) for norm in norms]
    if any(sound):
        vector = np.zeros(dim)
        code.add_to(vector, np.ones(1), [view])
        assert np.isfinite(vector).all(), "a finite norm, and a vector that is not"
        assert decoded is None or np.array_equal(vector, decoded)
        assert np.array_equal(_filled(code, view), vector), "fill and add_to disagree"
        for q, norm, finite in zip(ORDERS, norms, sound, strict=True):
            if finite and norm is not None:
                np.testing.assert_allclose(norm, length(vector, q), rtol=1e-9, atol=1e-150)
        decoded = vector if decoded is None else decoded
    assert bytes(held) == b"?" + message, "the message was written to"
    return decoded


@cache
def _code(case: Case) -> Code:
    return case.code()


def _norm(code: Code, message: Message, q: float) -> float | None:
    try:
        return code.norm(message, q)
    except Malformed:
        return None


def _decoded(code: Code, message: Message) -> Vector | None:
    try:
        vector = code.decode(message)
    except Malformed:
        return None
    assert (vector.shape, vector.dtype) == ((code.dim,), np.dtype(np.float64))
    assert np.isfinite(vector).all()
    return vector


def _filled(code: Code, message: Message) -> Vector:
    parts = []
    for start in reversed(range(0, code.dim, BLOCK)):
        block = np.full((1, min(BLOCK, code.dim - start)), np.nan)
        code.fill(block, [message], start)
        parts.append(block[0])
    return np.concatenate(parts[::-1])


def inbox_takes(case: Case, message: bytes, norm: Norm) -> None:
    """What a rule sees of a worker that sends `message` to a round, beside one that is honest."""
    dim, honest = case.dim, case.seeds()[0]
    claim = np.array(1.5, "<f8").tobytes() if norm.claimed else b""
    inbox = inbox_of([message, claim + honest], dim, case.compressor, norm, 0.5, shared)
    first = inbox.norms[0]
    assert first >= 0
    vector = vector_or_malformed(case, message[8:] if norm.claimed else message)
    assert bool(inbox.sound[0]) == bool(np.isfinite(first))
    if norm.claimed:
        if len(message) >= 8:
            said = float(np.frombuffer(message, "<f8", 1)[0])
            assert first in (said, np.inf)  # the claim as it stands, or unsound
        assert vector is not None or first == np.inf
    elif vector is None:
        assert first == np.inf
    if not inbox.sound[0]:
        return
    assert vector is not None
    alone = np.array([True, False])
    assert np.array_equal(inbox.average(alone), 0.5 * vector)
    assert np.array_equal(inbox.combine(np.array([-2.0, 0.0])), -vector)
    blocks = np.concatenate([block.copy() for _, block in inbox.blocks(np.arange(1))], axis=1)
    assert np.array_equal(blocks[0], 0.5 * vector)


def rounds_take(case: Case, message: bytes, feedback: Feedback, norm: Norm) -> None:
    """Two rounds of a center to which one worker of four sends `message` each time."""
    m, dim = 4, case.dim
    center, query = receiver(case.compressor, dim, m, feedback, norm), Query((np.zeros(dim),))
    said = vectors(m, dim)
    for round in range(2):
        before = {name: rows.copy() for name, rows in center.memory.items()}
        sent: list[Message] = [_honest(case, v, worker, round, norm) for worker, v in enumerate(said)]
        sent[2] = memoryview(bytearray(message))
        exchange = center.exchange(round, query, bound(Mean(), None, Context(round, query)), sent, RoundTimes())
        answers = exchange.answers
        assert exchange.bytes_up == sum(map(len, sent))
        assert answers.sound[[0, 1, 3]].all(), "one worker's bytes made another one unsound"
        for name, rows in center.memory.items():
            moved = np.flatnonzero((rows != before[name]).any(axis=1))
            assert answers.sound[2] or 2 not in moved or not np.isfinite(rows[2]).all()
            assert np.isfinite(rows[[0, 1, 3]]).all()
        for rule in (NormTrim(beta=0.25), NormTrim(beta=0.0)):
            verdict = judged(rule, answers)
            assert verdict.step.shape == (dim,)
            assert not (verdict.kept & ~answers.sound).any(), "an unsound message was kept"
            if rule.beta and not norm.claimed:
                longest = np.sort(answers.norms)[-2]
                assert (answers.norms[verdict.kept] <= longest).all()
                assert np.isfinite(verdict.step).all()


def _honest(case: Case, v: NDArray[np.float64], worker: int, round: int, norm: Norm) -> bytes:
    code = drawn(case.compressor, case.dim, stream(1, worker, round, Purpose.SHARED))
    claim = np.array(np.sqrt(v @ v), "<f8").tobytes() if norm.claimed else b""
    return claim + code.encode(v, stream(1, worker, round, Purpose.ENCODE))


_REDUCERS: list[tuple[ReducerMode, Feedback]] = [("center", NoFeedback()), ("symmetric", Difference())]


def reducers_take(case: Case, message: bytes, mode: ReducerMode, feedback: Feedback) -> None:
    """A reducer that gets the message, and one that takes its last byte for what tells of a failure."""
    for packet in (message + b"\1", message):
        reducers.reducer_takes(case.compressor, case.dim, packet, feedback, mode)


@dataclass(frozen=True)
class Mode:
    """One thing that is done with a message."""

    judge: Callable[[Case, bytes], object]
    claimed: bool = False  # whether a message begins with its norm


MODES = [
    Mode(vector_or_malformed),
    *(Mode(partial(inbox_takes, norm=Norm(q, claimed)), claimed) for q in ORDERS for claimed in (False, True)),
    *(Mode(partial(rounds_take, feedback=feedback, norm=Norm())) for feedback in components("feedback").values()),
    Mode(partial(rounds_take, feedback=NoFeedback(), norm=Norm(2.0, claimed=True)), claimed=True),
    Mode(partial(rounds_take, feedback=Difference(), norm=Norm(np.inf))),
    *(Mode(partial(reducers_take, mode=mode, feedback=feedback)) for mode, feedback in _REDUCERS),
]
