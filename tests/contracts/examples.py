"""The settings with which the contract tests try every kind. A new kind adds its examples here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mpirobust import catalog
from mpirobust.errors import PlanFault
from mpirobust.types import Layout, flat

ROOMS = {
    "problem": catalog.ROOMS["problem"],
    "compressor": catalog.ROOMS["compressor"],
    "aggregator": catalog.ROOMS["aggregator"],
    "attack": catalog.ROOMS["attack"],
    "partition": catalog.NESTED["data.partition"],
    "algorithm.solver": catalog.NESTED["algorithm.solver"],
    "algorithm": catalog.ROOMS["algorithm"],
    "observers": catalog.ROOMS["observers"],
}

EXAMPLES: dict[str, dict[str, list[dict[str, Any]]]] = {
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
    },
    "compressor": {
        "identity": [{}, {"dtype": "float32"}],
        "l1-qsgd": [{}],
        "pca": [{"k": 1}, {"k": 3}],
        "qsgd": [{"levels": 1}, {"levels": 16}],
        "randomk": [{"k": 1}, {"k": 2}, {"k": 7}, {"k": 123}],
        "rotated": [{"levels": 2}, {"levels": 11}],
        "sign": [{}],
        "sketch": [{"rows": 1, "columns": 200}, {"rows": 4, "columns": 30}],
        "terngrad": [{}],
        "topk": [{"k": 1}, {"k": 2}, {"k": 7}, {"k": 20}, {"k": 123}],
        "vqsgd": [{"samples": 1}, {"samples": 20}, {"samples": 200}],
    },
    "aggregator": {
        "bulyan": [{"beta": 0.0}, {"beta": 0.1}, {"beta": 0.2}],
        "caf": [{"beta": 0.0}, {"beta": 0.1}, {"beta": 0.3}, {"beta": 0.49}],
        "centered-clipping": [
            {"radius": 1.0},
            {"radius": 100.0},
            {"radius": 0.01, "iterations": 1},
            {"radius": 1.0, "start": "previous"},
        ],
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
        "mean": [{}],
        "median": [{}],
        "median-of-means": [{"groups": 1}, {"groups": 3}, {"groups": 10}],
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
        "trimmed-mean": [{"beta": 0.0}, {"beta": 0.1}, {"beta": 0.3}, {"beta": 0.49}],
    },
    "attack": {
        "alie": [{"alpha": 0.2}, {"alpha": 0.2, "z": 0.0}, {"alpha": 0.2, "z": 1.5}],
        "bitflip": [
            {"alpha": 0.2},
            {"alpha": 0.2, "rate": 0.0},
            {"alpha": 0.2, "rate": 0.5},
            {"alpha": 0.2, "rate": 1.0},
        ],
        "collude": [{"alpha": 0.2}, {"alpha": 0.2, "fraction": 3.0}],
        "garbage": [{"alpha": 0.2}],
        "gaussian": [{"alpha": 0.2}, {"alpha": 0.2, "variance": 0.0}, {"alpha": 0.2, "variance": 1e6}],
        "ipm": [{"alpha": 0.2}, {"alpha": 0.2, "epsilon": 30.0}],
        "label-flip": [{"alpha": 0.2}],
        "label-random": [{"alpha": 0.2}],
        "lying-scale": [
            {"alpha": 0.2},
            {"alpha": 0.2, "lie": "negative"},
            {"alpha": 0.2, "lie": "zero"},
            {"alpha": 0.2, "lie": "huge"},
            {"alpha": 0.2, "lie": "nan"},
        ],
        "mimic": [{"alpha": 0.2}],
        "negative": [{"alpha": 0.2}, {"alpha": 0.2, "factor": 30.0}],
        "stale": [{"alpha": 0.2}, {"alpha": 0.2, "factor": -1.0}],
        "sign-flip": [{"alpha": 0.2}, {"alpha": 0.2, "factor": 4.0}],
        "under-cut": [{"alpha": 0.2, "beta": 0.0}, {"alpha": 0.2, "beta": 0.2}, {"alpha": 0.2, "beta": 0.49}],
        "zero": [{"alpha": 0.2}],
        "saddle-point": [{"alpha": 0.2, "beta": 0.0}, {"alpha": 0.2, "beta": 0.2}, {"alpha": 0.2, "beta": 0.49}],
        "resized": [{"alpha": 0.2}, {"alpha": 0.2, "factor": 0.0}, {"alpha": 0.2, "factor": 0.5}],
        "wrong-index": [{"alpha": 0.2}],
    },
    "partition": {
        "by-label": [{}],
        "contiguous": [{}],
        "dirichlet": [{}, {"concentration": 0.01}, {"concentration": 1000.0}],
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


def admits(component: Any, classes: int) -> bool:
    """Whether a loss or an attack takes data with that many classes (0: real targets)."""
    return _admits(component, classes)


def _admits(component: Any, what: int | Layout) -> bool:
    try:
        component.admit(what)
    except PlanFault:
        return False
    return True


def _named(table: str) -> Iterator[tuple[str, Any]]:
    for kind, settings in EXAMPLES[table].items():
        for fields in settings:
            name = "-".join([kind, *(f"{key}={value}" for key, value in fields.items())])
            yield name, catalog.build(ROOMS[table], {"kind": kind, **fields}, table)
