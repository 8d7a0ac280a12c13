from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from mpirobust.attacks.lying_scale import LyingScale
from mpirobust.compressors._sparse import position_nbytes
from mpirobust.compressors.base import Compressor
from mpirobust.compressors.identity import Identity
from mpirobust.compressors.l1_qsgd import L1QSGD
from mpirobust.compressors.randomk import RandomK
from mpirobust.compressors.topk import TopK
from mpirobust.testing.examples import fitting
from mpirobust.testing.support.attack_rounds import Round, vectors
from mpirobust.types import Message, Norm

WHERE: dict[str, tuple[Compressor, int, str]] = {
    "identity": (Identity(), 0, "<f8"),
    "float32": (Identity(dtype="float32"), 0, "<f4"),
    "l1-qsgd": (L1QSGD(), 0, "<f4"),
    "topk": (TopK(k=7), position_nbytes(123, 7), "<f4"),
    "topk-of-all": (TopK(k=123), position_nbytes(123, 123), "<f4"),
    "randomk": (RandomK(k=7), 0, "<f4"),
}


def lies(game: Round) -> list[tuple[Message, Message]]:
    """What was due and what was sent, by the Byzantine workers."""
    sent = game.forged()
    return [(game.due[worker], sent[worker]) for worker in game.config.byzantine]


@pytest.mark.parametrize("name", WHERE)
def test_only_the_first_number_changes(name: str) -> None:
    compressor, at, number = WHERE[name]
    size, seen = np.dtype(number).itemsize, set()
    for due, sent in lies(Round(LyingScale(alpha=0.4), vectors(100, 123), compressor)):
        assert len(sent) == len(due)
        assert sent[:at] == due[:at]
        assert sent[at + size :] == due[at + size :]
        true, told = (float(np.frombuffer(message, number, 1, at)[0]) for message in (due, sent))
        huge = float(np.finfo(number).max)
        assert told in (-true, 0, huge) or np.isnan(told)
        seen.add("nan" if np.isnan(told) else "huge" if told == huge else "zero" if told == 0 else "turned")
    assert seen == {"nan", "huge", "zero", "turned"}


CODES = fitting("compressor", [123])


@pytest.mark.parametrize("seed", [None, 1], ids=["none", "difference"])
@pytest.mark.parametrize("name", CODES)
def test_one_number_changes_whatever_the_code(name: str, seed: int | None) -> None:
    """Always, but for a code that sends no number, or a zero."""
    states = None if seed is None else vectors(50, 123, seed)
    pairs = lies(Round(LyingScale(alpha=0.4), vectors(50, 123), CODES[name][0], states=states))
    changed = [np.flatnonzero(np.frombuffer(due, np.uint8) != np.frombuffer(sent, np.uint8)) for due, sent in pairs]
    assert all(at.size == 0 or np.ptp(at) < 8 for at in changed)
    lied = sum(at.size > 0 for at in changed)
    assert lied == 0 if name.startswith("sign-") else lied > 10


@pytest.mark.parametrize("compressor", [L1QSGD(), TopK(k=7)], ids=["l1-qsgd", "topk"])
def test_under_option_one_it_is_the_claim(compressor: Compressor) -> None:
    for due, sent in lies(Round(LyingScale(alpha=0.4), vectors(20, 123), compressor, Norm(2.0, claimed=True))):
        assert sent[8:] == due[8:]
        assert sent[:8] != due[:8]


def test_no_lie_is_kept_by_the_norm_but_a_zero() -> None:
    """A scale is the whole of the norm of signs: negative and NaN are unsound, huge is trimmed, zero does nothing."""
    game = Round(LyingScale(alpha=0.4), vectors(100, 123), L1QSGD())
    norms = game.inbox(game.forged()).norms[game.config.byzantine]
    assert set(np.unique(norms > 0)) == {False, True}
    assert ((norms == 0) | (norms > 1e30)).all()


def test_a_message_too_short_for_a_lie_is_left() -> None:
    game = Round(LyingScale(alpha=0.4), vectors(5, 123), L1QSGD(), instead=dict.fromkeys(range(5), b"abc"))
    assert game.forged() == game.due


@pytest.mark.parametrize("lie", ["negative", "zero", "huge", "nan"])
def test_one_lie_where_one_is_asked_for(lie: Literal["negative", "zero", "huge", "nan"]) -> None:
    for due, sent in lies(Round(LyingScale(alpha=0.4, lie=lie), vectors(20, 123), L1QSGD())):
        true, told = (float(np.frombuffer(message, "<f4", 1)[0]) for message in (due, sent))
        wanted = {"negative": -true, "zero": 0.0, "huge": float(np.finfo("<f4").max), "nan": np.nan}[lie]
        np.testing.assert_array_equal(told, wanted)
