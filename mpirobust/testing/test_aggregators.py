"""The contract of every rule: it keeps only what is sound, treats workers alike, and stays among the honest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mpirobust.aggregators.base import Aggregator
from mpirobust.aggregators.bucketing import Bucketing
from mpirobust.aggregators.bulyan import Bulyan
from mpirobust.aggregators.cge import CGE
from mpirobust.aggregators.clipping import Clipping
from mpirobust.aggregators.dnc import DnC
from mpirobust.aggregators.fltrust import FLTrust
from mpirobust.aggregators.krum import Krum
from mpirobust.aggregators.majority_vote import MajorityVote
from mpirobust.aggregators.mda import MDA
from mpirobust.aggregators.meamed import MeaMed
from mpirobust.aggregators.mean import Mean
from mpirobust.aggregators.median import Median
from mpirobust.aggregators.median_of_means import MedianOfMeans
from mpirobust.aggregators.monna import MoNNA
from mpirobust.aggregators.multi_krum import MultiKrum
from mpirobust.aggregators.nnm import NNM
from mpirobust.aggregators.norm_trim import NormTrim
from mpirobust.aggregators.smea import SMEA
from mpirobust.aggregators.trimmed_mean import TrimmedMean
from mpirobust.aggregators.zeno import Zeno
from mpirobust.answers import NORM_PREFIX, Inbox
from mpirobust.compressors.base import Compressor
from mpirobust.compressors.identity import Identity
from mpirobust.compressors.l1_qsgd import L1QSGD
from mpirobust.compressors.randomk import RandomK
from mpirobust.compressors.topk import TopK
from mpirobust.errors import PlanFault
from mpirobust.streams import Purpose, stream
from mpirobust.testing.examples import components
from mpirobust.testing.support.codes import code_of, drawn, inbox_of
from mpirobust.testing.support.judging import judged
from mpirobust.types import Message, Norm, Vector

ALL: dict[str, Aggregator] = components("aggregator")
AVERAGING = {
    name: rule
    for name, rule in ALL.items()
    if isinstance(rule, Mean | NormTrim | Krum | MultiKrum | CGE | DnC | MDA | MoNNA | SMEA | Zeno)
}
DEFENDING = {name: rule for name, rule in ALL.items() if rule.tolerates() is not None}
IN_RANGE = {  # the step is between the honest values of every coordinate
    name: rule
    for name, rule in DEFENDING.items()
    if isinstance(rule, NormTrim | Median | TrimmedMean | Krum | MultiKrum | Bulyan | CGE | MDA | MeaMed | SMEA)
    or (isinstance(rule, NNM) and isinstance(rule.rule, NormTrim | Median | TrimmedMean | Krum | NNM))
}
# Groups, buckets and trust go by number, and so it matters which worker says it.
SYMMETRIC = {name: rule for name, rule in ALL.items() if not isinstance(rule, MedianOfMeans | Bucketing | MoNNA)}
# The loss that Zeno compares is no linear function of the step.
SCALING = {name: rule for name, rule in ALL.items() if not isinstance(rule, Zeno)}
DIM = 9
CODES: list[Compressor] = [Identity(), Identity(dtype="float32"), L1QSGD(), TopK(k=3), RandomK(k=4)]
BAD: list[bytes] = [
    b"",
    b"\xff",
    np.full(DIM, np.nan).tobytes(),
    np.full(DIM, -np.inf).tobytes(),
    np.full(DIM, 1e200).tobytes(),  # each entry is finite, the norm is not
    np.zeros(DIM + 1).tobytes(),
]

each = pytest.mark.parametrize("rule", ALL.values(), ids=ALL.keys())


def vectors(m: int, seed: int = 0) -> NDArray[np.float64]:
    """Vectors of different lengths, shape (m, DIM)."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((m, DIM)) * rng.uniform(0.5, 2, (m, 1))


def inbox(
    vectors: Sequence[Vector] | NDArray[np.float64],
    compressor: Compressor | None = None,
    norm: Norm | None = None,
    scale: float = 1.0,
    instead: dict[int, bytes] | None = None,
) -> Inbox:
    """Return the inbox of a round in which these are sent, with other bytes from some workers."""
    compressor, norm = compressor or Identity(), norm or Norm()
    messages: list[Message] = []
    for worker, v in enumerate(vectors):
        message = code_of(compressor, DIM, worker, shared).encode(v, np.random.default_rng(worker))
        claim = np.array(np.linalg.norm(v, norm.q), NORM_PREFIX).tobytes() if norm.claimed else b""
        messages.append((instead or {}).get(worker, claim + message))
    return inbox_of(messages, DIM, compressor, norm, scale, shared)


def shared(worker: int) -> np.random.Generator:
    return stream(1, worker, 0, Purpose.SHARED)


@each
@settings(max_examples=40)
@given(data=st.data(), m=st.integers(1, 25))
def test_never_keeps_the_unsound(rule: Aggregator, data: st.DataObject, m: int) -> None:
    bad = data.draw(st.dictionaries(st.integers(0, m - 1), st.sampled_from(BAD)))
    with np.errstate(over="ignore", invalid="ignore"):  # as in a run
        box = inbox(vectors(m), instead=bad)
        verdict = judged(rule, box)
    assert not box.sound[list(bad)].any()
    assert box.sound.sum() == m - len(bad)
    assert (verdict.kept.dtype, verdict.kept.shape, verdict.step.shape) == (np.dtype(bool), (m,), (DIM,))
    assert not (verdict.kept & ~box.sound).any()
    assert np.isfinite(verdict.step).all()


@each
def test_takes_no_step_where_nobody_is_sound(rule: Aggregator) -> None:
    for m in (1, 2, 10):
        verdict = judged(rule, inbox(vectors(m), instead=dict.fromkeys(range(m), b"")))
        assert not verdict.kept.any()
        np.testing.assert_array_equal(verdict.step, np.zeros(DIM))


@pytest.mark.parametrize("rule", SYMMETRIC.values(), ids=SYMMETRIC.keys())
@settings(max_examples=30)
@given(order=st.permutations(range(11)))
def test_does_not_care_which_worker_says_it(rule: Aggregator, order: list[int]) -> None:
    said, silent = vectors(11), {order.index(4): b""}
    plain = judged(rule, inbox(said, instead={4: b""}))
    mixed = judged(rule, inbox(said[order], instead=silent))
    np.testing.assert_array_equal(mixed.kept, plain.kept[order])
    np.testing.assert_allclose(mixed.step, plain.step, rtol=1e-12, atol=1e-14)


@each
def test_leaves_the_inbox_alone(rule: Aggregator) -> None:
    box = inbox(vectors(10))
    before, sound = [bytes(message) for message in box.messages], box.sound
    one, other = judged(rule, box), judged(rule, box)
    assert [bytes(message) for message in box.messages] == before
    np.testing.assert_array_equal(box.sound, sound)
    np.testing.assert_array_equal(one.step, other.step)
    np.testing.assert_array_equal(one.kept, other.kept)


def outlying(m: int, number: int, size: float, together: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the answers of `m` workers, `number` of them far away, on one spot or not, and those of the honest."""
    said = vectors(m, seed=number)
    outliers = np.random.default_rng(number).permutation(m)[:number]
    said[outliers] = size * (np.ones(DIM) if together else np.sign(said[outliers]))
    return said, np.delete(said, outliers, axis=0)


def most(rule: Aggregator, m: int) -> int:
    """Return how many Byzantine workers of `m` the rule is set for; -1 if it is not for `m` workers."""
    number = min(int((rule.tolerates() or 0.0) * m + 1e-9), (m - 1) // 2)
    return number if admits(rule, m, number) else -1


def admits(rule: Aggregator, workers: int, byzantine: int) -> bool:
    try:
        rule.admit(workers, byzantine)
    except PlanFault:
        return False
    return True


AGREEING = {
    f"{name}-{m}": (rule, m)
    for name, rule in ALL.items()
    for m in (1, 2, 3, 20)
    if admits(rule, m, 0) and not isinstance(rule, Clipping | FLTrust)  # they set lengths
}


def bearing(rules: Mapping[str, Aggregator], numbers: Sequence[int]) -> dict[str, tuple[Aggregator, int]]:
    """Rules, each with every number of workers of which it bears that one is Byzantine."""
    return {f"{name}-{m}": (rule, m) for name, rule in rules.items() for m in numbers if most(rule, m) > 0}


# Far outliers in several directions are too many for DnC: tests/aggregators/test_dnc.py.
BOUNDED = {name: rule for name, rule in DEFENDING.items() if not isinstance(rule, DnC)}
RANGED, MOVED = bearing(IN_RANGE, [7, 10, 20]), bearing(BOUNDED, [7, 20])


@pytest.mark.parametrize(("rule", "m"), RANGED.values(), ids=RANGED.keys())
@pytest.mark.parametrize("size", [1e3, 1e100])
def test_outliers_do_not_move_the_step_out_of_the_honest_range(rule: Aggregator, m: int, size: float) -> None:
    """Up to β m of them, however long and whether they collude or not."""
    for number in range(1, most(rule, m) + 1):
        for together in (False, True):
            said, honest = outlying(m, number, size, together)
            step = judged(rule, inbox(said)).step
            assert (step >= honest.min(axis=0) - 1e-9).all()
            assert (step <= honest.max(axis=0) + 1e-9).all()


@pytest.mark.parametrize(("rule", "m"), MOVED.values(), ids=MOVED.keys())
@pytest.mark.parametrize("size", [1e3, 1e6, 1e100])
def test_outliers_move_the_step_no_further_however_far_they_are(rule: Aggregator, m: int, size: float) -> None:
    """The geometric median of honest vectors in a ball of radius r moves by less than 2 (1 - α)/(1 - 2α) r."""
    for number in range(most(rule, m) + 1):
        for together in (False, True):
            said, honest = outlying(m, number, size, together)
            alpha, radius = number / m, np.linalg.norm(honest - honest.mean(axis=0), axis=1).max()
            bound = 2 * (1 - alpha) / (1 - 2 * alpha) * radius + np.sqrt(DIM) * isinstance(rule, MajorityVote)
            radius = getattr(rule, "radius", 0.0) * getattr(rule, "iterations", 0)  # clipped, they still pull
            assert np.linalg.norm(judged(rule, inbox(said)).step - honest.mean(axis=0)) <= bound + alpha * radius


@pytest.mark.parametrize("rule", DEFENDING.values(), ids=DEFENDING.keys())
def test_without_an_outlier_the_step_is_among_the_honest_as_well(rule: Aggregator) -> None:
    for m in (7, 10, 20):
        if admits(rule, m, 0):
            said, step = vectors(m), judged(rule, inbox(vectors(m))).step
            radius = np.linalg.norm(said - said.mean(axis=0), axis=1).max()
            assert np.linalg.norm(step - said.mean(axis=0)) <= 2 * radius + 3 * isinstance(rule, MajorityVote)


def test_every_defending_rule_is_tried_with_outliers() -> None:
    for tried, kinds in ((RANGED, IN_RANGE), (MOVED, BOUNDED)):
        assert {type(rule) for rule, _ in tried.values()} == {type(rule) for rule in kinds.values()}
        assert {m for _, m in tried.values()} >= {7, 20}


@pytest.mark.parametrize(("rule", "m"), AGREEING.values(), ids=AGREEING.keys())
def test_agrees_with_what_all_say(rule: Aggregator, m: int) -> None:
    one = vectors(1)[0]
    step = judged(rule, inbox(np.tile(one, (m, 1)))).step
    np.testing.assert_allclose(step, np.sign(one) if isinstance(rule, MajorityVote) else one, rtol=1e-12)


@each
def test_a_vector_too_long_to_be_squared_is_only_an_outlier(rule: Aggregator) -> None:
    """Under the 1-norm such a message is sound."""
    cases: list[dict[int, float]] = [{}, {2: 1e200}, {0: 1e200, 2: -1e200}, {2: 2e153}]
    for beside in cases:
        said = vectors(11)
        for worker, size in beside.items():
            said[worker] = size
        verdict = judged(rule, inbox(said, norm=Norm(1.0)))
        assert np.isfinite(verdict.step).all()
        if rule.tolerates() is not None and len(beside) <= most(rule, 11):
            assert np.abs(verdict.step).max() < 1e3


@pytest.mark.parametrize("rule", AVERAGING.values(), ids=AVERAGING.keys())
@pytest.mark.parametrize("compressor", CODES, ids=repr)
@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_step_is_the_scaled_mean_of_what_the_kept_sent(rule: Aggregator, compressor: Compressor, scale: float) -> None:
    box = inbox(vectors(10), compressor, scale=scale, instead={3: b""})
    verdict = judged(rule, box)
    decoded = [
        code_of(compressor, DIM, worker, shared).decode(box.messages[worker])
        for worker in np.flatnonzero(verdict.kept).tolist()
    ]
    assert decoded
    np.testing.assert_allclose(verdict.step, scale * np.mean(decoded, axis=0), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("rule", SCALING.values(), ids=SCALING.keys())
def test_scale_scales_the_step_and_nothing_else(rule: Aggregator) -> None:
    one, half = (
        judged(rule, inbox(vectors(10))),
        judged(rule, inbox(vectors(10), scale=0.5)),
    )
    np.testing.assert_allclose(half.step, 0.5 * one.step, rtol=1e-12)
    np.testing.assert_array_equal(half.kept, one.kept)


def test_mean_keeps_all_that_is_sound() -> None:
    assert judged(Mean(), inbox(vectors(10), instead={2: b""})).kept.tolist() == [w != 2 for w in range(10)]
    assert Mean().tolerates() is None


class TestNormTrim:
    @given(m=st.integers(1, 60), beta=st.integers(0, 49))
    def test_drops_the_longest(self, m: int, beta: int) -> None:
        said = vectors(m, seed=m)
        verdict = judged(NormTrim(beta=beta / 100), inbox(said))
        drop = -(-beta * m // 100)  # ⌈β m⌉ in whole numbers
        expected = np.ones(m, dtype=bool)
        expected[np.argsort(np.linalg.norm(said, axis=1))[m - drop :]] = False
        np.testing.assert_array_equal(verdict.kept, expected)

    @pytest.mark.parametrize(
        ("beta", "m", "drop"),
        [(0.11, 200, 22), (0.3, 10, 3), (0.1, 30, 3), (0.07, 100, 7), (0.28, 25, 7), (0.31, 10, 4), (0.0, 9, 0)],
    )
    def test_rounds_up_but_not_for_rounding_errors(self, beta: float, m: int, drop: int) -> None:
        assert judged(NormTrim(beta=beta), inbox(vectors(m))).kept.sum() == m - drop

    def test_keeps_the_lower_numbers_of_equals(self) -> None:
        kept = judged(NormTrim(beta=0.3), inbox(np.ones((10, DIM)))).kept
        assert kept.tolist() == [True] * 7 + [False] * 3

    def test_counts_the_unsound_among_the_dropped(self) -> None:
        kept = judged(NormTrim(beta=0.3), inbox(np.ones((10, DIM)), instead={0: b"", 5: b""})).kept
        assert kept.tolist() == [False, *[True] * 4, False, *[True] * 3, False]
        kept = judged(NormTrim(beta=0.1), inbox(np.ones((10, DIM)), instead={0: b"", 5: b""})).kept
        assert kept.tolist() == [False, *[True] * 4, False, *[True] * 4]

    @pytest.mark.parametrize("q", [1.0, 1.5, 2.0, np.inf])
    def test_measures_by_the_norm_that_is_asked_for(self, q: float) -> None:
        said = vectors(20)
        kept = judged(NormTrim(beta=0.25), inbox(said, norm=Norm(q))).kept
        assert set(np.flatnonzero(~kept)) == set(np.argsort(np.linalg.norm(said, q, axis=1))[15:])

    def test_tolerates_beta(self) -> None:
        assert NormTrim(beta=0.3).tolerates() == 0.3


class TestOptionI:
    """P1 Alg. 1, Option I: the norm of the uncompressed answer comes beside the code."""

    norm = Norm(claimed=True)

    def with_claims(self, claims: dict[int, float], said: NDArray[np.float64]) -> Inbox:
        compressor, code = L1QSGD(), drawn(L1QSGD(), DIM)
        messages = {
            worker: np.array(claim, NORM_PREFIX).tobytes() + code.encode(said[worker], np.random.default_rng(0))
            for worker, claim in claims.items()
        }
        return inbox(said, compressor, self.norm, instead=messages)

    def test_sorts_by_the_claim(self) -> None:
        said = np.ones((4, DIM))
        box = self.with_claims({0: 9.0, 1: 1.0, 2: 8.0, 3: 2.0}, said)
        np.testing.assert_array_equal(box.norms, [9, 1, 8, 2])
        assert judged(NormTrim(beta=0.49), box).kept.tolist() == [False, True, False, True]

    @pytest.mark.parametrize("claim", [-1.0, -1e-300, np.nan, np.inf, -np.inf])
    def test_refuses_a_claim_that_is_no_norm(self, claim: float) -> None:
        """The inbox does, and no rule keeps what it has refused (`test_never_keeps_the_unsound`)."""
        box = self.with_claims({1: claim}, vectors(5))
        assert box.sound.tolist() == [True, False, True, True, True]
        assert judged(Mean(), box).kept.tolist() == box.sound.tolist()

    def test_still_looks_at_the_code(self) -> None:
        honest = np.array(1.0, NORM_PREFIX).tobytes()
        nan = np.array(np.nan, "<f4").tobytes()
        box = inbox(vectors(4), L1QSGD(), self.norm, instead={0: honest, 1: honest + nan + b"\0\0", 2: honest[:5]})
        assert box.sound.tolist() == [False, False, False, True]

    def test_counts_the_claim_among_the_bytes(self) -> None:
        plain, claimed = inbox(vectors(4), L1QSGD()), inbox(vectors(4), L1QSGD(), self.norm)
        assert claimed.nbytes == plain.nbytes + 4 * NORM_PREFIX.itemsize

    @pytest.mark.parametrize("compressor", CODES, ids=repr)
    def test_averages_the_codes_without_their_claims(self, compressor: Compressor) -> None:
        plain, claimed = inbox(vectors(5), compressor), inbox(vectors(5), compressor, self.norm)
        np.testing.assert_array_equal(judged(Mean(), claimed).step, judged(Mean(), plain).step)
