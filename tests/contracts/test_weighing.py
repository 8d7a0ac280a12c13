"""What every rule promises that weighs workers: one of weight two is two, and weights open no door to anybody."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mpirobust import catalog
from mpirobust.aggregators._around import Around
from mpirobust.aggregators.arc import ARC
from mpirobust.aggregators.base import Aggregator, Verdict, Weighing
from mpirobust.aggregators.bucketing import Bucketing
from mpirobust.aggregators.caf import CAF
from mpirobust.aggregators.centered_clipping import CenteredClipping
from mpirobust.aggregators.geometric_median import GeometricMedian
from mpirobust.aggregators.iterative_filtering import IterativeFiltering
from mpirobust.aggregators.majority_vote import MajorityVote
from mpirobust.aggregators.mean import Mean
from mpirobust.aggregators.median import Median
from mpirobust.aggregators.median_of_means import MedianOfMeans
from mpirobust.aggregators.monna import MoNNA
from mpirobust.aggregators.nnm import NNM
from mpirobust.aggregators.norm_trim import NormTrim
from mpirobust.aggregators.trimmed_mean import TrimmedMean
from mpirobust.compressors.base import BLOCK, Compressor
from mpirobust.compressors.identity import Identity
from mpirobust.compressors.l1_qsgd import L1QSGD
from mpirobust.errors import PlanFault
from mpirobust.plan import Plan
from mpirobust.testing.examples import components
from mpirobust.testing.support.codes import drawn, inbox_of
from mpirobust.testing.support.judging import judged
from mpirobust.testing.support.rule_rounds import squared_distances, vectors
from mpirobust.types import Message
from tests.aggregators.test_caf import word_for_word
from tests.aggregators.test_iterative_filtering import filtered
from tests.support.plans import changed, fault

RULES = {name: rule for name, rule in components("aggregator").items() if rule.weighs()}
SYMMETRIC = {name: rule for name, rule in RULES.items() if not isinstance(rule, MedianOfMeans | Bucketing | MoNNA)}
LIKE_TWO: list[tuple[Aggregator, float]] = [  # rules for which two workers are one of weight two, and to what error
    (Mean(), 1e-12),
    (NormTrim(beta=0.0), 1e-12),
    (Median(), 0.0),
    (GeometricMedian(iterations=3000, tolerance=1e-12), 1e-6),
    (MedianOfMeans(groups=1), 1e-12),
    (MajorityVote(), 0.0),
    (CenteredClipping(radius=1e9, iterations=1), 1e-6),
    (NNM(beta=0.0, rule=Median()), 1e-9),
    (ARC(beta=0.0, rule=Median()), 0.0),
    (Bucketing(size=99, rule=Mean()), 1e-12),
    (TrimmedMean(beta=0.0), 1e-12),
    (CAF(beta=0.0), 1e-12),
    (IterativeFiltering(beta=0.0), 1e-12),
]
KRUM = {"kind": "krum", "beta": 0.2}
WEIGHTS = st.lists(st.integers(1, 4), min_size=1, max_size=12).map(lambda counts: np.array(counts, np.float64))

each = pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())


def weighed(
    rule: Aggregator,
    said: NDArray[np.float64],
    weights: Sequence[float] | NDArray[np.float64] | None,
    code: Compressor | None = None,
    instead: dict[int, bytes] | None = None,
    scale: float = 0.3,
) -> Verdict:
    compressor, dim = code or Identity(), said.shape[1]
    sent = [drawn(compressor, dim).encode(v, np.random.default_rng(worker)) for worker, v in enumerate(said)]
    messages: list[Message] = [(instead or {}).get(worker, message) for worker, message in enumerate(sent)]
    counts = None if weights is None else np.array(weights, np.float64)
    return judged(rule, inbox_of(messages, dim, compressor, scale=scale, weights=counts))


def test_these_rules_weigh() -> None:
    room = catalog.ROOMS["aggregator"]
    kinds = {kind for kind in catalog.kinds(room) if not issubclass(catalog.load(room, kind, ""), Weighing | Around)}
    assert kinds == {"krum", "bulyan", "meamed"}
    others = {*catalog.kinds(room)} - kinds
    assert {type(rule) for rule in RULES.values()} == {catalog.load(room, kind, "") for kind in others}


@pytest.mark.parametrize(("rule", "error"), LIKE_TWO, ids=lambda value: type(value).__name__)
@settings(max_examples=40)
@given(weights=WEIGHTS)
def test_a_worker_of_weight_two_is_two_workers(rule: Aggregator, error: float, weights: NDArray[np.float64]) -> None:
    said = vectors(weights.size, 9, seed=weights.size)
    between_two = weights.size == 2 and weights[0] == weights[1]  # where every point is a geometric median
    assume(not (between_two and isinstance(rule, GeometricMedian)))
    verdict = weighed(rule, said, weights)
    twice = weighed(rule, np.repeat(said, weights.astype(int), axis=0), None)
    np.testing.assert_allclose(verdict.step, twice.step, rtol=error, atol=error)
    np.testing.assert_array_equal(np.repeat(verdict.kept, weights.astype(int)), twice.kept)


def test_the_median_of_an_even_weight_is_between_the_two_in_the_middle() -> None:
    said = np.array([[5.0], [0.0], [1.0]])
    assert weighed(Median(), said, [2, 1, 1], scale=1.0).step.tolist() == [3.0]
    assert weighed(Median(), said, [3, 1, 1], scale=1.0).step.tolist() == [5.0]
    assert weighed(Median(), said, [2, 1, 2], scale=1.0).step.tolist() == [1.0]


@pytest.mark.parametrize("code", [Identity(), L1QSGD()], ids=repr)
def test_equal_weights_give_the_bits_of_none(code: Compressor) -> None:
    """The mean as it was before there were weights: each with scale / n."""
    for m in (1, 3, 7, 49):
        said, dim = vectors(m, BLOCK + 5, seed=m), BLOCK + 5
        one = drawn(code, dim)
        messages: list[Message] = [one.encode(v, np.random.default_rng(at)) for at, v in enumerate(said)]
        plain = np.zeros(dim)
        one.add_to(plain, np.full(m, 0.3 / m), messages)
        assert weighed(Mean(), said, np.ones(m), code).step.tobytes() == plain.tobytes()
        assert weighed(Mean(), said, None, code).step.tobytes() == plain.tobytes()


@each
def test_only_ratios_count(rule: Aggregator) -> None:
    said, weights = vectors(11, 9), np.array([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5.0])
    one, other = weighed(rule, said, weights), weighed(rule, said, 7 * weights)
    np.testing.assert_allclose(other.step, one.step, rtol=1e-9)
    np.testing.assert_array_equal(other.kept, one.kept)
    equal, none = weighed(rule, said, np.full(11, 7.0)), weighed(rule, said, None)
    np.testing.assert_allclose(equal.step, none.step, rtol=1e-12, atol=1e-14)
    if rule != TrimmedMean(beta=0.49):  # which leaves one value, whoever has it
        assert np.abs(one.step - none.step).max() > 1e-3


@each
@settings(max_examples=30)
@given(data=st.data(), m=st.integers(1, 15))
def test_what_is_unsound_weighs_nothing(rule: Aggregator, data: st.DataObject, m: int) -> None:
    bad = data.draw(st.dictionaries(st.integers(0, m - 1), st.sampled_from([b"", np.full(9, np.nan).tobytes()])))
    weights = np.random.default_rng(m).integers(1, 9, m).astype(np.float64)
    one = weighed(rule, vectors(m, 9), weights, instead=bad)
    weights[list(bad)] *= 1e9
    other = weighed(rule, vectors(m, 9), weights, instead=bad)
    assert not one.kept[list(bad)].any()
    assert np.isfinite(one.step).all()
    assert other.step.tobytes() == one.step.tobytes()
    np.testing.assert_array_equal(other.kept, one.kept)


@pytest.mark.parametrize("rule", SYMMETRIC.values(), ids=SYMMETRIC.keys())
@settings(max_examples=30)
@given(order=st.permutations(range(11)))
def test_does_not_care_which_worker_says_it(rule: Aggregator, order: list[int]) -> None:
    said, weights = vectors(11, 9), np.random.default_rng(1).integers(1, 9, 11).astype(np.float64)
    plain = weighed(rule, said, weights, instead={4: b""})
    mixed = weighed(rule, said[order], weights[order], instead={order.index(4): b""})
    np.testing.assert_array_equal(mixed.kept, plain.kept[order])
    np.testing.assert_allclose(mixed.step, plain.step, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("rule", [Median(), GeometricMedian(), MedianOfMeans(groups=20)], ids=repr)
@pytest.mark.parametrize("size", [1e3, 1e6, 1e100])
@pytest.mark.parametrize("together", [False, True])
def test_outliers_with_less_than_half_of_the_weight_stay_out(rule: Aggregator, size: float, together: bool) -> None:
    """The geometric median of honest vectors in a ball of radius r moves by less than 2 (1 - α)/(1 - 2α) r."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        said, weights = vectors(20, 9, seed), rng.integers(1, 30, 20).astype(np.float64)
        outliers = rng.permutation(20)[: int(rng.integers(1, 10))]
        alpha = weights[outliers].sum() / weights.sum()
        if alpha >= 0.48:
            continue
        honest = np.delete(said, outliers, axis=0)
        said[outliers] = size * (np.ones(9) if together else np.sign(said[outliers]))
        step = weighed(rule, said, weights, scale=1.0).step
        if isinstance(rule, Median):
            assert (step >= honest.min(axis=0)).all()
            assert (step <= honest.max(axis=0)).all()
        radius = np.linalg.norm(honest - honest.mean(axis=0), axis=1).max()
        assert np.linalg.norm(step - honest.mean(axis=0)) <= 2 * (1 - alpha) / (1 - 2 * alpha) * radius


def test_norm_trimming_drops_workers_however_much_they_weigh() -> None:
    said = vectors(10, 9)
    said[[2, 5, 7]] *= 1e3
    weights = np.ones(10)
    weights[5] = 1e6
    verdict = weighed(NormTrim(beta=0.3), said, weights, scale=1.0)
    assert not verdict.kept[[2, 5, 7]].any()
    np.testing.assert_allclose(verdict.step, np.delete(said, [2, 5, 7], axis=0).mean(axis=0), rtol=1e-12)


@pytest.mark.parametrize("rule", [Median(), GeometricMedian()], ids=repr)
def test_whoever_has_most_of_the_weight_is_the_median(rule: Aggregator) -> None:
    """What docs/PLANS.md warns of."""
    said, weights = vectors(9, 9), [1, 1, 1, 1, 30, 1, 1, 1, 1]
    np.testing.assert_allclose(weighed(rule, said, weights, scale=1.0).step, said[4], rtol=1e-5)


def test_many_that_agree_are_no_majority_if_they_weigh_little() -> None:
    said = vectors(9, 9)
    said[:6] = said[0]
    weights = np.array([1, 1, 1, 1, 1, 1, 10, 11, 12.0])
    step = weighed(GeometricMedian(), said, weights, scale=1.0).step
    away = said - step
    pull = (weights[:, None] * away / np.linalg.norm(away, axis=1, keepdims=True)).sum(axis=0) / weights.sum()
    assert np.linalg.norm(pull) < 1e-5


def test_a_group_counts_with_the_mean_weight_of_its_sound_members() -> None:
    said, weights = vectors(12, 9), np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3.0])
    step = weighed(MedianOfMeans(groups=4), said, weights, instead={1: b"", 6: b"", 7: b"", 8: b""}, scale=1.0).step
    means = [np.average(said[rows], axis=0, weights=weights[rows]) for rows in ([0, 2], [3, 4, 5], [9, 10, 11])]
    expected = weighed(GeometricMedian(), np.array(means), [2, 5, 2], scale=1.0).step
    np.testing.assert_allclose(step, expected, rtol=1e-9)


@pytest.mark.parametrize(
    "rule",
    [{"kind": "krum", "beta": 0.2}, {"kind": "nnm", "beta": 0.2, "rule": {"kind": "krum", "beta": 0.2}}],
    ids=str,
)
def test_other_rules_are_refused(rule: dict[str, object]) -> None:
    found = fault(changed(("weigh", "rows"), ("aggregator", rule)))
    assert found.where == "weigh"
    assert re.search(r"a rule among: .*geometric-median, .*norm-trim, .*, or another before one of them$", found.reason)
    Plan.of(changed(("weigh", "equal"), ("aggregator", rule)))


def test_the_rules_that_weigh_are_not_refused() -> None:
    for rule in ({"kind": "norm-trim", "beta": 0.3}, {"kind": "median"}, {"kind": "median-of-means", "groups": 5}):
        assert Plan.of(changed(("weigh", "rows"), ("aggregator", rule))).weigh == "rows"
    with pytest.raises(PlanFault, match=r"^weigh: .*'equal' or 'rows', not 'row'"):
        Plan.of(changed(("weigh", "row")))


@pytest.mark.parametrize(("beta", "f"), [(0.1, 2), (0.3, 4)])
def test_a_filter_begins_with_the_weights(beta: float, f: int) -> None:
    """As if a worker of weight two were two, among as many more; f is a share of the weight as well."""
    said, weights = vectors(11, 9), np.array([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5])
    repeated = np.repeat(said, weights, axis=0)
    budget = f * weights.sum() / 11
    np.testing.assert_allclose(
        weighed(CAF(beta=beta), said, weights, scale=1.0).step, word_for_word(repeated, budget), rtol=1e-7
    )
    c = filtered(repeated, 2 * budget)
    np.testing.assert_allclose(
        weighed(IterativeFiltering(beta=beta), said, weights, scale=1.0).step, c @ repeated / c.sum(), rtol=1e-7
    )


def test_trimming_drops_values_however_much_they_weigh() -> None:
    said, weights = vectors(11, 9), np.array([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5.0])
    order = np.argsort(said, axis=0)[2:-2]
    expected = np.average(np.take_along_axis(said, order, axis=0), axis=0, weights=weights[order])
    np.testing.assert_allclose(weighed(TrimmedMean(beta=0.15), said, weights, scale=1.0).step, expected, rtol=1e-12)
    tied = np.ones((11, 1))
    tied[[0, 1]] = 2.0
    for order in (np.arange(11), np.arange(11)[::-1]):  # of equal values the lighter are the lower
        step = weighed(TrimmedMean(beta=0.05), tied[order], weights[order], scale=1.0).step
        np.testing.assert_allclose(step, (weights[2:].sum() - 1 + 2 * 1) / (weights[2:].sum() - 1 + 1))


def test_mixing_takes_means_by_weight() -> None:
    said, weights = vectors(11, 9), np.array([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5.0])
    nearest = np.argsort(squared_distances(said), axis=1, kind="stable")[:, :8]
    mixed = np.array([np.average(said[rows], axis=0, weights=weights[rows]) for rows in nearest])
    expected = np.average(mixed, axis=0, weights=weights[nearest].mean(axis=1))
    np.testing.assert_allclose(weighed(NNM(beta=0.25, rule=Mean()), said, weights, scale=1.0).step, expected)
