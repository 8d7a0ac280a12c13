"""What `check` says of a plan and P1's theorems: a sentence whatever the plan, and the right one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpirobust import catalog
from mpirobust.compressors.randomk import RandomK
from mpirobust.plan import Plan
from mpirobust.problems.least_squares import LeastSquares
from mpirobust.reports.constants import Contraction, Start, contraction
from mpirobust.reports.forecast import forecast
from mpirobust.reports.theorem_check import regime
from mpirobust.streams import Purpose, stream
from mpirobust.testing import examples
from mpirobust.testing.support.codes import drawn
from mpirobust.types import Vector
from tests.support.launching import CONFIGS

TABLE: dict[str, Any] = {
    "seed": 1,
    "workers": 100,
    "data": {"kind": "regression", "rows": 1000, "features": 40},
    "problem": {"kind": "least-squares"},
    "algorithm": {"kind": "first-order", "rounds": 5, "step": 0.1},
    "compressor": {"kind": "l1-qsgd"},
    "aggregator": {"kind": "norm-trim", "beta": 0.11},
    "attack": {"kind": "gaussian", "alpha": 0.1},
}
OPTION_I = {**TABLE["algorithm"], "option": "I"}
IDENTITY = {"kind": "identity"}
FEEDING = ["label-flip", "label-random", "gaussian", "negative", "zero", "alie", "collude", "ipm", "mimic", "under-cut"]


def measured(**changes: Any) -> Contraction:
    plan = Plan.of({**TABLE, **changes})
    dataset = plan.data.open([], plan.seed)
    return contraction(Start(plan, dataset, plan.deal(dataset)))


def gradients(monkeypatch: pytest.MonkeyPatch, g: Vector) -> None:
    """Make every gradient `g`."""
    monkeypatch.setattr(LeastSquares, "gradient", lambda *_: g.copy())


def said(delta: float | None = None, worst: float | None = None, **changes: Any) -> str:
    """The sentences, at `delta` or as it is measured; a change to None leaves the table out."""
    plan = Plan.of({key: value for key, value in {**TABLE, **changes}.items() if value is not None})
    dataset = plan.data.open([], plan.seed)
    dealt = plan.deal(dataset)
    found = contraction(Start(plan, dataset, dealt)) if delta is None else Contraction(40, 8, delta, worst)
    return "\n".join(regime(plan, dealt, found))


class TestMeasuredDelta:
    def test_is_the_worst_of_some_workers(self) -> None:
        """δ(g) = ||g||₁²/(d ||g||²) for ℓ1-QSGD."""
        plan = Plan.of(TABLE)
        dataset = plan.data.open([], plan.seed)
        dealt = plan.deal(dataset)
        own = []
        for worker in (0, 14, 28, 42, 56, 70, 84, 99):
            g = plan.problem.gradient(np.zeros(40), dataset.train(dealt[worker]))
            own.append(np.abs(g).sum() ** 2 / (40 * (g @ g)))
        found = contraction(Start(plan, dataset, dealt))
        assert found.measured == pytest.approx(min(own))
        assert (found.dim, found.workers, found.worst) == (40, 8, 1 / 40)
        assert str(found) == f"{min(own):.3g} measured at the start on 8 workers, 0.025 at worst"

    def test_of_long_gaussian_gradients_is_two_over_pi(self) -> None:
        found = measured(data={"kind": "regression", "rows": 1000, "features": 4000})
        assert found.measured == pytest.approx(2 / np.pi, abs=0.03)

    def test_of_few_workers(self) -> None:
        found = measured(workers=3, aggregator={"kind": "mean"})
        assert found.workers == 3

    def test_without_compression_is_one(self) -> None:
        assert measured(compressor=IDENTITY) == Contraction(40, 8, 1.0, 1.0)

    def test_of_zero_gradients_is_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        gradients(monkeypatch, np.zeros(40))
        for compressor in (TABLE["compressor"], {"kind": "sign"}):
            assert measured(compressor=compressor).measured == 1

    @pytest.mark.parametrize("number", [np.nan, np.inf])
    def test_of_gradients_that_are_not_finite_is_none(self, monkeypatch: pytest.MonkeyPatch, number: float) -> None:
        gradients(monkeypatch, np.full(40, number))
        assert measured(compressor={"kind": "sign"}).measured == -np.inf
        assert "holds for this code: -inf is measured" in said(compressor={"kind": "sign"})

    def test_of_gradients_too_short_or_too_long_to_square(self, monkeypatch: pytest.MonkeyPatch) -> None:
        gradients(monkeypatch, 1e-200 * np.arange(1.0, 41.0))
        assert measured(compressor=IDENTITY).measured == 1
        gradients(monkeypatch, 1e200 * np.arange(1.0, 41.0))  # the center would not take them
        assert measured(compressor={"kind": "sign"}).measured == pytest.approx(0)
        assert measured(compressor={"kind": "qsgd", "levels": 1}).measured == -np.inf

    def test_is_the_same_every_time_and_a_mean_over_draws(self) -> None:
        randomk = {"kind": "randomk", "k": 10}
        first = measured(compressor=randomk)
        assert first == measured(compressor=randomk)
        assert first.worst == 0.25
        assert first.measured == 0.25  # the worst mean of eight is below, and what is proved holds
        qsgd = measured(compressor={"kind": "qsgd", "levels": 4})
        assert qsgd == measured(compressor={"kind": "qsgd", "levels": 4})
        assert 0.2 < qsgd.measured < 0.8

    def test_is_over_what_is_sent_in_the_first_rounds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The first unit vector goes through `randomk` whole or not at all."""
        unit = np.eye(40)[0]
        gradients(monkeypatch, unit)
        rounds = [drawn(RandomK(k=10), 40, stream(5, 0, round, Purpose.SHARED)) for round in range(8)]
        whole = [each.decode(each.encode(unit, np.random.default_rng()))[0] for each in rounds]
        assert sorted(set(whole)) == [0, 1]
        found = measured(seed=5, workers=1, aggregator={"kind": "mean"}, compressor={"kind": "randomk", "k": 10})
        assert found.measured == np.mean(whole)
        assert found.worst == 0.25 < found.measured


class TestInside:
    def test_option_two(self) -> None:
        text = said(0.75)
        assert text.startswith("inside P1 Theorem 2 by 0.0689: at α = 0.1, β = 0.11 it asks for δ > 0.681, and 0.75 is")
        assert "for any vector" not in text
        assert "asks for more" not in text
        assert "taken for granted: i.i.d. rows" in text
        assert text.endswith("grows with d²/n, here 160")  # 40²/10

    def test_option_one(self) -> None:
        assert said(0.6, algorithm=OPTION_I).startswith(
            "inside P1 Theorem 1 by 0.0781: at α = 0.1, β = 0.11 it asks for δ > 0.522"
        )

    def test_feedback(self) -> None:
        text = said(0.6, feedback="residual")
        assert text.startswith("inside P1 Theorem 3 by 0.51: at α = 0.1, β = 0.11 it asks for δ > 0.09")
        assert "gradients that stay bounded" in text

    def test_for_any_vector(self) -> None:
        assert "and 1 is measured; so it is for any vector" in said(compressor=IDENTITY)
        assert "for any vector" not in said(0.9, worst=0.6)

    def test_all_honest(self) -> None:
        assert said(0.7, attack=None, aggregator={"kind": "norm-trim", "beta": 0.0}).startswith(
            "inside P1 Theorem 2 by 0.7: at α = 0, β = 0"
        )

    def test_the_mean_of_honest_workers_is_norm_trim(self) -> None:
        assert said(0.7, attack=None, aggregator={"kind": "mean"}).startswith("inside P1 Theorem 2")

    def test_fractions_are_those_of_whole_workers(self) -> None:
        """⌊0.19·10⌋ = 1 and ⌈0.21·10⌉ = 3 of 10."""
        changes: dict[str, Any] = {
            "workers": 10,
            "attack": {"kind": "zero", "alpha": 0.19},
            "aggregator": {"kind": "norm-trim", "beta": 0.21},
        }
        assert "at α = 0.1, β = 0.3" in said(0.5, **changes)

    def test_where_the_proof_asks_for_more(self) -> None:
        """Theorem 1 at α = β = 0.1 asks for 0.504 and its proof for 0.510."""
        text = said(0.507, algorithm=OPTION_I, aggregator={"kind": "norm-trim", "beta": 0.1})
        assert text.startswith("inside P1 Theorem 1 by 0.003")
        assert "its proof needs a little more: δ > 0.51 (docs/PAPER.md)" in text


class TestOutside:
    def test_option_two(self) -> None:
        text = said(0.55)
        assert text.startswith("outside P1 Theorem 2 by 0.131: at α = 0.1, β = 0.11 it asks for δ > 0.681, and 0.55 is")
        assert "with β = α + 0.01 this δ is enough for α < 0.0758" in text
        assert "its proof" not in text

    def test_where_the_proof_asks_for_less(self) -> None:
        text = said(0.637)
        assert text.startswith("outside P1 Theorem 2 by 0.0441")
        assert "its proof needs less, δ > 0.614, and that holds by 0.0234 (docs/PAPER.md)" in text

    def test_option_one_and_feedback(self) -> None:
        assert said(0.5, algorithm=OPTION_I).startswith("outside P1 Theorem 1 by 0.0219")
        text = said(0.05, feedback="residual")
        assert text.startswith("outside P1 Theorem 3 by 0.04: at α = 0.1, β = 0.11 it asks for δ > 0.09")

    def test_too_many_byzantine_for_any_code(self) -> None:
        changes: dict[str, Any] = {
            "attack": {"kind": "zero", "alpha": 0.2},
            "aggregator": {"kind": "norm-trim", "beta": 0.3},
        }
        text = said(compressor=IDENTITY, **changes)
        assert text.startswith("outside P1 Theorem 2: at α = 0.2, β = 0.3 not even δ = 1 is enough, and 1 is measured")
        assert "with β = α + 0.1 this δ is enough for α < 0.13" in text
        assert "with β = α + 0.1 it asks for δ > 0.331 at α = 0 already" in said(0.2, **changes)

    def test_a_code_that_is_no_contraction(self) -> None:
        for feedback in ("none", "residual"):
            text = said(-3.0, feedback=feedback)
            assert text == "no theorem of P1 holds for this code: -3 is measured, and all want δ > 0"

    def test_exactly_on_the_border_is_outside(self) -> None:
        honest: dict[str, Any] = {"attack": None, "aggregator": {"kind": "norm-trim", "beta": 0.5 - 0.25}}
        assert said(1 - 0.75**2, algorithm=OPTION_I, **honest).startswith(
            "outside P1 Theorem 1 by 0: at α = 0, β = 0.25"
        )


class TestForeign:
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"aggregator": {"kind": "median"}}, "they are of norm-trim, not median"),
            ({"aggregator": {"kind": "mean"}}, "they are of norm-trim, not mean"),
            ({"feedback": "difference"}, 'feedback = "difference" is not theirs; "residual" is'),
            ({"algorithm": {**TABLE["algorithm"], "batch": 3}}, "they use all rows of a worker, not 3 a round"),
            ({"algorithm": {**TABLE["algorithm"], "schedule": "inverse-sqrt"}}, "they keep the step as it is"),
            ({"algorithm": {**TABLE["algorithm"], "q": 1}}, "their proofs measure with q = 2, not 1"),
            ({"algorithm": {**TABLE["algorithm"], "q": "inf"}}, "their proofs measure with q = 2, not inf"),
            (
                {"workers": 4, "attack": None, "aggregator": {"kind": "norm-trim", "beta": 0.4}},
                "they trim fewer than half, not 2 of 4",
            ),
            (
                {"algorithm": OPTION_I, "attack": {"kind": "bitflip", "alpha": 0.1}},
                'the adversary of Option I adheres to the compressor; option = "II" lets it send anything',
            ),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_what_no_theorem_speaks_of_is_named(self, changes: dict[str, Any], reason: str) -> None:
        assert said(0.9, **changes).split("\n")[0] == f"outside P1's theorems: {reason}"

    def test_two_at_once(self) -> None:
        algorithm = {**TABLE["algorithm"], "batch": 3, "schedule": "inverse-sqrt"}
        assert "they use all rows of a worker, not 3 a round; they keep the step as it is\n" in said(
            0.9, algorithm=algorithm
        )

    def test_but_for_that_the_condition_is_judged_all_the_same(self) -> None:
        algorithm = {**TABLE["algorithm"], "batch": 3}
        assert "\nbut for that, inside P1 Theorem 2 by 0.219" in said(0.9, algorithm=algorithm)
        assert "\nbut for that, outside P1 Theorem 2 by 0.181" in said(0.5, algorithm=algorithm)

    def test_a_batch_of_all_rows_is_none(self) -> None:
        assert said(0.9, algorithm={**TABLE["algorithm"], "batch": 10}).startswith("inside")

    def test_other_rules_have_no_condition(self) -> None:
        assert "\n" not in said(0.9, aggregator={"kind": "median"})
        assert "\n" not in said(0.9, feedback="difference")
        assert "\n" not in said(0.9, workers=4, attack=None, aggregator={"kind": "norm-trim", "beta": 0.4})

    @pytest.mark.parametrize("partition", ["contiguous", "iid"])
    def test_made_rows_are_iid_however_they_are_dealt(self, partition: str) -> None:
        data = {**TABLE["data"], "partition": {"kind": partition}}
        assert said(0.9, data=data).startswith("inside")

    @pytest.mark.parametrize("kind", [*FEEDING, "bitflip", "garbage", "lying-scale"])
    def test_option_one_admits_who_feeds_the_compressor(self, kind: str) -> None:
        keys = {"under-cut": {"beta": 0.11}}.get(kind, {})
        foreign = kind not in FEEDING
        plan = Plan.of({**TABLE, "algorithm": OPTION_I, "attack": {"kind": kind, "alpha": 0.1, **keys}})
        text = regime(plan, [np.arange(10)] * 100, Contraction(40, 8, 0.9, None))[0]
        assert ("adheres to the compressor" in text) == foreign
        assert text.startswith("outside P1's theorems: " if foreign else "inside P1 Theorem 1")


class TestCheck:
    def test_of_the_quickstart(self) -> None:
        """Just outside Theorem 2, between what it states and what its proof needs."""
        text = forecast(CONFIGS / "quickstart.toml", [])
        assert "  delta       0.628 measured at the start on 8 workers, 0.001 at worst\n" in text
        assert "  theory      outside P1 Theorem 2 by 0.053" in text
        assert "  theory      its proof needs less, δ > 0.614" in text

    def test_of_a_coded_way_down(self) -> None:
        text = forecast(CONFIGS / "quickstart.toml", ["downlink.kind=identity", "downlink.dtype=float32"])
        assert "  bytes down  4,036 a worker and round\n  together    4,165\n" in text
        assert "  theory      outside P1's theorems: their workers answer at w_t itself" in text
        assert "  theory      but for that, outside P1 Theorem 2 by 0.053" in text
        assert "  bytes down  at most" in forecast(CONFIGS / "quickstart.toml", ["downlink.kind=uniform"])

    @pytest.mark.parametrize("kind", catalog.kinds(catalog.ROOMS["compressor"]))
    def test_never_refuses_a_sound_plan(self, tmp_path: Path, kind: str) -> None:
        """Return whether the code contracts or not."""
        path = tmp_path / "plan.toml"
        keys = examples.EXAMPLES["compressor"][kind][0]
        path.write_text(Plan.of({**TABLE, "compressor": {"kind": kind, **keys}}).toml())
        assert "P1 Theorem 2" in forecast(path, []) or "no theorem of P1 holds for this code" in forecast(path, [])
