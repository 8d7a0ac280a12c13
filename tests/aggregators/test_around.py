"""Clipping and bucketing before another rule: `arc`, `clipping`, `bucketing`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from mpirobust.aggregators._around import Around
from mpirobust.aggregators.arc import ARC
from mpirobust.aggregators.base import Aggregator, Context
from mpirobust.aggregators.bucketing import Bucketing
from mpirobust.aggregators.clipping import Clipping
from mpirobust.aggregators.geometric_median import GeometricMedian
from mpirobust.aggregators.mean import Mean
from mpirobust.aggregators.median import Median
from mpirobust.aggregators.monna import MoNNA
from mpirobust.aggregators.nnm import NNM
from mpirobust.aggregators.norm_trim import NormTrim
from mpirobust.aggregators.safeguard import Safeguard
from mpirobust.aggregators.smea import SMEA
from mpirobust.aggregators.trimmed_mean import TrimmedMean
from mpirobust.algorithms.base import Query
from mpirobust.answers import ArrayAnswers
from mpirobust.compressors.base import Compressor
from mpirobust.errors import PlanFault
from mpirobust.testing.support.judging import judged
from mpirobust.testing.support.noting import Note, Noting
from mpirobust.testing.support.rule_rounds import a_round, over_codes, over_dims, vectors
from mpirobust.types import Norm
from tests.support.plans import changed, fault

Matrix = NDArray[np.float64]


def clipped(said: Matrix, length: float, q: float = 2.0) -> Matrix:
    norms = np.linalg.norm(said, q, axis=1, keepdims=True)
    return np.where(norms > length, said * length / norms, said)


def by_arc(said: Matrix, f: int) -> Matrix:
    n = len(said)
    return clipped(said, float(np.sort(np.linalg.norm(said, axis=1))[n - 2 * f * (n - f) // n - 1]))


INNER: list[Aggregator] = [Mean(), TrimmedMean(beta=0.3), GeometricMedian(), Median()]


@over_codes
@over_dims
@pytest.mark.parametrize("inner", INNER, ids=lambda rule: type(rule).__name__)
def test_the_rule_judges_what_is_clipped(code: Compressor, dim: int, inner: Aggregator) -> None:
    box = a_round(vectors(14, dim), code, 0.5, silent=(13,))
    radius = float(np.median(np.linalg.norm(box.said, axis=1))) / 0.5
    cases: list[tuple[Around, Matrix]] = [
        (ARC(beta=0.2, rule=inner), by_arc(box.said, 3)),
        (Clipping(radius=radius, rule=inner), clipped(box.said, 0.5 * radius)),
    ]
    for rule, expected in cases:
        verdict = judged(rule, box.inbox)
        alone = judged(inner, ArrayAnswers(np.vstack([expected / 0.5, np.full(dim, np.nan)]), scale=0.5))
        np.testing.assert_allclose(verdict.step, alone.step, rtol=1e-6, atol=1e-6)  # an iterated rule stops
        np.testing.assert_array_equal(verdict.kept, alone.kept)


def test_what_is_clipped_is_of_one_length() -> None:
    """To the last bit: the rule then drops the highest numbers, as of other equals."""
    said = vectors(50, 9) * np.random.default_rng(0).uniform(1, 100, (50, 1))
    assert (
        judged(Clipping(radius=0.1, rule=NormTrim(beta=0.4)), ArrayAnswers(said)).kept.tolist()
        == [True] * 30 + [False] * 20
    )


@pytest.mark.parametrize("q", [1.0, np.inf])
def test_lengths_are_those_of_the_plan(q: float) -> None:
    box = a_round(vectors(9, 9), norm=Norm(q))
    step = judged(Clipping(radius=1.0, rule=Mean()), box.inbox).step
    np.testing.assert_allclose(step, clipped(box.said, 1.0, q).mean(axis=0), rtol=1e-12)


@pytest.mark.parametrize(("n", "f", "k"), [(3, 1, 1), (10, 1, 1), (10, 2, 3), (10, 3, 4), (10, 4, 4), (7, 0, 0)])
def test_arc_clips_so_many(n: int, f: int, k: int) -> None:
    said = vectors(n, 9)
    mean = judged(ARC(beta=f / n, rule=Mean()), ArrayAnswers(said)).step
    assert (np.linalg.norm(by_arc(said, f) - said, axis=1) > 1e-9).sum() == k
    np.testing.assert_allclose(mean, by_arc(said, f).mean(axis=0), rtol=1e-12)


@pytest.mark.parametrize("size", [1e2, 1e50, 1e140])
@pytest.mark.parametrize("f", [1, 2, 4])
def test_no_message_is_longer_than_an_honest_one_after_arc(size: float, f: int) -> None:
    """Even the mean is then no longer than the longest honest message."""
    honest = vectors(9 - f, 30, seed=f)
    said = np.vstack([honest, -size * np.ones((f, 30))])
    step = judged(ARC(beta=f / 9, rule=Mean()), ArrayAnswers(said)).step
    assert np.linalg.norm(step) <= np.linalg.norm(honest, axis=1).max()


def test_arc_keeps_the_guarantee_of_its_rule() -> None:
    """SMEA is (f, κ)-robust with κ = 4f / (n - 2f); before it, ARC adds 2f / (n - 2f), whoever is honest."""
    n, f = 9, 2
    rule = ARC(beta=f / n, rule=SMEA(beta=f / n))
    for seed in range(40):
        rng = np.random.default_rng(seed)
        said = vectors(n, 4, seed) * 10.0 ** rng.uniform(-1, 1, (n, 1))
        step = judged(rule, ArrayAnswers(said)).step
        for left in combinations(range(n), n - f):
            honest = said[list(left)]
            spread = ((honest - honest.mean(axis=0)) ** 2).sum() / (n - f)
            assert ((step - honest.mean(axis=0)) ** 2).sum() <= 6 * f / (n - 2 * f) * spread


def test_a_static_radius_is_of_no_use_when_the_answers_have_become_shorter() -> None:
    honest = np.full((7, 4), 1e-3)
    said = np.vstack([honest, -np.ones((3, 4))])
    adaptive, static = ARC(beta=0.3, rule=Mean()), Clipping(radius=2.0, rule=Mean())
    assert (judged(adaptive, ArrayAnswers(said)).step > 0).all()
    assert (judged(static, ArrayAnswers(said)).step < 0).all()
    assert (judged(static, ArrayAnswers(1e3 * said)).step > 0).all()
    np.testing.assert_allclose(
        judged(adaptive, ArrayAnswers(1e3 * said)).step, 1e3 * judged(adaptive, ArrayAnswers(said)).step, rtol=1e-12
    )


def bucketed(said: Matrix, size: int) -> list[NDArray[np.intp]]:
    order = Context().stream().permutation(len(said))
    return [order[start : start + size] for start in range(0, len(said), size)]


@over_codes
@over_dims
@pytest.mark.parametrize("size", [1, 3, 5, 20])
@pytest.mark.parametrize("inner", INNER, ids=lambda rule: type(rule).__name__)
def test_the_rule_judges_means_of_buckets(code: Compressor, dim: int, size: int, inner: Aggregator) -> None:
    box = a_round(vectors(14, dim), code, 0.5, silent=(2,))
    means = np.array([box.said[rows].mean(axis=0) for rows in bucketed(box.said, size)]) / 0.5
    alone = judged(inner, ArrayAnswers(means, scale=0.5))
    verdict = judged(Bucketing(size=size, rule=inner), box.inbox)
    np.testing.assert_allclose(verdict.step, alone.step, rtol=1e-6, atol=1e-6)
    kept = np.concatenate([rows for rows, kept in zip(bucketed(box.said, size), alone.kept, strict=True) if kept])
    assert verdict.kept.tolist() == box.mask(kept)


def test_buckets_are_others_in_every_round_and_the_same_when_asked_again() -> None:
    rule, answers = Bucketing(size=3, rule=Median()), ArrayAnswers(vectors(14, 9))
    one, again, other = (rule.judge(answers, None, Context(t, seed=3)).step for t in (4, 4, 5))
    assert one.tobytes() == again.tobytes()
    assert np.abs(one - other).max() > 1e-3


def test_buckets_help_the_median_of_answers_that_differ() -> None:
    """The median of signs is a sign, however near their mean is to 0 (Karimireddy et al. 2022, §3)."""
    rng = np.random.default_rng(0)
    said = np.where(rng.permuted(np.tile(np.arange(25)[:, None] < 13, (1, 400)), axis=0), 1.0, -1.0)
    off = {
        rule: np.abs(judged(rule, ArrayAnswers(said)).step - said.mean(axis=0)).mean()
        for rule in (Median(), Bucketing(size=3, rule=Median()), Bucketing(size=5, rule=Median()))
    }
    alone, by_three, by_five = off.values()
    assert alone == pytest.approx(0.96)
    assert by_five < by_three < 0.5 * alone


def test_every_byzantine_worker_may_be_in_another_bucket() -> None:
    Bucketing(size=2, rule=Median()).admit(20, 4)
    for inner, size, byzantine in [(Median(), 2, 5), (Median(), 5, 2), (NormTrim(beta=0.3), 2, 4), (Mean(), 20, 1)]:
        with pytest.raises(PlanFault, match=rf"^size: {byzantine} Byzantine workers may be in as many of the"):
            Bucketing(size=size, rule=inner).admit(20, byzantine)


@pytest.mark.parametrize("inner", [NNM(beta=0.1, rule=Safeguard()), MoNNA(beta=0.1, trusted=3)])
def test_a_rule_that_knows_workers_has_no_buckets(inner: Aggregator) -> None:
    """Who is number 3 of the buckets is drawn anew in every round."""
    with pytest.raises(PlanFault, match=r"^rule\.kind: it remembers each worker or trusts one"):
        Bucketing(size=2, rule=inner).admit(20, 0)


@pytest.mark.parametrize("kind", [partial(ARC, beta=0.2), partial(Clipping, radius=1.0), partial(Bucketing, size=2)])
def test_memory_and_context_pass_through(kind: Callable[..., Around]) -> None:
    inner = Noting()
    rule = kind(rule=inner)
    assert rule.memory() is Note
    context = Context(3, Query((np.ones(9),)), seed=5)
    verdict = rule.judge(ArrayAnswers(vectors(11, 9)), Note(2), context)
    assert (verdict.memory, inner.asked) == (Note(3), [(Note(2), context)])


@pytest.mark.parametrize(
    ("table", "where"),
    [
        ({"kind": "arc", "beta": 0.45, "rule": {"kind": "mean"}}, "aggregator.beta"),
        ({"kind": "arc", "beta": 0.3, "rule": {"kind": "caf", "beta": 0.2}}, "aggregator.rule.beta"),
        ({"kind": "arc", "beta": 0.3, "rule": {"kind": "krum", "beta": 0.4}}, "aggregator.rule.beta"),
        ({"kind": "clipping", "radius": 1.0, "rule": {"kind": "caf", "beta": 0.1}}, "aggregator.beta"),
        ({"kind": "bucketing", "size": 5, "rule": {"kind": "median"}}, "aggregator.size"),
        ({"kind": "clipping", "radius": 1.0, "rule": {"kind": "fltrust"}}, "center_rows"),
    ],
    ids=str,
)
def test_a_plan_is_refused_with_the_key(table: dict[str, object], where: str) -> None:
    assert fault(changed(("workers", 9), ("aggregator", table))).where == where
