"""The settings with which the contract tests try every kind. A new kind of the package adds its examples here."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpirobust import catalog
from mpirobust.compressors.base import Compressor
from mpirobust.compressors.identity import Identity
from mpirobust.errors import PlanFault
from mpirobust.types import Layout, flat

ROOMS = {
    **catalog.ROOMS,
    "partition": catalog.NESTED["data.partition"],
    "algorithm.solver": catalog.NESTED["algorithm.solver"],
}

_MODULES = "mpirobust.testing.support.modules:"

EXAMPLES: dict[str, dict[str, list[dict[str, Any]]]] = {
    "data": {  # the files are those of tests/support/data_files.py
        "csv": [
            {"path": "rows.csv", "label": "class"},
            {"path": "rows.csv", "label": -1, "split": 0.7, "partition": {"kind": "by-label"}},
            {"path": "rows.csv", "label": 1, "test": "test.csv", "delimiter": ";", "header": True, "targets": "real"},
        ],
        "libsvm": [
            {"path": "rows.svm"},
            {"path": "rows.svm", "split": 0.7, "partition": {"kind": "by-label"}},
            {"path": "rows.svm", "test": "test.svm", "features": 9, "targets": "real"},
        ],
        "mnist": [{"path": "mnist"}],
        "npy": [
            {"path": "X.npy", "y": "y.npy"},
            {"path": "X.npy", "y": "y.npy", "test": "test_X.npy", "y_test": "test_y.npy", "targets": "real"},
        ],
        "npz": [
            {"path": "rows.npz"},
            {"path": "rows.npz", "split": 0.7, "partition": {"kind": "by-label"}},
            {"path": "rows.npz", "X_test": "test_X", "y_test": "test_y", "targets": "real"},
        ],
        "none": [{"rows": 20}, {"rows": 20, "features": 5, "sigma": 0.5, "partition": {"kind": "contiguous"}}],
        "regression": [
            {"rows": 30, "features": 4},
            {"rows": 30, "features": 4, "noise": 0.2, "test_rows": 6, "partition": {"kind": "contiguous"}},
        ],
    },
    "problem": {
        "least-squares": [{}],
        "logistic": [{}, {"l2": 0.0}, {"l2": 50.0}],
        "network": [
            {"hidden": [7, 5], "classes": 2, "dtype": "float64"},
            {"hidden": [], "dtype": "float64"},
            {"hidden": [4], "dtype": "float64"},
        ],
        "robust-regression": [{}],
        "saddle": [{}, {"start_norm": 0.0}],
        "double-well": [{}, {"start_norm": 0.0}],
        "matrix-factorisation": [{}, {"columns": 3}, {"columns": 2, "start_norm": 0.0}],
        "phase-retrieval": [{}, {"start_norm": 1.0}],
        "torch": [  # for the six features of the tests of losses
            {"model": _MODULES + "perceptron", "arguments": {"outputs": 2}, "dtype": "float64", "chunk": 4},
            {"model": _MODULES + "perceptron", "arguments": {"outputs": 10}, "dtype": "float64"},
            {"model": _MODULES + "perceptron", "loss": "mse", "dtype": "float64"},
            {"model": _MODULES + "perceptron", "loss": _MODULES + "huber", "dtype": "float64", "chunk": 4},
        ],
    },
    "compressor": {
        "atomo": [{"budget": 1}, {"budget": 2}, {"budget": 20}],
        "identity": [{}, {"dtype": "float32"}],
        "l1-qsgd": [{"zeros": "plus"}, {"zeros": "random"}],
        "layerwise": [{"compressor": {"kind": "l1-qsgd"}}, {"compressor": {"kind": "randomk", "k": 1}}],
        "pca": [{"k": 1}, {"k": 3}],
        "qsgd": [{"levels": 1}, {"levels": 16}],
        "randomk": [{"k": 1}, {"k": 2}, {"k": 7}, {"k": 123}],
        "rotated": [{"levels": 2}, {"levels": 11}],
        "sign": [{"zeros": "plus"}, {"zeros": "random"}],
        "sketch": [{"rows": 1, "columns": 200}, {"rows": 4, "columns": 30}],
        "terngrad": [{}],
        "topk": [{"k": 1}, {"k": 2}, {"k": 7}, {"k": 20}, {"k": 123}],
        "uniform": [{"bits": 2}, {}, {"bits": 8}],
        "vqsgd": [{"samples": 1}, {"samples": 20}, {"samples": 200}],
    },
    "aggregator": {
        "arc": [
            {"beta": 0.1, "rule": {"kind": "mean"}},
            {"beta": 0.2, "rule": {"kind": "trimmed-mean", "beta": 0.2}},
            {"beta": 0.3, "rule": {"kind": "nnm", "beta": 0.3, "rule": {"kind": "geometric-median"}}},
        ],
        "bucketing": [
            {"size": 1, "rule": {"kind": "median"}},
            {"size": 2, "rule": {"kind": "geometric-median"}},
            {"size": 3, "rule": {"kind": "centered-clipping", "radius": 1.0, "start": "previous"}},
        ],
        "bulyan": [{"beta": 0.0}, {"beta": 0.1}, {"beta": 0.2}],
        "byzantine-sgd": [{"V": 4.0, "T_A": 1.0, "T_B": 10.0}],
        "caf": [{"beta": 0.0}, {"beta": 0.1}, {"beta": 0.3}, {"beta": 0.49}],
        "centered-clipping": [
            {"radius": 1.0},
            {"radius": 100.0},
            {"radius": 0.01, "iterations": 1},
            {"radius": 1.0, "start": "previous"},
        ],
        "cge": [{"beta": 0.0}, {"beta": 0.3}],
        "clipping": [
            {"radius": 2.0, "rule": {"kind": "caf", "beta": 0.3}},
            {"radius": 1e6, "rule": {"kind": "krum", "beta": 0.1}},
        ],
        "dnc": [{"beta": 0.1}, {"beta": 0.3, "coordinates": 9, "iterations": 3, "remove": 1.5}],
        "fltrust": [{}],
        "geometric-median": [{}, {"iterations": 1, "tolerance": 0.0}],
        "iterative-filtering": [
            {"beta": 0.0},
            {"beta": 0.1},
            {"beta": 0.3},
            {"beta": 0.49},
            {"beta": 0.3, "sigma": 2.0},
        ],
        "krum": [{"beta": 0.0}, {"beta": 0.1}, {"beta": 0.3}],
        "majority-vote": [{}],
        "mda": [{"beta": 0.0}, {"beta": 0.1}],
        "meamed": [{"beta": 0.0}, {"beta": 0.1}, {"beta": 0.3}],
        "mean": [{}],
        "median": [{}],
        "median-of-means": [{"groups": 1}, {"groups": 3}, {"groups": 10}],
        "monna": [{"beta": 0.1}, {"beta": 0.3, "trusted": 0}],
        "multi-krum": [{"beta": 0.0}, {"beta": 0.3}, {"beta": 0.1, "keep": 3}],
        "nnm": [
            {"beta": 0.0, "rule": {"kind": "mean"}},
            {"beta": 0.1, "rule": {"kind": "krum", "beta": 0.1}},
            {"beta": 0.2, "rule": {"kind": "norm-trim", "beta": 0.3}},
            {"beta": 0.3, "rule": {"kind": "median"}},
            {"beta": 0.3, "rule": {"kind": "geometric-median"}},
            {"beta": 0.3, "rule": {"kind": "centered-clipping", "radius": 1.0, "start": "previous"}},
            {"beta": 0.2, "rule": {"kind": "nnm", "beta": 0.2, "rule": {"kind": "trimmed-mean", "beta": 0.2}}},
        ],
        "norm-trim": [{"beta": 0.0}, {"beta": 0.1}, {"beta": 0.3}, {"beta": 0.49}],
        "safeguard": [{"T0": 1, "T1": 3}, {"threshold0": 5.0, "threshold1": 9.0}],
        "signguard": [{}, {"low": 0.0, "high": 5.0, "fraction": 1.0}],
        "smea": [{"beta": 0.0}, {"beta": 0.1}],
        "trimmed-mean": [{"beta": 0.0}, {"beta": 0.1}, {"beta": 0.3}, {"beta": 0.49}],
        "zeno": [{"beta": 0.3}, {"beta": 0.6, "rho": 0.01}],
    },
    "attack": {
        "alie": [
            {"alpha": 0.2},
            {"alpha": 0.2, "z": 0.0},
            {"alpha": 0.2, "z": 1.5},
            {"alpha": 0.2, "z": 1.5, "knowledge": "own"},
        ],
        "bitflip": [
            {"alpha": 0.2},
            {"alpha": 0.2, "rate": 0.0},
            {"alpha": 0.2, "rate": 0.5},
            {"alpha": 0.2, "rate": 1.0},
        ],
        "blind-multiplicative": [{"alpha": 0.2}, {"alpha": 0.2, "flip": 0.0, "scale": 100.0}],
        "collude": [{"alpha": 0.2}, {"alpha": 0.2, "fraction": -3.0}, {"alpha": 0.2, "knowledge": "own"}],
        "drift": [{"alpha": 0.2}, {"alpha": 0.2, "rate": -2.0, "most": 1.0}, {"alpha": 0.2, "knowledge": "own"}],
        "fang-krum": [{"alpha": 0.2}],
        "fang-trim": [{"alpha": 0.2}, {"alpha": 0.2, "b": 10.0}, {"alpha": 0.2, "knowledge": "own"}],
        "garbage": [{"alpha": 0.2}],
        "gaussian": [{"alpha": 0.2}, {"alpha": 0.2, "variance": 0.0}, {"alpha": 0.2, "variance": 1e6}],
        "ipm": [{"alpha": 0.2}, {"alpha": 0.2, "epsilon": 30.0}, {"alpha": 0.2, "knowledge": "own"}],
        "label-flip": [{"alpha": 0.2}],
        "label-random": [{"alpha": 0.2}],
        "lying-scale": [
            {"alpha": 0.2},
            {"alpha": 0.2, "lie": "negative"},
            {"alpha": 0.2, "lie": "zero"},
            {"alpha": 0.2, "lie": "huge"},
            {"alpha": 0.2, "lie": "nan"},
        ],
        "lone-support": [{"alpha": 0.2}, {"alpha": 0.2, "k": 2, "fraction": -3.0}, {"alpha": 0.2, "knowledge": "own"}],
        "mimic": [{"alpha": 0.2}],
        "min-max": [
            {"alpha": 0.2},
            {"alpha": 0.2, "direction": "unit"},
            {"alpha": 0.2, "direction": "sign", "knowledge": "own"},
            {"alpha": 0.2, "gamma": -5.0},
        ],
        "min-sum": [{"alpha": 0.2}, {"alpha": 0.2, "direction": "unit"}, {"alpha": 0.2, "direction": "sign"}],
        "negative": [{"alpha": 0.2}, {"alpha": 0.2, "factor": 30.0}],
        "poisoned": [{"alpha": 0.2}, {"alpha": 0.2, "factor": 1.0, "rounds": 2, "shrink": 0.5}],
        "rop": [{"alpha": 0.2}, {"alpha": 0.2, "z": -2.0, "angle": 180.0, "reference": 0.0, "place": 0.5}],
        "shift": [{"alpha": 0.2}, {"alpha": 0.2, "c": -1.0}, {"alpha": 0.2, "knowledge": "own"}],
        "stale": [{"alpha": 0.2}, {"alpha": 0.2, "factor": -1.0}, {"alpha": 0.2, "knowledge": "own"}],
        "tuned": [
            {"alpha": 0.2, "inner": {"kind": "alie"}, "evaluations": 9},
            {"alpha": 0.2, "inner": {"kind": "shift", "knowledge": "own"}, "aim": "descent", "evaluations": 9},
            {"alpha": 0.2, "inner": {"kind": "drift"}, "evaluations": 9},
        ],
        "sign-flip": [{"alpha": 0.2}, {"alpha": 0.2, "factor": 4.0}],
        "under-cut": [{"alpha": 0.2, "beta": 0.2}, {"alpha": 0.2, "beta": 0.0}, {"alpha": 0.2, "beta": 0.49}],
        "zero": [{"alpha": 0.2}],
        "saddle-point": [{"alpha": 0.2, "beta": 0.2}, {"alpha": 0.2, "beta": 0.0}, {"alpha": 0.2, "beta": 0.49}],
        "resized": [{"alpha": 0.2}, {"alpha": 0.2, "factor": 0.0}, {"alpha": 0.2, "factor": 0.5}],
        "wrong-index": [{"alpha": 0.2}],
    },
    "feedback": {"none": [{}], "residual": [{}], "difference": [{}]},
    "partition": {
        "by-label": [{}],
        "contiguous": [{}],
        "dirichlet": [{}, {"concentration": 0.01}, {"concentration": 1000.0}],
        "gamma-similarity": [{}, {"gamma": 0.0}, {"gamma": 0.3}, {"gamma": 1.0}],
        "iid": [{}],
    },
    "algorithm.solver": {
        "descent": [{}, {"step": "published"}, {"perturbation": 0.01}, {"iterations": 1}],
        "exact": [{}],
        "lanczos": [{}, {"products": 1}, {"products": 3}],
    },
    "algorithm": {  # on least squares, from a gradient of length 4 or so
        "byzantine-pgd": [
            {"rounds": 30, "step": 0.3, "threshold": 1.0, "r": 2.0, "Q": 3, "T_th": 4},
            {"rounds": 15, "step": 0.3, "threshold": 1.0, "R": 1.0, "T_th": 3},
        ],
        "cubic-newton": [
            {"rounds": 8, "M": 10.0},
            {"rounds": 8, "M": 1.0, "two_rounds": True, "gradient_batch": 5, "hessian_batch": 6},
            {"rounds": 8, "M": 10.0, "adaptive": 2},
        ],
        "first-order": [
            {"rounds": 12, "step": 0.1, "batch": 3, "schedule": "inverse-sqrt"},
            {"rounds": 12, "step": 0.5, "schedule": "inverse-smoothness", "radius": 1.0},
            {"rounds": 12, "step": 0.5, "q": 1.5, "radius": 1.0, "around": "start"},
        ],
        "newton": [{"rounds": 6}, {"rounds": 6, "step": 0.5, "products": 2, "damping": 0.1}],
        "perturbed-gd": [{"rounds": 20, "step": 0.3, "threshold": 1.0, "radius": 1.0, "wait": 3}],
    },
    "observers": {
        "audit": [{}, {"every": 2, "curvature_every": 4}, {"every": 100}],
        "checkpoint": [{}, {"every": 2}],
        "deadline": [{}],
        "finite": [{}],
        "progress": [{}, {"every_seconds": 0.0}],
        "recorder": [{}, {"every_seconds": 0.0}],
        "signals": [{}],
    },
}


def components(table: str) -> dict[str, Any]:
    """Every example of a table of the plan, by a name that says its settings."""
    return dict(_named(table))


def fitting(table: str, dims: list[int]) -> dict[str, tuple[Any, int]]:
    """The examples that take vectors of these lengths, each with each length that it takes."""
    return {
        f"{name}-d{dim}": (component, dim)
        for name, component in _named(table)
        for dim in dims
        if _admits(component, flat(dim))
    }


def wire_formats(dim: int) -> dict[str, Compressor]:
    """A compressor for every form of a message: the last that fits of each kind, and both identities."""
    found = {name.removesuffix(f"-d{dim}"): component for name, (component, _) in fitting("compressor", [dim]).items()}
    last = {type(component): name for name, component in found.items()}
    return {name: each for name, each in found.items() if isinstance(each, Identity) or name == last[type(each)]}


def one_of_each_kind(components: dict[str, Any]) -> dict[str, Any]:
    """The first of these of each class."""
    first: dict[type, str] = {}
    for name, component in components.items():
        first.setdefault(type(component), name)
    return {name: components[name] for name in first.values()}


def admits(component: Any, classes: int) -> bool:
    """Return whether a loss or an attack takes data with that many classes (0: real targets)."""
    return _admits(component, classes)


def _admits(component: Any, what: int | Layout) -> bool:
    try:
        component.admit(what)
    except PlanFault:
        return False
    return True


def admits_rows(loss: Any, features: int, classes: int) -> bool:
    """Return whether a loss takes rows of so many numbers, of that many classes."""
    try:
        loss.admit(classes)
        loss.admit_rows(features, classes)
    except PlanFault:
        return False
    return True


def _named(table: str) -> Iterator[tuple[str, Any]]:
    for kind, settings in EXAMPLES[table].items():
        tried = [] if catalog.missing_package(catalog.load(ROOMS[table], kind, table)) else settings
        for fields in tried:
            name = "-".join([kind, *(f"{key}={value}" for key, value in fields.items())])
            yield name, catalog.build(ROOMS[table], {"kind": kind, **fields}, table)
    if chosen is not None and chosen.table == table:
        yield from chosen.components.items()


@dataclass(frozen=True)
class Chosen:
    """A kind from outside, which is tried alone.

    Attributes:
        table: of a plan that it goes into.
        components: one for each of the given settings, by name.
    """

    table: str
    components: dict[str, Any]


chosen: Chosen | None = None


def choose(kind: str, settings: Sequence[str]) -> None:
    """Add a kind to the examples of its room.

    Args:
        kind: as a plan writes it, with files relative to the working directory.
        settings: its fields as TOML, one text for each component.

    Raises:
        PlanFault: it cannot be loaded, is of no room, or does not take these fields.
    """
    global chosen
    table = _table_of(kind)
    made = {}
    for text in settings:
        try:
            fields = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise PlanFault("keys", f"not TOML: {error}") from error
        made[f"{kind} {text}".strip()] = catalog.build(ROOMS[table], {"kind": kind, **fields}, table, Path())
    chosen = Chosen(table, made)


def _table_of(kind: str) -> str:
    """Return the table of a plan that the kind goes into."""
    reasons = []
    for table, room in ROOMS.items():
        try:
            catalog.load(room, kind, table, Path())
        except PlanFault as fault:
            reasons.append(fault)
        else:
            return table
    raise reasons[0]
