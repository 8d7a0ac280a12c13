"""Rank count is a speed knob, never a result knob: the same bits on 1, 2, 3, 5 and 21 ranks, for every kind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.support.launching import finish, start
from tests.support.rows import write_rows
from tests.support.traces import SAME

# All in CI; in the mpi tier one, a few, and one for each worker.
RANKS = (3, 21, *(pytest.param(ranks, marks=pytest.mark.system) for ranks in (1, 2, 5)))
_BATCH = Path(__file__).with_name("batch.py")

_PLAN = """
seed = 7
workers = 20
{top}
{data}
[algorithm]
rounds = 12
{algorithm}
[compressor]
{compressor}
[aggregator]
{aggregator}
{attack}
[checkpoint]
every = 5
"""

_REGRESSION = """
[data]
kind = "regression"
rows = 331
features = 37
noise = 0.1
test_rows = 11
[audit]
metrics = ["test_loss"]
[problem]
kind = "least-squares"
"""

_CLASSES = """
[data]
kind = "libsvm"
path = "rows.svm"
split = 0.7
partition = {partition}
[problem]
kind = "{problem}"
[audit]
metrics = ["test_loss", "balanced_accuracy", "auc"]
"""

_SADDLES = """
[data]
kind = {data}
rows = 331
features = 37
[problem]
kind = {problem}
start_norm = 0.5
"""

_TRIM = 'kind = "norm-trim"\nbeta = 0.3'
_MEAN = 'kind = "mean"'


def _attack(kind: str) -> str:
    beta = "\nbeta = 0.3" if kind in ("under-cut", "saddle-point") else ""
    return f'[attack]\nkind = "{kind}"\nalpha = 0.25{beta}'


def _regression(compressor: str, attack: str, aggregator: str = _TRIM, top: str = "", algorithm: str = "") -> str:
    return _PLAN.format(
        data=_REGRESSION,
        compressor=compressor,
        attack=_attack(attack),
        aggregator=aggregator,
        top=top,
        algorithm=f'kind = "first-order"\nstep = 0.05\n{algorithm}',
    )


def _saddles(data: str, problem: str, compressor: str, step: float, top: str) -> str:
    return _PLAN.format(
        data=_SADDLES.format(data=data, problem=problem),
        compressor=compressor,
        attack=_attack("saddle-point"),
        aggregator=_TRIM,
        top=top,
        algorithm=f'kind = "first-order"\nstep = {step}',
    )


def _classes(problem: str, partition: str, compressor: str, attack: str, top: str = "", algorithm: str = "") -> str:
    return _PLAN.format(
        data=_CLASSES.format(problem=problem, partition=partition),
        compressor=compressor,
        attack=_attack(attack),
        aggregator=_TRIM,
        top=top,
        algorithm=algorithm if "kind" in algorithm else f'kind = "first-order"\nstep = 0.3\n{algorithm}',
    )


def _down(plan: str, compressor: str) -> str:
    return plan + f"[downlink]\n{compressor}\n"


_CUBIC = 'kind = "cubic-newton"\nM = 10.0\n'
_RESIDUAL = 'feedback = "residual"'
PLANS = {
    "quickstart-like": _regression('kind = "l1-qsgd"', "gaussian"),
    "mean": _regression('kind = "identity"', "negative", _MEAN),
    "float32": _regression('kind = "identity"\ndtype = "float32"', "bitflip"),
    "atomo-blind": _regression('kind = "atomo"\nbudget = 3', "blind-multiplicative"),
    "topk-residual": _regression('kind = "topk"\nk = 5', "lying-scale", top=_RESIDUAL),
    "topk-under-cut": _regression('kind = "topk"\nk = 5', "under-cut", top=_RESIDUAL),
    "difference-collude": _regression('kind = "l1-qsgd"', "collude", top='feedback = "difference"'),
    "randomk-tuned": _regression(
        'kind = "randomk"\nk = 5', "tuned", 'kind = "caf"\nbeta = 0.3', top='feedback = "difference"'
    ).replace('"tuned"', '"tuned"\ninner = { kind = "drift" }\nevaluations = 9'),
    "redundant-residual": _regression(
        'kind = "l1-qsgd"', "gaussian", top=f"redundancy = 4\n{_RESIDUAL}", algorithm="batch = 7"
    ),
    "redundant-by-label-collude": _classes(
        "logistic",
        '{ kind = "by-label" }',
        'kind = "randomk"\nk = 5',
        "collude",
        top='redundancy = 5\nweigh = "rows"\nfeedback = "difference"',
    ),
    "alie-mean": _regression('kind = "l1-qsgd"', "alie", _MEAN),
    "mimic-option-1": _classes(
        "logistic", '{ kind = "by-label" }', 'kind = "l1-qsgd"', "mimic", algorithm='option = "I"'
    ),
    "randomk-residual-garbage": _regression('kind = "randomk"\nk = 5', "garbage", top=_RESIDUAL),
    "option-1-batch": _regression(
        'kind = "l1-qsgd"', "gaussian", algorithm='option = "I"\nq = 1\nbatch = 7\nschedule = "inverse-sqrt"'
    ),
    "smoothness-ball": _regression(
        'kind = "l1-qsgd"', "negative", algorithm='q = "inf"\nradius = 2.0\nschedule = "inverse-smoothness"'
    ),
    "logistic-dirichlet": _classes(
        "logistic", '{ kind = "dirichlet" }', 'kind = "l1-qsgd"', "label-flip", top=_RESIDUAL
    ),
    "robust-by-label": _classes("robust-regression", '{ kind = "by-label" }', 'kind = "topk"\nk = 3', "label-random"),
    "logistic-contiguous-garbage": _classes(
        "logistic", '{ kind = "contiguous" }', 'kind = "l1-qsgd"', "garbage", algorithm="batch = 3"
    ),
    "robust-iid-option-1": _classes(
        "robust-regression", '{ kind = "iid" }', 'kind = "randomk"\nk = 4', "garbage", algorithm='option = "I"'
    ),
    "weighed-dirichlet-difference": _classes(
        "logistic",
        '{ kind = "dirichlet" }',
        'kind = "l1-qsgd"',
        "collude",
        top='weigh = "rows"\nfeedback = "difference"',
        algorithm='schedule = "inverse-smoothness"',
    ),
    "double-well": _saddles('"none"\nsigma = 0.1', '"double-well"', 'kind = "l1-qsgd"', 0.5, 'feedback = "difference"'),
    "matrix": _saddles('"regression"', '"matrix-factorisation"\ncolumns = 3', 'kind = "topk"\nk = 9', 0.1, _RESIDUAL),
    "cubic-lanczos-residual": _classes(
        "robust-regression",
        '{ kind = "by-label" }',
        'kind = "qsgd"\nlevels = 16',
        "gaussian",
        top=_RESIDUAL,
        algorithm=_CUBIC + 'solver = { kind = "lanczos", products = 4 }\ngradient_batch = 5\nhessian_batch = 6',
    ),
    "cubic-two-rounds-descent": _classes(
        "logistic",
        '{ kind = "iid" }',
        'kind = "qsgd"\nlevels = 1',
        "label-flip",
        algorithm=_CUBIC + 'two_rounds = true\nmomentum = 0.5\nsolver = { kind = "descent", perturbation = 0.01 }',
    ),
    "cubic-exact-collude": _classes(
        "logistic",
        '{ kind = "dirichlet" }',
        'kind = "l1-qsgd"',
        "collude",
        algorithm=_CUBIC + 'solver = { kind = "exact" }',
    ),
    "cubic-descent-searched": _saddles(
        '"none"\nsigma = 0.1', '"double-well"', 'kind = "sign"\nzeros = "random"', 0.5, ""
    ).replace('kind = "first-order"\nstep = 0.5', _CUBIC + 'solver = { kind = "descent", perturbation = 0.01 }'),
    "cubic-adaptive": _classes(
        "logistic",
        '{ kind = "dirichlet" }',
        'kind = "qsgd"\nlevels = 1',
        "label-flip",
        algorithm=_CUBIC + "two_rounds = true\nadaptive = 3\nhessian_batch = 6",
    ),
    "uniform-down": _down(
        _regression('kind = "l1-qsgd"', "collude", top='feedback = "difference"'), 'kind = "uniform"'
    ),
    "drawn-down-two-rounds": _down(
        _classes(
            "logistic", '{ kind = "iid" }', 'kind = "uniform"', "gaussian", algorithm=_CUBIC + "two_rounds = true"
        ),
        'kind = "randomk"\nk = 7',
    ),
    "byzantine-pgd": _regression(  # descends, escapes and descends
        'kind = "identity"',
        "gaussian",
        'kind = "trimmed-mean"\nbeta = 0.3',
        algorithm="threshold = 4.3\nT_th = 3\nR = 0.9",
    )
    .replace("first-order", "byzantine-pgd")
    .replace("[audit]", "[audit]\ncurvature_every = 4"),
    "perturbed-gd": _regression(
        'kind = "l1-qsgd"', "alie", 'kind = "median"', algorithm="threshold = 4.3\nradius = 0.5\nwait = 2"
    ).replace("first-order", "perturbed-gd"),
    "newton": _regression(
        'kind = "identity"',
        "sign-flip",
        'kind = "iterative-filtering"\nbeta = 0.3',
        algorithm="products = 5\ndamping = 0.1",
    ).replace("first-order", "newton"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plans, and a run of each without a launcher below `alone`."""
    folder = tmp_path_factory.mktemp("runs")
    write_plans(folder)
    carry_out(folder, "alone", None)
    return folder


@pytest.fixture(scope="module", params=RANKS)
def ranks(request: pytest.FixtureRequest, folder: Path) -> int:
    """A number of ranks, on which every plan was run, in one start of MPI."""
    ranks = int(request.param)
    carry_out(folder, str(ranks), ranks)
    return ranks


def write_plans(folder: Path) -> None:
    write_rows(folder / "rows.svm")
    for name, text in PLANS.items():
        (folder / f"{name}.toml").write_text(text)


def carry_out(folder: Path, way: str, ranks: int | None, *options: str, env: Mapping[str, str] | None = None) -> None:
    """Run every plan of the folder below `way`, in one start."""
    pairs = [str(path) for name in PLANS for path in (folder / f"{name}.toml", folder / way / name)]
    cache = {"MPIROBUST_CACHE": str(folder / "cache")}
    done = finish(start(str(_BATCH), *options, *pairs, ranks=ranks, env={**cache, **(env or {})}), timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", PLANS)
def test_same_bits_on_any_number_of_ranks(name: str, ranks: int, folder: Path) -> None:
    """The first law, of every kind of every room."""
    with (
        h5py.File(folder / "alone" / name / "run.h5") as one,
        h5py.File(folder / str(ranks) / name / "run.h5") as other,
    ):
        assert other["rounds/round"].size == 12
        for column in SAME:
            np.testing.assert_array_equal(other[column][:], one[column][:], err_msg=column)
