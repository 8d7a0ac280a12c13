"""The rules against ByzFL's, on the same vectors: how far apart the results are.

    python benchmarks/agreement.py [--torch torch==2.13.0]

Writes benchmarks/agreement.json: for each rule that ByzFL has and that draws nothing there, the largest difference over
the largest entry of ByzFL's result, on vectors in float64 (m = 12, d = 1000) of which three are far away. ByzFL's SMEA
and CAF take one step of the power method from a random vector, and its buckets are random as well: there is nothing
to compare. Where ByzFL cannot be installed, the file says why.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from origin import about
from peers import ByzFL, Missing

from mpirobust import aggregate

_RESULT = Path(__file__).parent / "agreement.json"
_F, _M, _DIM = 3, 12, 1000
_BETA = _F / _M
_MEAN = {"kind": "mean"}
_TRIMMED = {"kind": "trimmed-mean", "beta": _BETA}

# Our rule, and the classes of ByzFL, one on the result of the other.
_RULES: dict[str, tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]] = {
    "mean": (_MEAN, [("Average", {})]),
    "median": ({"kind": "median"}, [("Median", {})]),
    "trimmed-mean": (_TRIMMED, [("TrMean", {"f": _F})]),
    "meamed": ({"kind": "meamed", "beta": _BETA}, [("Meamed", {"f": _F})]),
    "krum": ({"kind": "krum", "beta": _BETA}, [("Krum", {"f": _F})]),
    "multi-krum": ({"kind": "multi-krum", "beta": _BETA}, [("MultiKrum", {"f": _F})]),
    "mda": ({"kind": "mda", "beta": _BETA}, [("MDA", {"f": _F})]),
    "monna": ({"kind": "monna", "beta": _BETA, "trusted": 7}, [("MoNNA", {"f": _F, "idx": 7})]),
    "geometric-median": (
        {"kind": "geometric-median", "tolerance": 1e-12, "iterations": 1000},
        [("GeometricMedian", {"nu": 1e-9, "T": 1000})],
    ),
    "nnm + trimmed-mean": (
        {"kind": "nnm", "beta": _BETA, "rule": _TRIMMED},
        [("NNM", {"f": _F}), ("TrMean", {"f": _F})],
    ),
    "clipping + mean": (
        {"kind": "clipping", "radius": 20.0, "rule": _MEAN},
        [("Clipping", {"c": 20.0}), ("Average", {})],
    ),
    "arc + trimmed-mean": (
        {"kind": "arc", "beta": _BETA, "rule": _TRIMMED},
        [("ARC", {"f": _F}), ("TrMean", {"f": _F})],
    ),
    "arc + nnm + trimmed-mean": (
        {"kind": "arc", "beta": _BETA, "rule": {"kind": "nnm", "beta": _BETA, "rule": _TRIMMED}},
        [("ARC", {"f": _F}), ("NNM", {"f": _F}), ("TrMean", {"f": _F})],
    ),
}


def apart(byzfl: ByzFL, folder: Path) -> dict[str, float]:
    """Return the largest difference of each rule over the largest entry of ByzFL's result."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal(_DIM) + rng.standard_normal((_M, _DIM)) * rng.uniform(0.5, 2, (_M, 1))
    rows[:_F] *= -3
    found = {}
    for number, (name, (table, steps)) in enumerate(_RULES.items()):
        file = folder / f"{number}.npy"  # one each: ByzFL's clipping changes what it is given
        np.save(file, rows)
        theirs = byzfl.result(file, steps, folder / "result.npy")
        found[name] = float(f"{np.abs(aggregate(rows, table) - theirs).max() / np.abs(theirs).max():.2g}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mpirobust-benchmarks"
    parser.add_argument("--torch", default="torch", help="the requirement of PyTorch for ByzFL, e.g. torch==2.13.0")
    parser.add_argument("--cache", type=Path, default=cache, help="where ByzFL's environment is made (%(default)s)")
    asked = parser.parse_args()
    result = {**about(), "m": _M, "d": _DIM, "f": _F}
    try:
        byzfl = ByzFL(asked.cache / "byzfl", asked.torch)
    except Missing as missing:
        result["ByzFL"] = str(missing)
    else:
        result["ByzFL"] = byzfl.name
        with tempfile.TemporaryDirectory() as folder:
            result["largest_relative_difference"] = apart(byzfl, Path(folder))
        byzfl.close()
    _RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(f"wrote {_RESULT}", flush=True)


if __name__ == "__main__":
    main()
