"""Whatever is wrong in a plan is said with the dotted key and the choices, before anything runs."""

from __future__ import annotations

import tomllib
from copy import deepcopy
from dataclasses import replace
from math import inf, nan
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import tomli_w

from mpirobust import catalog
from mpirobust.algorithms.first_order import FirstOrder
from mpirobust.components import component
from mpirobust.compressors.base import Compressor
from mpirobust.compressors.identity import Identity
from mpirobust.compressors.topk import TopK
from mpirobust.data.partitions.dirichlet import Dirichlet
from mpirobust.data.sources.libsvm import LibSVM
from mpirobust.errors import PlanFault, SetupFault
from mpirobust.feedback.none import NoFeedback
from mpirobust.observers.base import Observer, RunContext, Watch
from mpirobust.plan import Plan, free_keys, load_plan, with_overrides
from mpirobust.running import root
from mpirobust.running.setup import RunRequest
from mpirobust.testing.support.clusters import regression_plan
from tests.support.launching import CONFIGS
from tests.support.plans import GONE, TABLE, changed, fault

RULES, ATTACKS, FEEDBACKS = (
    ", ".join(catalog.kinds(catalog.ROOMS[table])) for table in ("aggregator", "attack", "feedback")
)
PARTITIONS = ", ".join(catalog.kinds(catalog.NESTED["data.partition"]))


# key and value that make it wrong, the key that the fault names, what the message says
WRONG: dict[str, tuple[str, object, str, str]] = {
    "misspelt": ("algorithm.stepp", 1.0, "algorithm.stepp", "the keys here are: rounds, step, schedule"),
    "misspelt-hint": ("algorithm.stepp", 1.0, "algorithm.stepp", "(did you mean 'step'?)"),
    "misspelt-table": ("agregator", {"kind": "mean"}, "agregator", "(did you mean 'aggregator'?)"),
    "misspelt-nested": ("data.partition.concentration", 1.0, "data.partition.concentration", "the keys here are: none"),
    "unknown-table": ("network", {"kind": "x"}, "network", "unknown key; the keys here are: seed, workers, redundancy"),
    "unknown-top": ("wrokers", 3, "wrokers", "(did you mean 'workers'?)"),
    "word-for-number": ("algorithm.step", "fast", "algorithm.step", "finite number greater than 0, not 'fast'"),
    "bool-for-float": ("algorithm.step", True, "algorithm.step", "finite number greater than 0, not True"),
    "bool-for-int": ("algorithm.rounds", True, "algorithm.rounds", "at most 1000000000, not True"),
    "float-for-int": ("workers", 10.0, "workers", "whole number greater than 0 and less than 524288, not 10.0"),
    "number-for-word": ("data.path", 7, "data.path", "expected a string, not 7"),
    "list-for-number": ("algorithm.step", [0.1], "algorithm.step", "finite number greater than 0, not [0.1]"),
    "word-for-table": ("aggregator", "mean", "aggregator", f"expected a table with a kind, one of: {RULES}"),
    "word-for-section": ("audit", "often", "audit", "expected a table"),
    "word-for-inner": (
        "data.partition",
        "iid",
        "data.partition",
        f"a kind, one of: {PARTITIONS}",
    ),
    "no-seed": ("seed", GONE, "seed", "missing"),
    "no-table": ("problem", GONE, "problem", "missing"),
    "no-key": ("algorithm.step", GONE, "algorithm.step", "missing"),
    "no-kind": ("aggregator.kind", GONE, "aggregator.kind", f"missing; choose one of: {RULES}"),
    "no-inner-kind": ("data.partition", {}, "data.partition.kind", f"missing; choose one of: {PARTITIONS}"),
    "unknown-kind": ("attack.kind", "lable-flip", "attack.kind", f"'lable-flip'; choose one of: {ATTACKS}"),
    "unknown-kind-hint": ("attack.kind", "lable-flip", "attack.kind", "(did you mean 'label-flip'?)"),
    "unknown-inner": (
        "data.partition.kind",
        "even",
        "data.partition.kind",
        f"unknown kind 'even'; choose one of: {PARTITIONS}",
    ),
    "kind-is-a-file": ("compressor.kind", "base", "compressor.kind", "unknown kind 'base'"),
    "kind-is-private": ("compressor.kind", "_sparse", "compressor.kind", "unknown kind '_sparse'"),
    "kind-is-a-path": ("compressor.kind", "../plan", "compressor.kind", "unknown kind '../plan'"),
    "kind-is-no-word": ("compressor.kind", 3, "compressor.kind", "unknown kind 3; choose one of: "),
    "kind-with-underscore": ("algorithm.kind", "first_order", "algorithm.kind", "(did you mean 'first-order'?)"),
    "short-kind": ("feedback", "residuals", "feedback.kind", f"'residuals'; choose one of: {FEEDBACKS}"),
    "short-kind-hint": ("feedback", "residuals", "feedback.kind", "(did you mean 'residual'?)"),
    "number-for-short": ("feedback", 3, "feedback", f"expected a table with a kind, one of: {FEEDBACKS}"),
    "inner-choice": ("algorithm.option", "III", "algorithm.option", "'I' or 'II', not 'III'"),
    "order-of-norm": ("algorithm.q", 0.5, "algorithm.q", "at most 1000000 or 'inf', not 0.5"),
    "order-of-no-norm": ("algorithm.q", nan, "algorithm.q", "at most 1000000 or 'inf', not nan"),
    "order-too-high": ("algorithm.q", 10**400, "algorithm.q", "at most 1000000 or 'inf', not 1000"),
    "ball-without-radius": ("algorithm.around", "start", "algorithm", 'around = "start" goes with radius'),
    "nan": ("algorithm.step", nan, "algorithm.step", "finite number greater than 0, not nan"),
    "infinite": ("problem.l2", inf, "problem.l2", "finite number at least 0, not inf"),
    "nan-to-stop": ("stop.loss", nan, "stop.loss", "finite number, not nan"),
    "zero-step": ("algorithm.step", 0.0, "algorithm.step", "greater than 0, not 0.0"),
    "no-rounds": ("algorithm.rounds", 0, "algorithm.rounds", "at most 1000000000, not 0"),
    "no-workers": ("workers", 0, "workers", "greater than 0 and less than 524288, not 0"),
    "negative-seed": ("seed", -1, "seed", "at least 0 and at most 9223372036854775807, not -1"),
    "huge-seed": ("seed", 2**63, "seed", "not 9223372036854775808"),
    "huge-workers": ("workers", 2**19, "workers", "less than 524288"),
    "never-audited": ("audit.every", 0, "audit.every", "at most 1000000000, not 0"),
    "never-saved": ("checkpoint.every", 0, "checkpoint.every", "at most 1000000000, not 0"),
    "never-curved": ("audit.curvature_every", 0, "audit.curvature_every", "at most 1000000000, not 0"),
    "curved-unaudited": ("audit.curvature_every", 5, "audit", "curvature_every = 5 must be a multiple of every = 2"),
    "negative-curvature": ("stop.curvature", -0.1, "stop.curvature", "at least 0, not -0.1"),
    "curvature-alone": ("stop.curvature", 0.1, "stop", "curvature goes with gradient_norm"),
    "observers-no-table": ("observers", 3, "observers", "expected a table"),
    "observer-no-table": ("observers", {"progress": 3}, "observers.progress", "expected a table"),
    "observer-unknown": ("observers.prgress", {}, "observers.prgress.kind", "(did you mean 'progress'?)"),
    "observer-key": ("observers.progress", {"x": 1.0}, "observers.progress.x", "the keys here are: every_seconds"),
    "observer-value": ("observers.checkpoint.every", 0, "observers.checkpoint.every", "at most 1000000000, not 0"),
    "observer-twice": ("observers.audit.every", 2, "observers.audit", "[audit] is the same table; give one of the two"),
    "observer-again": ("observers.x.kind", "audit", "observers.x.kind", "one observer 'audit', in [observers.audit]"),
    "observer-taken": ("observers.finite.kind", "audit", "observers.finite.kind", "'finite', in [observers.finite]"),
    "beta-half": ("aggregator.beta", 0.5, "aggregator.beta", "less than 0.5, not 0.5"),
    "beta-negative": ("aggregator.beta", -0.1, "aggregator.beta", "at least 0 and less than 0.5, not -0.1"),
    "beta-below-alpha": (
        "aggregator.beta",
        0.1,
        "aggregator.beta",
        "0.1 is below attack.alpha = 0.2; choose 0.2 <= beta",
    ),
    "alpha-and-workers": ("attack.workers", [0], "attack.workers", "alpha chooses the Byzantine workers as well; give"),
    "neither": ("attack", {"kind": "negative"}, "attack.alpha", "missing, and so is workers; give one of the two"),
    "alpha-one": ("attack.alpha", 1.0, "attack.alpha", "less than 1, not 1.0"),
    "alpha-negative": ("attack.alpha", -0.1, "attack.alpha", "at least 0 and less than 1, not -0.1"),
    "alpha-half": ("attack.alpha", 0.5, "aggregator.beta", "0.3 is below attack.alpha = 0.5; no beta below 1/2"),
    "alpha-above-beta": ("attack.alpha", 0.4, "aggregator.beta", "0.3 is below attack.alpha = 0.4"),
    "no-entries": ("compressor.k", 0, "compressor.k", "at most 1000000000, not 0"),
    "split-and-test": ("data.test", "rows.t", "data", "give split or test, not both"),
    "split-of-all": ("data.split", 1.0, "data.split", "less than 1, not 1.0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_names_the_key_and_the_choices(name: str) -> None:
    key, value, where, reason = WRONG[name]
    found = fault(changed((key, value)))
    assert found.where == where
    assert reason in found.reason
    assert str(found) == f"{where}: {found.reason}"


def test_residual_feedback_needs_option_two() -> None:
    found = fault(changed(("feedback", "residual"), ("algorithm.option", "I")))
    assert found.where == "algorithm.option"
    assert 'choose "II"' in found.reason


@pytest.mark.parametrize("alpha", [0.5, 0.6, 0.9])
def test_a_majority_may_be_byzantine_where_no_rule_is_set_for_a_minority(alpha: float) -> None:
    changes = ("attack.alpha", alpha), ("workers", 20)
    assert Plan.of(changed(("aggregator", {"kind": "mean"}), *changes)).byzantine().size == 20 * alpha
    found = fault(changed(("aggregator.beta", 0.49), *changes))
    assert str(found) == f"aggregator.beta: 0.49 is below attack.alpha = {alpha}; no beta below 1/2 is enough"
    found = fault(changed(("aggregator", {"kind": "median"}), *changes))
    assert str(found) == f"attack.alpha: {alpha} of the workers are no minority, and the rule tolerates no more"


def test_the_undefended_mean_may_be_attacked() -> None:
    Plan.of(changed(("aggregator", {"kind": "mean"})))


def test_whole_numbers_are_numbers() -> None:
    plan = Plan.of(changed(("algorithm.step", 1), ("stop", {"loss": 0})))
    assert isinstance(plan.algorithm, FirstOrder)
    assert (plan.algorithm.step, plan.stop.loss) == (1.0, 0.0)


def test_defaults() -> None:
    plan = Plan.of({key: TABLE[key] for key in ("seed", "workers", "data", "problem", "algorithm", "aggregator")})
    assert plan.compressor == Identity()
    assert plan.attack is None
    assert (plan.feedback, plan.audit.every, plan.checkpoint.every) == (NoFeedback(), 1, 25)


class TestDeal:
    """What only the data can tell."""

    REGRESSION: tuple[tuple[str, object], ...] = (
        ("data", {"kind": "regression", "rows": 20, "features": 6}),
        ("problem", {"kind": "least-squares"}),
        ("attack", {"kind": "negative", "alpha": 0.2}),
    )

    def deal(self, *changes: tuple[str, object]) -> int:
        plan = Plan.of(changed(*self.REGRESSION, *changes))
        return len(plan.deal(plan.data.open([], plan.seed)))

    def test_fits(self) -> None:
        assert self.deal() == 10
        assert self.deal(("compressor.k", 6)) == 10

    @pytest.mark.parametrize(
        ("key", "value", "where", "reason"),
        [
            ("compressor.k", 7, "compressor.k", "7 is more than the dimension 6; choose 1 to 6"),
            ("compressor", {"kind": "randomk", "k": 9}, "compressor.k", "9 is more than the dimension 6"),
            ("workers", 21, "workers", "21 workers for 20 training rows; at most one per row"),
            ("problem", {"kind": "logistic"}, "problem.kind", "needs two classes; the data have real targets"),
            ("attack.kind", "label-flip", "attack.kind", "the data have real targets"),
            ("data.partition.kind", "dirichlet", "data.partition.kind", "dirichlet needs classes"),
            ("data.partition.kind", "by-label", "data.partition.kind", "by-label needs classes"),
        ],
    )
    def test_does_not_fit(self, key: str, value: object, where: str, reason: str) -> None:
        with pytest.raises(PlanFault) as caught:
            self.deal((key, value))
        assert caught.value.where == where
        assert reason in caught.value.reason

    def test_is_a_function_of_the_seed(self) -> None:
        plans = [Plan.of(changed(*self.REGRESSION, ("seed", seed))) for seed in (1, 1, 2)]
        one, same, other = (np.concatenate(plan.deal(plan.data.open([], plan.seed))).tolist() for plan in plans)
        assert one == same != other


class TestReadTable:
    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"seed = ", "not TOML"),
            (b"seed = 1\nseed = 2", "not TOML"),
            (b"a = 1\n\xff", "line 2 is not UTF-8: byte 0xff"),
        ],
    )
    def test_not_toml(self, tmp_path: Path, content: bytes, reason: str) -> None:
        path = tmp_path / "plan.toml"
        path.write_bytes(content)
        with pytest.raises(SetupFault, match=reason) as caught:
            load_plan(path, [])
        assert str(path) in str(caught.value)

    def test_says_the_line(self, tmp_path: Path) -> None:
        path = tmp_path / "plan.toml"
        path.write_text("seed = 1\nworkers = = 3\n")
        with pytest.raises(SetupFault, match="line 2"):
            load_plan(path, [])

    def test_missing_or_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(SetupFault, match=r"plan\.toml: no such plan"):
            load_plan(tmp_path / "plan.toml", [])
        with pytest.raises(SetupFault, match="cannot be read"):
            load_plan(tmp_path, [])


class TestOverrides:
    def over(self, *assignments: str) -> dict[str, Any]:
        table, notes = with_overrides(changed(), assignments)
        assert notes == []
        return table

    @pytest.mark.parametrize(
        ("assignment", "value"),
        [
            ("algorithm.step=0.1", 0.1),
            ("algorithm.step = 1", 1),
            ("algorithm.step=1e-3", 1e-3),
            ("algorithm.step=true", True),
            ('algorithm.step="inverse"', "inverse"),
            ("algorithm.step=inverse", "inverse"),
            ("algorithm.step=data/a=b.svm", "data/a=b.svm"),
            ("algorithm.step=[1, 2]", [1, 2]),
            ("algorithm.step=", ""),
        ],
    )
    def test_values_are_toml_or_words(self, assignment: str, value: object) -> None:
        found = self.over(assignment)["algorithm"]["step"]
        assert found == value
        assert type(found) is type(value)

    def test_the_table_itself_is_left_alone(self) -> None:
        table = changed()
        with_overrides(table, ["algorithm.step=9", "data.partition.kind=dirichlet", "attack.kind=gaussian"])
        assert table == changed()

    def test_later_wins(self) -> None:
        assert self.over("seed=2", "seed=3")["seed"] == 3

    def test_new_tables_and_keys(self) -> None:
        table = self.over("stop.loss=0.5", "checkpoint.every=3", "algorithm.batch=4")
        plan = Plan.of(table)
        assert (plan.stop.loss, plan.checkpoint.every) == (0.5, 3)

    def test_new_table_with_a_kind(self) -> None:
        table = changed(("attack", GONE))
        table, notes = with_overrides(table, ["attack.alpha=0.1", "attack.kind=gaussian"])
        assert table["attack"] == {"alpha": 0.1, "kind": "gaussian"}
        assert notes == []

    def test_new_kind_keeps_what_it_knows_and_drops_the_rest(self) -> None:
        table, notes = with_overrides(changed(), ["aggregator.kind=mean", "attack.kind=negative", "attack.factor=2.0"])
        assert table["aggregator"] == {"kind": "mean"}
        assert table["attack"] == {"kind": "negative", "alpha": 0.2, "factor": 2.0}
        assert notes == ["aggregator.kind=mean has no key 'beta': aggregator.beta = 0.3 is dropped"]
        Plan.of(table)

    @pytest.mark.parametrize(
        ("data", "assignments", "left", "dropped"),
        [
            ({"kind": "libsvm", "split": 0.7}, ["data.test=t"], {"test": "t"}, ["split"]),
            ({"kind": "libsvm", "test": "t"}, ["data.split=0.5"], {"split": 0.5}, ["test"]),
            ({"kind": "csv", "split": 0.7}, ["data.test=t"], {"test": "t"}, ["split"]),
            ({"kind": "npy", "test": "t", "y_test": "u"}, ["data.split=0.5"], {"split": 0.5}, ["test", "y_test"]),
            ({"kind": "npz", "X_test": "t", "y_test": "u"}, ["data.split=0.5"], {"split": 0.5}, ["X_test", "y_test"]),
            (
                {"kind": "npz", "split": 0.5},
                ["data.X_test=t", "data.y_test=u"],
                {"X_test": "t", "y_test": "u"},
                ["split"],
            ),
            ({"kind": "libsvm"}, ["data.split=0.5", "data.test=t"], {"test": "t"}, ["split"]),  # the last one stays
            ({"kind": "npz", "split": 0.5}, ["data.kind=libsvm", "data.test=t"], {"test": "t"}, ["split"]),
            ({"kind": "npz", "test": "t"}, ["data.X_test=X"], {"test": "t", "X_test": "X"}, []),
            ({"kind": "libsvm", "split": 0.7}, ["data.path=p"], {"split": 0.7, "path": "p"}, []),
        ],
    )
    def test_of_keys_that_exclude_each_other_the_last_one_stays(
        self, data: dict[str, object], assignments: list[str], left: dict[str, object], dropped: list[str]
    ) -> None:
        table, notes = with_overrides({"data": data}, assignments)
        assert {key: value for key, value in table["data"].items() if key != "kind"} == left
        assert [note.split("excludes data.")[1].split()[0] for note in notes] == dropped

    def test_the_same_kind_again_drops_nothing(self) -> None:
        assert self.over("aggregator.kind=norm-trim") == changed()

    @pytest.mark.parametrize("turned", [False, True])
    def test_kinds_come_first_whatever_the_order(self, turned: bool) -> None:
        """A new kind drops what the plan says of the old one, never what the command line says."""
        assignments = ["aggregator.kind=mean", "aggregator.beta=0.4"]
        table, notes = with_overrides(changed(), assignments[::-1] if turned else assignments)
        assert table["aggregator"] == {"kind": "mean", "beta": 0.4}
        assert notes == ["aggregator.kind=mean has no key 'beta': aggregator.beta = 0.3 is dropped"]
        assert fault(table).where == "aggregator.beta"

    def test_nested_tables(self) -> None:
        table = self.over("data.partition.kind=dirichlet", "data.partition.concentration=0.1")
        plan = Plan.of(table)
        assert isinstance(plan.data, LibSVM)
        assert plan.data.partition == Dirichlet(concentration=0.1)
        again, notes = with_overrides(table, ["data.partition.kind=iid"])
        assert again["data"]["partition"] == {"kind": "iid"}
        dropped = "data.partition.concentration = 0.1 is dropped"
        assert notes == [f"data.partition.kind=iid has no key 'concentration': {dropped}"]

    def test_nested_table_outlives_a_new_kind_around_it(self) -> None:
        table, notes = with_overrides(changed(), ["data.kind=regression", "data.partition.kind=contiguous"])
        assert table["data"] == {"kind": "regression", "partition": {"kind": "contiguous"}}
        assert all("is dropped" in note for note in notes)

    def test_nested_table_that_is_not_there_yet(self) -> None:
        table, _ = with_overrides(changed(("data.partition", GONE)), ["data.partition.kind=contiguous"])
        assert table["data"]["partition"] == {"kind": "contiguous"}

    @pytest.mark.parametrize("before", [GONE, "residual", {"kind": "residual"}], ids=["gone", "short", "long"])
    @pytest.mark.parametrize("assignment", ["feedback=difference", "feedback.kind=difference"])
    def test_a_table_that_may_be_a_string(self, assignment: str, before: object) -> None:
        table = changed() if before is GONE else changed(("feedback", before))
        given = deepcopy(table)
        over, notes = with_overrides(table, [assignment])
        assert Plan.of(over).table()["feedback"] == "difference"
        assert notes == []
        assert table == given

    def test_a_string_elsewhere_is_no_table(self) -> None:
        with pytest.raises(PlanFault, match=r"^problem\.kind: problem is not a table$"):
            with_overrides(changed(("problem", "logistic")), ["problem.kind=logistic"])

    @pytest.mark.parametrize("assignment", ["seed", "", "=3", "algorithm.=3", ".step=3", "algorithm..step=3"])
    def test_malformed(self, assignment: str) -> None:
        with pytest.raises(PlanFault) as caught:
            with_overrides(changed(), [assignment])
        assert str(caught.value) == f"--set {assignment}: expected key=value, as in algorithm.step=0.1"

    def test_below_something_that_is_no_table(self) -> None:
        with pytest.raises(PlanFault, match=r"^algorithm\.step\.size: algorithm\.step is not a table$"):
            with_overrides(changed(), ["algorithm.step.size=3"])

    def test_unknown_kind(self) -> None:
        with pytest.raises(PlanFault, match=r"^aggregator\.kind: unknown kind 'man'.*did you mean 'mean'"):
            with_overrides(changed(), ["aggregator.kind=man"])

    @pytest.mark.parametrize("assignment", ["algorithm.stpe=3", "alogrithm.step=3", "audit.kind=x", "kind=x"])
    def test_unknown_keys_are_found_by_the_plan(self, assignment: str) -> None:
        table, _ = with_overrides(changed(), [assignment])
        found = fault(table)
        assert assignment.startswith(found.where)
        assert "unknown key; the keys here are: " in found.reason


class TestEffectivePlan:
    def test_table_round_trip(self) -> None:
        plan = Plan.of(TABLE)
        assert Plan.of(plan.table()) == plan

    def test_zeros_are_said(self) -> None:
        plan = Plan.of(changed(("problem.l2", 0.0), ("aggregator.beta", 0.0), ("attack", GONE), ("stop.loss", 0.0)))
        assert Plan.of(plan.table()) == plan
        assert plan.table()["problem"] == {"kind": "logistic", "l2": 0.0}

    def test_toml_round_trip(self) -> None:
        plan = Plan.of(TABLE)
        assert Plan.of(tomllib.loads(plan.toml())) == plan

    @pytest.mark.parametrize("kind", catalog.kinds(catalog.ROOMS["feedback"]))
    def test_a_feedback_is_stored_as_its_kind_however_it_is_written(self, kind: str) -> None:
        short, long = (Plan.of(changed(("feedback", value))) for value in (kind, {"kind": kind}))
        assert short == long
        assert short.table()["feedback"] == long.table()["feedback"] == kind
        assert short.toml() == long.toml()
        assert short.record().identity() == long.record().identity()
        assert tomllib.loads(short.toml())["feedback"] == kind

    def test_has_the_defaults_in_it(self) -> None:
        table = Plan.of(TABLE).table()
        given, defaults = TABLE["algorithm"], {"schedule": "constant", "option": "II", "q": 2}
        assert table["algorithm"].items() >= {**given, **defaults}.items()
        assert table["checkpoint"] == {"every": 25}
        assert "batch" not in table["algorithm"]  # TOML has no word for None

    @pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
    def test_of_every_config(self, path: Path) -> None:
        kind = tomllib.loads(path.read_text())["problem"]["kind"]
        if package := catalog.missing_package(catalog.load(catalog.ROOMS["problem"], kind, "problem")):
            pytest.skip(f"{kind} needs {package}: pip install 'mpirobust[{package}]'")
        plan, _ = load_plan(path, [])
        assert Plan.of(tomllib.loads(plan.toml()), path.parent) == plan


@component
class Bell(Observer):
    """An observer from elsewhere."""

    free_on_resume: ClassVar[frozenset[str]] = frozenset({"loudness"})

    loudness: int = 3
    pitch: int = 440

    def start(self, run: RunContext) -> Watch:
        return Watch()


class TestObservers:
    """`[observers.<name>]` of the plan."""

    @pytest.mark.parametrize("name", ["audit", "checkpoint"])
    def test_a_section_has_two_spellings_and_one_form(self, name: str) -> None:
        table = changed(("audit", GONE))
        short, long = Plan.of({**table, name: {"every": 7}}), Plan.of({**table, "observers": {name: {"every": 7}}})
        assert short == long
        assert short.toml() == long.toml()
        assert "observers" not in long.table()
        with_kind = {**table, "observers": {name: {"kind": name, "every": 7}}}
        assert Plan.of(with_kind) == short

    def test_what_is_as_ever_is_not_stored(self) -> None:
        plan = Plan.of(changed(("observers", {"progress": {}, "recorder": {"every_seconds": 2.0}, "finite": {}})))
        assert plan == Plan.of(TABLE)
        assert plan.toml() == Plan.of(TABLE).toml()

    def test_what_is_not_as_ever_is_stored_with_its_kind(self) -> None:
        plan = Plan.of(changed(("observers.progress.every_seconds", 60)))
        assert plan.table()["observers"] == {"progress": {"kind": "progress", "every_seconds": 60.0}}
        assert Plan.of(tomllib.loads(plan.toml())) == plan

    @pytest.mark.parametrize("assignment", ["audit.every=3", "observers.audit.every=3"])
    def test_overrides(self, assignment: str) -> None:
        table, _ = with_overrides(changed(("audit", GONE)), [assignment])
        assert Plan.of(table).audit.every == 3
        table, _ = with_overrides(table, ["observers.progress.every_seconds=1"])
        assert "progress" in Plan.of(table).observers

    def test_a_new_kind_drops_the_keys_of_the_old(self) -> None:
        observers = {"mine": {"kind": "progress", "every_seconds": 1.0}}
        table, notes = with_overrides(changed(("observers", observers)), ["observers.mine.kind=finite"])
        assert table["observers"]["mine"] == {"kind": "finite"}
        assert len(notes) == 1
        assert "observers.mine.every_seconds = 1.0 is dropped" in notes[0]

    def test_others_follow_by_name_and_the_deadline_is_last(self) -> None:
        plan = Plan.of(changed(("observers.progress.every_seconds", 60)))
        bells = {name: Bell(pitch=ord(name)) for name in "zab"}
        seen = replace(plan, observers={**plan.observers, **bells}).all_observers()
        assert [each.pitch for each in seen if isinstance(each, Bell)] == [ord(name) for name in "abz"]
        names = [type(each).__name__ for each in seen]
        core = ["Signals", "Finite", "Audits", "Record", "Checkpoints", "Progress"]
        assert names == [*core, "Bell", "Bell", "Bell", "Deadline"]
        assert seen[2] is plan.audit
        assert seen[4] is plan.checkpoint
        assert seen[5] is plan.observers["progress"]

    def test_free_keys(self) -> None:
        always = {"algorithm.rounds", "checkpoint.every", "on_failure"}
        always |= {"stop.gradient_norm", "stop.loss", "stop.curvature"} | {"records.command", "records.hosts"}
        for name in ("progress", "recorder"):
            always |= {f"observers.{name}.kind", f"observers.{name}.every_seconds"}
        plan = Plan.of(TABLE)
        assert free_keys(plan) == free_keys() == always
        assert free_keys(replace(plan, observers={"bell": Bell()})) == always | {"observers.bell.loudness"}


class TestKindsFromOutside:
    """What is wrong with one is one message with its table, whatever it is."""

    HEAD = (
        "from dataclasses import dataclass\nfrom typing import Any\nimport numpy as np\n"
        "from mpirobust import component\nfrom mpirobust.aggregators.base import Aggregator, Context, Verdict\n"
        "from mpirobust.answers import Answers\n"
    )
    MEAN = (
        "    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:\n"
        "        return Verdict(answers.average(answers.sound), answers.sound)\n"
    )
    TOLERATES = "    def tolerates(self) -> float | None:\n        return None\n"
    BROKEN: ClassVar[dict[str, tuple[str, str]]] = {
        "no syntax": ("class Rule(\n", "cannot be loaded: SyntaxError"),
        "no such class": ("x = 1\n", "cannot be loaded: AttributeError"),
        "ends the process": ("raise SystemExit(3)\n", "cannot be loaded: SystemExit"),
        "no component": (f"class Rule(Aggregator):\n{MEAN}{TOLERATES}", "is no component that is derived from"),
        "another room": ("@component\nclass Rule:\n    pass\n", "is no component that is derived from"),
        "abstract": (f"@component\nclass Rule(Aggregator):\n{MEAN}", "is abstract; it lacks: tolerates"),
        "unknown hint": (f"@component\nclass Rule(Aggregator):\n    x: 'Nowhere' = 0\n{MEAN}{TOLERATES}", "NameError"),
    }

    @pytest.mark.parametrize(("body", "says"), BROKEN.values(), ids=BROKEN)
    def test_a_broken_one(self, body: str, says: str, tmp_path: Path) -> None:
        (tmp_path / "mine.py").write_text(self.HEAD + body)
        with pytest.raises(PlanFault) as caught:
            Plan.of(changed(("aggregator", {"kind": "./mine.py:Rule"})), tmp_path)
        assert caught.value.where == "aggregator.kind"
        assert says in caught.value.reason

    def test_a_memory_that_no_checkpoint_could_hold_is_refused_before_the_run(self, tmp_path: Path) -> None:
        memory = "@dataclass(frozen=True)\nclass Kept:\n    words: str\n"
        returns = "    def memory(self) -> type | None:\n        return Kept\n"
        rule = f"{memory}@component\nclass Rule(Aggregator):\n{self.MEAN}{self.TOLERATES}{returns}"
        (tmp_path / "mine.py").write_text(self.HEAD + rule)
        path = tmp_path / "plan.toml"
        table = {**regression_plan().table(), "aggregator": {"kind": "./mine.py:Rule"}}
        path.write_text(tomli_w.dumps(table))
        with pytest.raises(PlanFault, match=r"^aggregator\.kind: what it keeps .* Kept\.words is neither a vector"):
            root.prepare(RunRequest(path, out=tmp_path / "out"), 1)

    def test_a_kind_of_the_package_by_its_class_is_that_kind(self) -> None:
        plan = Plan.of(changed(("aggregator", {"kind": "mpirobust.aggregators.median:Median"})))
        assert plan.table()["aggregator"] == {"kind": "median"}
        assert not plan.origins()


@component
class _WithAnother(NoFeedback):
    """A feedback that uses a compressor of its own in some rounds."""

    def compressors(self, compressor: Compressor) -> tuple[Compressor, ...]:
        return compressor, TopK(k=9)


def test_every_compressor_of_a_run_is_admitted() -> None:
    plan = regression_plan()  # of 8 features
    dataset = plan.data.open([], plan.seed)
    plan.deal(dataset)
    with pytest.raises(PlanFault, match="9 is more than the dimension 8"):
        replace(plan, feedback=_WithAnother()).deal(dataset)


@pytest.mark.parametrize(
    ("workers", "alpha", "beta", "words"),
    [
        (10, 0.1, 0.3, []),
        (10, 0.0, 0.3, []),
        (9, 0.1, 0.3, ["less than one"]),
        (3, 0.34, 0.34, ["rounded up to 2, half"]),
        (2, 0.1, 0.1, ["less than one", "rounded up to 1, half"]),
        (5, 0.2, 0.4, []),
    ],
)
def test_what_rounding_makes_of_few_workers_is_said(workers: int, alpha: float, beta: float, words: list[str]) -> None:
    plan = Plan.of(changed(("workers", workers), ("attack.alpha", alpha), ("aggregator.beta", beta)))
    notes = plan.surprises()
    assert len(notes) == len(words)
    assert all(said in note for said, note in zip(words, notes, strict=True))
