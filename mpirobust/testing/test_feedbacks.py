"""The contract of every feedback: ends that agree to the bit, memories that are replaced, no more than it names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mpirobust.answers import Inbox
from mpirobust.attacks.bitflip import Bitflip
from mpirobust.attacks.garbage import Garbage
from mpirobust.compressors.base import Codes, Compressor
from mpirobust.compressors.identity import Identity
from mpirobust.compressors.l1_qsgd import L1QSGD
from mpirobust.compressors.qsgd import QSGD
from mpirobust.compressors.randomk import RandomK
from mpirobust.compressors.rotated import Rotated
from mpirobust.compressors.topk import TopK
from mpirobust.feedback.base import Feedback
from mpirobust.feedback.residual import Residual
from mpirobust.testing.examples import components
from mpirobust.testing.support.feedback_rounds import Ends, Tamper
from mpirobust.testing.support.marina import Marina
from mpirobust.types import Message, Norm

pytestmark = pytest.mark.usefixtures("as_in_a_run")

ALL: dict[str, Feedback] = {**components("feedback"), "of this test": Marina()}
CODES: list[Compressor] = [
    Identity(),
    Identity(dtype="float32"),
    L1QSGD(),
    TopK(k=2),
    RandomK(k=4),
    QSGD(levels=4),
    Rotated(levels=5),
]
M, DIM = 4, 9
TAMPERING: dict[int, Tamper] = {  # worker 0 is honest
    1: Bitflip(alpha=0.2, rate=0.02).tamper,
    2: Garbage(alpha=0.2).tamper,
    3: lambda message, rng: b"" if rng.random() < 0.5 else message,
}

each = pytest.mark.parametrize("feedback", ALL.values(), ids=ALL.keys())
over_codes = pytest.mark.parametrize("compressor", CODES, ids=repr)


def those(wanted: Any) -> pytest.MarkDecorator:
    found = {name: feedback for name, feedback in ALL.items() if wanted(feedback)}
    assert found, "no example is tried"
    return pytest.mark.parametrize("feedback", found.values(), ids=found.keys())


def answers(t: int) -> NDArray[np.float64]:
    return np.random.default_rng(t).standard_normal((M, DIM)) + 1


@each
def test_memories_have_names_of_their_own_and_an_end_that_keeps_them(feedback: Feedback) -> None:
    memories = feedback.memories()
    names = [memory.name for memory in memories]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() for name in names)  # a word: it names a dataset of the checkpoint
    assert all(memory.at_worker or memory.at_center for memory in memories)
    assert feedback.memories() == memories


@each
@over_codes
@pytest.mark.parametrize("tampering", [{}, TAMPERING], ids=["honest", "tampered"])
def test_both_ends_of_a_memory_agree_to_the_bit(
    feedback: Feedback, compressor: Compressor, tampering: dict[int, Tamper]
) -> None:
    """After many rounds with sound and unsound messages; each end keeps what it names, of the right shape."""
    ends, unsound = Ends(feedback, compressor), np.zeros(M, int)
    for t in range(60):
        ends_answers = ends.received(t, ends.sent(t, answers(t), tampering=tampering))
        unsound += ~ends_answers.sound
        for memory in feedback.memories():
            rows = [np.asarray(worker[memory.name]) for worker in ends.workers if memory.at_worker]
            assert len(rows) == M * memory.at_worker
            assert all((row.shape, row.dtype) == ((DIM,), np.dtype(np.float64)) for row in rows)
            if memory.at_worker and memory.at_center:
                assert ends.center[memory.name].tobytes() == np.array(rows).tobytes(), f"{memory.name}, round {t}"
    names = {memory.name for memory in feedback.memories() if memory.at_worker}
    assert all(set(worker) == names for worker in ends.workers)
    assert set(ends.center) == {memory.name for memory in feedback.memories() if memory.at_center}
    assert unsound[0] == 0
    assert (unsound[[2, 3]] > 0).all() == bool(tampering)


@each
@over_codes
def test_a_given_memory_is_never_changed_in_place(feedback: Feedback, compressor: Compressor) -> None:
    """`Ends` seals all that it hands out: writing to it raises. What is returned is not the answer itself, either."""
    ends = Ends(feedback, compressor)
    for t in range(5):
        before = [{name: vector.copy() for name, vector in worker.items()} for worker in ends.workers]
        given = list(ends.workers)
        ends.received(t, ends.sent(t, answers(t), tampering=TAMPERING))
        for kept, copy in zip(given, before, strict=True):
            assert {name: vector.tobytes() for name, vector in kept.items()} == {
                name: vector.tobytes() for name, vector in copy.items()
            }


@each
@over_codes
def test_a_repeated_encode_says_the_same(feedback: Feedback, compressor: Compressor) -> None:
    """Both halves are functions: of the memory, and of streams that begin anew."""
    ends = Ends(feedback, compressor)
    for t in range(3):
        ends.sent(t, answers(t))
    memory = ends.workers[1]
    results = [feedback.encode(memory, ends.outgoing(3, 1, answers(3)[1])) for _ in range(2)]
    assert results[0][0] == results[1][0]
    for name in results[0][1]:
        np.testing.assert_array_equal(results[0][1][name], results[1][1][name])


@each
@over_codes
def test_an_unsound_message_changes_nothing_at_the_center_and_is_not_judged(
    feedback: Feedback, compressor: Compressor
) -> None:
    ends = Ends(feedback, compressor)
    ends.received(0, ends.sent(0, answers(0)))
    before = ends.copied_center()
    messages = ends.sent(1, answers(1))
    messages[2] = b"\xff" * len(messages[2])
    messages[3] = b""
    unsound = [not sound for sound in ends.inbox(1, messages).sound]
    found = ends.received(1, messages)
    assert unsound[3]
    assert (~found.sound).tolist() == unsound
    assert np.isinf(found.norms[unsound]).all()
    for name, rows in ends.center.items():
        np.testing.assert_array_equal(rows[unsound], before[name][unsound])
        assert (rows[[0, 1]] != before[name][[0, 1]]).any(axis=1).all()


@each
@over_codes
def test_what_one_sends_is_nothing_to_the_others(feedback: Feedback, compressor: Compressor) -> None:
    one, other = Ends(feedback, compressor), Ends(feedback, compressor)
    for t in range(4):
        many, few = one.sent(t, answers(t)), other.sent(t, answers(t), tampering=TAMPERING)
        seen, judged = one.received(t, many), other.received(t, few)
        assert few[0] == many[0]
        assert seen.norms[0] == judged.norms[0]
        alone = np.arange(M) == 0
        np.testing.assert_array_equal(seen.average(alone), judged.average(alone))


@each
def test_what_was_aimed_at_is_what_the_rule_sees(feedback: Feedback) -> None:
    """With a code that loses nothing, in units of the answer; nothing is kept of the attempt."""
    ends = Ends(feedback, Identity())
    for t in range(4):
        aimed = np.random.default_rng(100 + t).standard_normal(DIM)
        before = ends.copied_center()
        messages = ends.sent(t, answers(t))
        v = feedback.aim(ends.center, 1, aimed, ends.coin(t))
        messages[1] = ends.code(t, 1).encode(v, np.random.default_rng(0))
        assert all(np.array_equal(ends.center[name], before[name]) for name in before)
        seen = ends.received(t, messages, scale=1.0)
        np.testing.assert_allclose(seen.combine(np.eye(M)[1]), aimed, rtol=1e-12, atol=1e-14)


@each
@over_codes
@pytest.mark.parametrize("q", [1.0, 2.0, 3.5, np.inf])
def test_what_is_measured_is_what_the_rule_finds(feedback: Feedback, compressor: Compressor, q: float) -> None:
    norms = [Norm(q), Norm(q, claimed=True)] if feedback.sends_answers() else [Norm(q)]
    for norm in norms:
        ends = Ends(feedback, compressor, norm=norm)
        for t in range(4):
            messages, before = ends.sent(t, answers(t), tampering=TAMPERING), ends.copied_center()
            found = [_measured(ends, t, worker, message) for worker, message in enumerate(messages)]
            assert all(np.array_equal(ends.center[name], before[name]) for name in before)
            np.testing.assert_allclose(found, ends.received(t, messages).norms, rtol=1e-12)


def _measured(ends: Ends, t: int, worker: int, message: Message) -> float:
    code = ends.code(t, worker)
    alone = Inbox([message], DIM, Codes(code, lambda _: code), ends.norm)
    return ends.feedback.measure(ends.center, worker, alone, ends.coin(t))


@those(lambda feedback: not feedback.memories())
@over_codes
def test_a_feedback_that_keeps_nothing_has_forgotten_all(feedback: Feedback, compressor: Compressor) -> None:
    ends = Ends(feedback, compressor)
    for t in range(5):
        ends.received(t, ends.sent(t, answers(t)))
    fresh = Ends(feedback, compressor)
    assert ends.sent(5, answers(5)) == fresh.sent(5, answers(5))
    assert all(not worker for worker in ends.workers)
    assert not ends.center


@those(lambda feedback: feedback.sends_answers())
@over_codes
def test_the_message_is_the_code_of_the_answer(feedback: Feedback, compressor: Compressor) -> None:
    ends = Ends(feedback, compressor)
    for t in range(3):
        for worker, message in enumerate(ends.sent(t, answers(t))):
            outgoing = ends.outgoing(t, worker, answers(t)[worker])
            assert message == outgoing.code.encode(answers(t)[worker], outgoing.rng)


@each
def test_the_step_is_applied_once(feedback: Feedback) -> None:
    """By the workers or by the center: a step of a quarter gives a quarter of the first round, with a code in full."""
    found = []
    for scale in (1.0, 0.25):
        ends = Ends(feedback, Identity())
        seen = ends.received(0, ends.sent(0, answers(0), scale), scale)
        assert seen.scale == (1.0 if feedback.applies_step() else scale)
        found.append(seen.average(seen.sound))
    assert np.abs(found[0]).max() > 0
    np.testing.assert_allclose(found[1], 0.25 * found[0], rtol=1e-12)


@pytest.mark.parametrize("tampered", [False, True])
@over_codes
def test_residuals_lose_nothing(compressor: Compressor, tampered: bool) -> None:
    """Σ messages + residual = Σ γ g (P1 Alg. 2 l. 5), of what each should have sent."""
    ends = Ends(Residual(), compressor)
    total, intended = np.zeros((M, DIM)), list[Message]()

    def tap(message: bytes, _: np.random.Generator) -> bytes:
        intended.append(message)
        return b"\xff" if tampered else message

    for t in range(40):
        scale = 1 / (1 + t)
        intended.clear()
        ends.sent(t, answers(t), scale, dict.fromkeys(range(M), tap))
        for worker, message in enumerate(intended):
            total[worker] += ends.code(t, worker).decode(message) - scale * answers(t)[worker]
    left = np.array([worker["residual"] for worker in ends.workers])
    np.testing.assert_allclose(total + left, 0, atol=1e-12)
    assert (np.abs(left).max() > 1e-3) == (compressor not in CODES[:2])
