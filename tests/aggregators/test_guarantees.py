"""κ of the rules: no attack found errs by more, and where κ is the least there can be, one errs by as much."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from mpirobust.aggregators.arc import ARC
from mpirobust.aggregators.base import Aggregator
from mpirobust.aggregators.geometric_median import GeometricMedian
from mpirobust.aggregators.krum import Krum
from mpirobust.aggregators.mda import MDA
from mpirobust.aggregators.meamed import MeaMed
from mpirobust.aggregators.mean import Mean
from mpirobust.aggregators.median import Median
from mpirobust.aggregators.multi_krum import MultiKrum
from mpirobust.aggregators.nnm import NNM
from mpirobust.aggregators.norm_trim import NormTrim
from mpirobust.aggregators.smea import SMEA
from mpirobust.aggregators.trimmed_mean import TrimmedMean
from mpirobust.reports.guarantees import least_kappa
from mpirobust.testing.examples import components
from tests.support.launching import REPOSITORY

Matrix = NDArray[np.float64]

N = 9


RULES: dict[str, Callable[[float], Aggregator]] = {
    "trimmed-mean": lambda beta: TrimmedMean(beta=beta),
    "median": lambda _: Median(),
    "geometric-median": lambda _: GeometricMedian(),
    "krum": lambda beta: Krum(beta=beta),
    "multi-krum": lambda beta: MultiKrum(beta=beta),
    "multi-krum of two": lambda beta: MultiKrum(beta=beta, keep=2),
    "mda": lambda beta: MDA(beta=beta),
    "smea": lambda beta: SMEA(beta=beta),
    "meamed": lambda beta: MeaMed(beta=beta),
    "nnm": lambda beta: NNM(beta=beta, rule=TrimmedMean(beta=beta)),
    "nnm and geometric-median": lambda beta: NNM(beta=beta, rule=GeometricMedian()),
    "nnm and krum": lambda beta: NNM(beta=beta, rule=Krum(beta=beta)),
    "arc": lambda beta: ARC(beta=beta, rule=TrimmedMean(beta=beta)),
    "arc, nnm and median": lambda beta: ARC(beta=beta, rule=NNM(beta=beta, rule=Median())),
}


SOME = [(1, 1), (3, 3), (3, 1)]  # how many a rule is set for, and how many attack


def rounds(f: int) -> Iterator[Matrix]:
    """Messages, shape (N, d): honest ones of several shapes, and f that differ from them in many ways."""
    rng = np.random.default_rng(7)
    for d in (1, 2, 12):
        for honest in (
            rng.standard_normal((N - f, d)),
            rng.standard_normal((N - f, d)) * 10.0 ** rng.integers(-2, 3, (N - f, 1)),
            1.0 * (np.arange(N - f)[:, None] < 3) * np.ones(d),
            np.repeat(rng.standard_normal((3, d)), 3, axis=0)[: N - f],
            5.0 * np.eye(N - f, d),
        ):
            mean, spread, direction = honest.mean(axis=0), honest.std(axis=0), rng.standard_normal(d)
            for z in (-3.0, -1.0, -0.3, 0.3, 1.0, 3.0, 1e6):
                yield np.vstack([honest, *[mean + z * spread] * f])
                yield np.vstack([honest, *[mean + z * np.linalg.norm(spread) * direction] * f])
                yield np.vstack([honest, honest[:f] + z * spread])
            for lie in (honest[0], honest[-1], mean, np.full(d, np.inf)):
                yield np.vstack([honest, *[lie] * f])


def largest_error(rule: Aggregator, f: int, messages: Matrix) -> float:
    """The largest error over all sets of N - f messages that may be the honest ones, in their variance.

    A variance without digits left beside the others is left out.
    """
    sound = np.flatnonzero(np.isfinite(messages).all(axis=1)).tolist()
    sets = np.array(list(combinations(sound, N - f)))
    means = messages[sets].mean(axis=1)
    variances = ((messages[sets] - means[:, None]) ** 2).sum(axis=2).mean(axis=1)
    errors = ((rule(messages) - means) ** 2).sum(axis=1)
    some = variances > 1e-9 * np.square(messages[sound]).sum(axis=1).max()
    return float((errors[some] / variances[some]).max(initial=0.0))


@pytest.mark.parametrize(("tolerated", "f"), SOME)
@pytest.mark.parametrize("kind", RULES)
def test_no_attack_errs_by_more_than_kappa(kind: str, tolerated: int, f: int) -> None:
    rule = RULES[kind](tolerated / N)
    kappa = rule.kappa(N, f)
    assert kappa is not None
    assert max(largest_error(rule, f, messages) for messages in rounds(f)) <= kappa * (1 + 1e-4)


@pytest.mark.parametrize(("tolerated", "f"), SOME)
@pytest.mark.parametrize(
    ("kind", "tight"), [("trimmed-mean", True), ("median", True), *((kind, False) for kind in RULES)]
)
def test_none_errs_by_less_than_the_least_kappa(kind: str, tight: bool, tolerated: int, f: int) -> None:
    """All but those for which the rule is set say zero; only f of the zeros are lies."""
    rule = RULES[kind](tolerated / N)
    tolerated = N // 2 if rule.tolerates() == 0.5 else tolerated
    messages = 1.0 * (np.arange(N)[:, None] < tolerated)
    np.testing.assert_allclose(rule(messages), 0, atol=1e-5)
    honest = messages[: N - f]
    least = float(honest.mean() ** 2 / honest.var())
    assert least == pytest.approx(least_kappa(N, f, tolerated))
    kappa = rule.kappa(N, f)
    assert kappa is not None
    assert kappa == pytest.approx(least) if tight else kappa >= least


def test_the_mean_errs_without_bound() -> None:
    assert Mean().kappa(N, 0) == 0
    assert Mean().kappa(N, 1) is None
    assert max(largest_error(Mean(), 1, messages) for messages in rounds(1)) > 1e3


@pytest.mark.parametrize("kind", RULES)
def test_none_is_told_for_more_than_the_rule_is_set_for(kind: str) -> None:
    rule = RULES[kind](2 / N)
    most = N // 2 if rule.tolerates() == 0.5 else 2
    assert rule.kappa(N, most) is not None
    assert rule.kappa(N, most + 1) is None


@pytest.mark.parametrize(
    ("kind", "printed"),
    [
        ("geometric-median", 4 * (1 + 4 / 12) ** 2),
        ("nnm", 8 * 4 / 16 * (4 / 12 + 1)),
        ("nnm and geometric-median", 8 * 4 / 16 * (4 * (1 + 4 / 12) ** 2 + 1)),
        ("arc", 4 / 12 + 2 * 4 / 12),
    ],
)
def test_kappa_is_that_of_the_paper(kind: str, printed: float) -> None:
    """Of 20 workers 4 attack."""
    assert RULES[kind](0.2).kappa(20, 4) == pytest.approx(printed, rel=1e-12)


def test_a_rule_around_another_knows_none_if_that_knows_none() -> None:
    inner = NormTrim(beta=0.2)
    assert NNM(beta=0.2, rule=inner).kappa(20, 4) is None
    assert ARC(beta=0.2, rule=inner).kappa(20, 4) is None


def test_only_the_rules_of_the_table_know_one_and_it_has_their_values() -> None:
    section = (REPOSITORY / "docs" / "RULES.md").read_text().split("## What is proved")[1].split("\n## ")[0]
    told = dict(re.findall(r"^\| `(.*?)` \|.*\| (.*?) \|$", section, re.MULTILINE))
    plain = {kind: rule(0.2) for kind, rule in RULES.items() if " " not in kind}
    assert told == {kind: f"{rule.kappa(20, 4):.3g}" for kind, rule in plain.items()}
    kinds = tuple({type(rule) for rule in plain.values()})
    assert all(rule.kappa(40, 1) is None for rule in components("aggregator").values() if not isinstance(rule, kinds))
