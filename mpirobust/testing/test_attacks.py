"""The contract of every attack: it leaves its input alone, keeps to shapes, and is a function of its stream."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mpirobust.attacks.base import Attack, DataAttack, MessageAttack, Spy, UpdateAttack, WireAttack
from mpirobust.attacks.garbage import Garbage
from mpirobust.attacks.gaussian import Gaussian
from mpirobust.attacks.label_flip import LabelFlip
from mpirobust.attacks.label_random import LabelRandom
from mpirobust.attacks.negative import Negative
from mpirobust.components import component
from mpirobust.compressors.base import Compressor
from mpirobust.compressors.identity import Identity
from mpirobust.compressors.l1_qsgd import L1QSGD
from mpirobust.compressors.randomk import RandomK
from mpirobust.compressors.topk import TopK
from mpirobust.errors import PlanFault
from mpirobust.streams import Purpose, stream
from mpirobust.testing.examples import admits, components, fitting, one_of_each_kind, wire_formats
from mpirobust.testing.support.attack_rounds import SEED, Round, byzantine, vectors
from mpirobust.testing.support.shards import contents, made_shard
from mpirobust.types import Message, Norm

pytestmark = pytest.mark.usefixtures("as_in_a_run")

ALL: dict[str, Attack] = components("attack")


def of(kind: Any) -> pytest.MarkDecorator:
    """Parametrise over the attacks of one contract."""
    found = {name: attack for name, attack in ALL.items() if isinstance(attack, kind)}
    return pytest.mark.parametrize("attack", found.values(), ids=found.keys())


def rng(round: int = 0) -> np.random.Generator:
    return stream(1, 3, round, Purpose.TAMPER)


@pytest.mark.parametrize("attack", ALL.values(), ids=ALL.keys())
def test_is_of_a_known_contract(attack: Attack) -> None:
    assert isinstance(attack, DataAttack | UpdateAttack | MessageAttack | WireAttack), (
        "give the new contract its tests here"
    )
    assert attack.alpha == 0.2


@of(DataAttack)
@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("sparsely", [False, True])
def test_data_attack(attack: DataAttack, classes: int, sparsely: bool) -> None:
    if not admits(attack, classes):
        pytest.skip(f"not for {classes} classes")
    shard = made_shard(50, 4, classes, sparsely=sparsely)
    before = contents(shard)
    poisoned = attack.poison(shard, rng())
    assert contents(shard) == before
    assert contents(poisoned) == contents(attack.poison(shard, rng()))
    assert contents(poisoned) != before
    assert (poisoned.rows, poisoned.classes, poisoned.total) == (shard.rows, classes, shard.total)
    assert (poisoned.X.shape, poisoned.XT.shape, poisoned.y.dtype) == (shard.X.shape, shard.XT.shape, shard.y.dtype)
    assert np.isin(poisoned.y, np.arange(classes)).all()


@of(UpdateAttack)
@pytest.mark.parametrize("dim", [1, 9, 1000])
def test_update_attack(attack: UpdateAttack, dim: int) -> None:
    answer = np.random.default_rng(0).standard_normal(dim)
    before = answer.copy()
    answer.flags.writeable = False
    corrupt = attack.corrupt(answer, rng())
    np.testing.assert_array_equal(answer, before)
    assert (corrupt.shape, corrupt.dtype) == (answer.shape, answer.dtype)
    assert not np.shares_memory(corrupt, answer)
    np.testing.assert_array_equal(corrupt, attack.corrupt(answer, rng()))


@of(WireAttack)
@pytest.mark.parametrize("nbytes", [0, 1, 3, 4, 20, 1000])
def test_wire_attack(attack: WireAttack, nbytes: int) -> None:
    message = np.random.default_rng(0).bytes(nbytes)
    before = bytes(bytearray(message))
    for round in range(50):
        sent = attack.tamper(message, rng(round))
        assert isinstance(sent, bytes)
        assert sent == attack.tamper(message, rng(round))
    assert message == before


CODES = wire_formats(9)
BAD = {0: b"", 2: b"\xff" * 7, 5: b"\xff" * 500}  # whatever the code

OMNISCIENT = {name: attack for name, attack in ALL.items() if isinstance(attack, MessageAttack)}
KINDS = one_of_each_kind(OMNISCIENT)

each_kind = pytest.mark.parametrize("attack", KINDS.values(), ids=KINDS.keys())
over_codes = pytest.mark.parametrize("compressor", CODES.values(), ids=CODES.keys())


def honest_round(attack: Attack, compressor: Compressor, size: float = 1.0, **fields: Any) -> Round:
    """Ten workers, two of them Byzantine, in nine dimensions."""
    return Round(attack, size * vectors(10, 9), compressor, **fields)


def sent_by_the_rules(game: Round) -> list[Message]:
    """The center receives own bytes of the Byzantine, of a length that may be, the same every time."""
    before = list(map(bytes, game.due))
    sent, limit = game.forged(), game.config.wire.message_limit()
    assert list(map(bytes, game.due)) == before
    assert sent == game.forged()
    for worker, message in enumerate(sent):
        if worker in game.config.byzantine:
            assert isinstance(message, bytes)
            assert len(message) <= limit + (len(before[worker]) > limit)  # what is changed may have been too long
        else:
            assert message is game.due[worker]
    return sent


def test_every_omniscient_kind_meets_every_code() -> None:
    assert {type(attack) for attack in KINDS.values()} == {type(attack) for attack in OMNISCIENT.values()}
    fits = {type(compressor) for compressor, _ in fitting("compressor", [9]).values()}
    assert {type(compressor) for compressor in CODES.values()} == fits


@each_kind
@over_codes
def test_message_attack(attack: MessageAttack, compressor: Compressor) -> None:
    for norm in (Norm(), Norm(2.0, claimed=True)):
        game = honest_round(attack, compressor, norm=norm)
        sent = sent_by_the_rules(game)
        if attack.adheres():
            assert game.inbox(sent).sound.all()


@pytest.mark.parametrize("attack", OMNISCIENT.values(), ids=OMNISCIENT.keys())
def test_message_attack_with_every_setting(attack: MessageAttack) -> None:
    for compressor in (Identity(), L1QSGD(), TopK(k=3), RandomK(k=4)):
        for more in ({}, {"instead": BAD}, {"states": vectors(10, 9, seed=1)}):
            game = honest_round(attack, compressor, **more)
            sent = sent_by_the_rules(game)
            if attack.adheres():
                assert game.inbox(sent).sound[game.config.byzantine].all()


@each_kind
@over_codes
def test_message_attack_among_unsound_messages(attack: MessageAttack, compressor: Compressor) -> None:
    game = honest_round(attack, compressor, instead=BAD)
    sent = sent_by_the_rules(game)
    sound = game.inbox(sent).sound
    assert not sound[np.intersect1d(game.honest, list(BAD))].any()
    if attack.adheres():
        assert sound[game.config.byzantine].all()


@each_kind
@over_codes
def test_message_attack_where_nothing_is_sound(attack: MessageAttack, compressor: Compressor) -> None:
    game = honest_round(attack, compressor, instead=dict.fromkeys(range(10), b""))
    sent = sent_by_the_rules(game)
    assert (game.inbox(sent).norms >= 0).all()  # what is sent may be anything, but the center can look at it


@each_kind
@over_codes
def test_message_attack_on_compressed_differences(attack: MessageAttack, compressor: Compressor) -> None:
    states = vectors(10, 9, seed=1)
    before = states.copy()
    game = honest_round(attack, compressor, states=states)
    sent = sent_by_the_rules(game)
    np.testing.assert_array_equal(game.receiver.memory["state"], before)
    if attack.adheres():
        assert game.inbox(sent).sound.all()


@each_kind
@over_codes
def test_message_attack_at_the_ends_of_the_numbers(attack: MessageAttack, compressor: Compressor) -> None:
    """A run that stands still or diverges."""
    for size in (0.0, 1e-320, 1e-40, 1e37, 1e160, 1e308):
        game = honest_round(attack, compressor, size=size)
        sent = sent_by_the_rules(game)
        assert (game.inbox(sent).norms >= 0).all()


THEIR_OWN = {name: attack for name, attack in OMNISCIENT.items() if getattr(attack, "knowledge", None) == "own"}


@pytest.mark.parametrize("attack", THEIR_OWN.values(), ids=THEIR_OWN.keys())
def test_who_knows_only_its_own_answers_does_not_depend_on_others(attack: MessageAttack) -> None:
    """But on its own; and who knows all depends on others."""
    own, others = vectors(10, 9), vectors(10, 9, seed=1)
    bad = byzantine(attack, 10, SEED)
    mixed, changed = others.copy(), own.copy()
    mixed[bad], changed[bad] = own[bad], others[bad]

    def sent(answers: NDArray[np.float64], by: Attack = attack) -> list[bytes]:
        messages = Round(by, answers).forged()
        return [bytes(messages[worker]) for worker in bad]

    assert sent(own) == sent(mixed) != sent(changed)
    knowing: Any = attack
    knowing = replace(knowing, knowledge="all")
    assert sent(own, knowing) != sent(mixed, knowing)


@component
class Flood(MessageAttack):
    """Sends far too much."""

    def forge(self, worker: int, spy: Spy, rng: np.random.Generator) -> bytes:
        return rng.bytes(10**6)


def test_what_is_forged_is_cut_one_byte_above_the_longest_honest_message() -> None:
    game = honest_round(Flood(alpha=0.2), L1QSGD())
    sent = game.forged()
    assert [len(sent[worker]) for worker in game.config.byzantine] == [game.config.wire.message_limit() + 1] * 2
    assert not game.inbox(sent).sound[game.config.byzantine].any()


@of(MessageAttack)
def test_message_attack_by_nobody(attack: MessageAttack) -> None:
    game = Round(attack, vectors(4, 9), L1QSGD())
    assert game.config.byzantine.size == 0
    assert game.forged() == game.due


@pytest.mark.parametrize("classes", [2, 10])
def test_label_flip_turns_the_classes_round(classes: int) -> None:
    shard = made_shard(50, 4, classes)
    poisoned = LabelFlip(alpha=0.1).poison(shard, rng())
    np.testing.assert_array_equal(poisoned.y, classes - 1 - shard.y)
    np.testing.assert_array_equal(LabelFlip(alpha=0.1).poison(poisoned, rng()).y, shard.y)


@pytest.mark.parametrize("classes", [2, 10])
def test_label_random_is_uniform_whatever_the_label(classes: int) -> None:
    shard = made_shard(20_000, 1, classes)
    drawn = LabelRandom(alpha=0.1).poison(shard, rng()).y
    for label in range(classes):
        counts = np.bincount(drawn[shard.y == label].astype(int), minlength=classes)
        expected = counts.sum() / classes
        np.testing.assert_allclose(counts, expected, atol=5 * expected**0.5)


@pytest.mark.parametrize("attack", [LabelFlip(alpha=0.1), LabelRandom(alpha=0.1)], ids=["flip", "random"])
def test_label_attacks_need_classes(attack: DataAttack) -> None:
    attack.admit(2)
    with pytest.raises(PlanFault, match="real targets") as caught:
        attack.admit(0)
    assert caught.value.where == "kind"


def test_negative_turns_the_answer_round() -> None:
    answer = np.array([1.0, -2.0, 0.0])
    np.testing.assert_array_equal(Negative(alpha=0.1, factor=0.5).corrupt(answer, rng()), [-0.5, 1, 0])


def test_gaussian_adds_noise_of_its_variance() -> None:
    answer = np.full(100_000, 7.0)
    noise = Gaussian(alpha=0.1, variance=9.0).corrupt(answer, rng()) - answer
    np.testing.assert_allclose(noise.mean(), 0, atol=5 * 3 / 100_000**0.5)
    np.testing.assert_allclose(noise.var(), 9, rtol=5 * (2 / 100_000) ** 0.5)
    np.testing.assert_array_equal(Gaussian(alpha=0.1, variance=0.0).corrupt(answer, rng()), answer)


def test_garbage_sends_other_lengths_and_numbers_that_are_none() -> None:
    message = np.ones(5, "<f4").tobytes()
    sent = [Garbage(alpha=0.1).tamper(message, rng(round)) for round in range(200)]
    lengths = {len(each) for each in sent}
    assert min(lengths) < len(message) < max(lengths)
    numbers = [np.frombuffer(each, "<f4") for each in sent if len(each) == len(message)]
    assert any(np.isnan(each).all() for each in numbers)
    assert any(np.isinf(each).all() for each in numbers)


@given(alpha=st.floats(0, 1, exclude_max=True), workers=st.integers(1, 300), seed=st.integers(0, 2**63 - 1))
def test_byzantine_workers_are_distinct_and_as_many_as_alpha_says(alpha: float, workers: int, seed: int) -> None:
    attack = Negative(alpha=alpha)
    chosen = byzantine(attack, workers, seed)
    assert chosen.size == int(alpha * workers + 1e-9)
    assert (np.diff(chosen) > 0).all()
    assert ((chosen >= 0) & (chosen < workers)).all()
    np.testing.assert_array_equal(chosen, byzantine(attack, workers, seed))


def test_byzantine_workers_depend_on_the_seed_and_not_on_the_kind() -> None:
    chosen = byzantine(Negative(alpha=0.3), 100, 1)
    np.testing.assert_array_equal(chosen, byzantine(Garbage(alpha=0.3), 100, 1))
    assert not np.array_equal(chosen, byzantine(Negative(alpha=0.3), 100, 2))
    counts = np.bincount(np.concatenate([byzantine(Negative(alpha=0.3), 10, seed) for seed in range(1000)]))
    np.testing.assert_allclose(counts, 300, atol=5 * (1000 * 0.3 * 0.7) ** 0.5)


@pytest.mark.parametrize(("alpha", "workers", "count"), [(0.3, 10, 3), (0.1, 30, 3), (0.29, 100, 29), (0.1, 9, 0)])
def test_alpha_times_m_is_rounded_down_but_not_for_rounding_errors(alpha: float, workers: int, count: int) -> None:
    assert byzantine(Negative(alpha=alpha), workers, 1).size == count


def test_without_an_attack_all_are_honest() -> None:
    assert byzantine(None, 10, 1).size == 0
