"""The rules with a memory of each worker: `safeguard`, `byzantine-sgd`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mpirobust.aggregators.base import Aggregator, Context
from mpirobust.aggregators.byzantine_sgd import ByzantineSGD
from mpirobust.aggregators.caf import CAF
from mpirobust.aggregators.geometric_median import GeometricMedian
from mpirobust.aggregators.safeguard import Safeguard
from mpirobust.algorithms.base import Query
from mpirobust.answers import ArrayAnswers
from mpirobust.errors import PlanFault
from mpirobust.testing.support.clusters import regression_plan
from mpirobust.testing.support.judging import judged
from mpirobust.testing.support.rule_rounds import a_round, vectors

Matrix = NDArray[np.float64]


def central(sums: Matrix, good: list[int], radius: float) -> Matrix:
    """Of the sums with those of most good ones within the radius, the one nearest to all."""

    def rank(i: int) -> tuple[int, float]:
        away = [float(np.linalg.norm(sums[i] - sums[j])) for j in good]
        return -sum(each <= radius for each in away), sum(away)

    return np.asarray(sums[min(good, key=rank)])


def safeguarded(rounds: list[Matrix], T0: int, T1: int, t0: float, t1: float) -> list[list[int]]:
    """The good after each round, by Alg. 1."""
    m, found = len(rounds[0]), []
    good, A, B = list(range(m)), np.zeros_like(rounds[0]), np.zeros_like(rounds[0])
    for t, said in enumerate(rounds):
        A, B = (past * (t % length > 0) + said / len(good) for past, length in ((A, T1), (B, T0)))
        far = [(A, central(A, good, t1), t1), (B, central(B, good, t0), t0)]
        good = [i for i in good if all(np.linalg.norm(sums[i] - med) <= 2 * radius for sums, med, radius in far)]
        found.append(good)
    return found


def after(rule: Aggregator, rounds: list[Matrix], scale: float = 1.0) -> list[Any]:
    """The verdicts, one after the other."""
    memory, found = None, []
    for said in rounds:
        verdict = judged(rule, ArrayAnswers(said, scale=scale), memory)
        memory = verdict.memory
        found.append(verdict)
    return found


@pytest.mark.parametrize(("T0", "T1", "t0", "t1"), [(1, 1, 0.4, 0.4), (2, 5, 0.3, 0.5), (3, 100, 0.4, 0.6)])
def test_safeguard_is_the_algorithm_of_the_paper(T0: int, T1: int, t0: float, t1: float) -> None:
    rounds = [vectors(9, 6, seed=t) for t in range(5)]
    expected = safeguarded(rounds, T0, T1, t0, t1)
    verdicts = after(Safeguard(T0=T0, T1=T1, threshold0=t0, threshold1=t1), rounds, 0.5)
    assert [np.flatnonzero(verdict.kept).tolist() for verdict in verdicts] == expected
    assert 0 < len(expected[-1]) < 9
    np.testing.assert_allclose(verdicts[-1].step, 0.5 * rounds[-1][expected[-1]].mean(axis=0), rtol=1e-12)


def biased(rounds: int, bias: float) -> list[Matrix]:
    """Ten workers with noise of length 7 about 0; four of them add `bias` along one direction, every time."""
    rng = np.random.default_rng(1)
    found = [rng.standard_normal((10, 50)) for _ in range(rounds)]
    for said in found:
        said[:4, 0] += bias
    return found


def test_safeguard_sees_a_bias_that_hides_in_the_noise_of_a_round() -> None:
    """Sums of noise grow by the root of the rounds, those of a bias by the rounds: all four go, and no other."""
    rounds = biased(60, 3.0)
    verdicts = after(Safeguard(T0=10, T1=60), rounds)
    assert verdicts[0].kept.all()
    assert verdicts[-1].kept.tolist() == [False] * 4 + [True] * 6
    assert np.mean([verdict.step[0] for verdict in after(GeometricMedian(), rounds)]) > 0.8
    again = Safeguard(T0=10, T1=60).judge(ArrayAnswers(vectors(10, 50)), verdicts[-1].memory, Context())
    assert not again.kept[:4].any()  # for good


def test_who_differs_by_his_data_is_expelled_as_well() -> None:
    rounds = biased(60, 0.0)
    for said in rounds:
        said[9, 1] += 4.0
    assert not after(Safeguard(T0=10, T1=60), rounds)[-1].kept[9]
    assert judged(CAF(beta=0.1), ArrayAnswers(vectors(10, 50))).kept.any()


def test_noise_is_of_the_round_and_in_units_of_the_step() -> None:
    quiet, loud = Safeguard(), Safeguard(noise=2.0)
    box = a_round(vectors(9, 4000), scale=0.5).inbox
    added = [loud.judge(box, None, Context(t)).step - quiet.judge(box, None, Context(t)).step for t in (0, 0, 1)]
    assert added[0].std() == pytest.approx(1.0, rel=0.05)
    assert added[0].tobytes() == added[1].tobytes() != added[2].tobytes()


def test_the_short_window_is_the_short_one() -> None:
    with pytest.raises(PlanFault, match="T1: 3 rounds are fewer than T0 = 4"):
        Safeguard(T0=4, T1=3)


def asked(x: float) -> Context:
    return Context(query=Query((np.full(50, x),)))


def walked(rule: ByzantineSGD, rounds: list[Matrix], xs: list[float]) -> Any:
    memory = None
    for said, x in zip(rounds, xs, strict=True):
        verdict = rule.judge(ArrayAnswers(said), memory, asked(x))
        memory = verdict.memory
    return verdict


@pytest.mark.parametrize(
    ("change", "expelled"),
    [
        ({}, []),
        ({"T_A": 4000.0}, [0]),  # his answers have a little along the path, in every round
        ({"T_B": 100.0}, [0, 1]),  # and he a bias across it
        ({"V": 15.0}, [2]),  # and he was far away, once
    ],
)
def test_byzantine_sgd_has_three_tests(change: dict[str, float], expelled: list[int]) -> None:
    rng = np.random.default_rng(1)
    rounds = [rng.standard_normal((9, 50)) for _ in range(40)]
    for said in rounds:
        said[0] += 1.0
        said[1, 0] += 8.0
    rounds[20][2, 1:3] += 60.0, -60.0
    rule = replace(ByzantineSGD(V=1e3, T_A=1e5, T_B=1e4), **change)
    verdict = walked(rule, rounds, [3 + t / 4 for t in range(40)])
    assert np.flatnonzero(~verdict.kept).tolist() == expelled
    np.testing.assert_allclose(verdict.step, rounds[-1][verdict.kept].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(verdict.memory.B[3], np.sum(rounds, axis=0)[3], rtol=1e-9, atol=1e-9)
    products = [said[3] @ np.full(50, t / 4) for t, said in enumerate(rounds)]
    assert verdict.memory.A[3] == pytest.approx(sum(products))


def test_the_thresholds_of_the_paper_keep_the_honest() -> None:
    """T_B = 4 V √(T log(16 m T / δ)), and T_A the same times D."""
    T, m, V = 60, 10, 9.5  # honest answers are within 9.5 of their mean
    T_B = 4 * V * np.sqrt(T * np.log(16 * m * T / 0.01))
    rounds = biased(T, 0.0)
    assert max(np.linalg.norm(said, axis=1).max() for said in rounds) < V
    assert walked(ByzantineSGD(V=V, T_A=T_B, T_B=T_B), rounds, [0.1 * (t % 2) for t in range(T)]).kept.all()
    assert not walked(ByzantineSGD(V=V, T_A=T_B, T_B=T_B / 8), biased(T, 8.0), [0.0] * T).kept[:4].any()


@pytest.mark.parametrize(
    "rule", [{"kind": "safeguard"}, {"kind": "byzantine-sgd", "V": 1, "T_A": 9, "T_B": 9}], ids=str
)
def test_a_plan_with_a_majority_is_refused(rule: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"^attack\.alpha: 0\.6"):
        regression_plan(aggregator=rule, attack={"kind": "sign-flip", "alpha": 0.6})


def test_a_product_that_overflows_is_that_of_one_worker() -> None:
    """Under the largest entry as the norm such a message is sound."""
    said = vectors(9, 50)
    said[2] = np.where(np.arange(50) % 2, 1e308, -1e308)
    rule, memory = ByzantineSGD(V=1e3, T_A=1e5, T_B=1e4), None
    for x in (0.0, 9.0):
        verdict = rule.judge(ArrayAnswers(said if x else vectors(9, 50), q=np.inf), memory, asked(x))
        memory = verdict.memory
    assert np.flatnonzero(~verdict.kept).tolist() == [2]
    assert np.isfinite(verdict.memory.A).all()
