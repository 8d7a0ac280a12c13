"""Who leaves the saddle of the double well under the saddle-point attack: of twenty seeds, by method and noise.

    python benchmarks/saddles.py --runs runs/saddles --out benchmarks/saddles.csv

The plan is configs/saddle.toml: 20 workers, 4 of them Byzantine, rule and attack with β = 0.3, begun at 0.01 from the
saddle. A run has left if |x_1| > 1/2 at its end. One row for each setting; the commit is that of the code.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from origin import commit

from mpirobust.comm.local import LocalCommunicator
from mpirobust.files import write_csv
from mpirobust.records.layout import TRACE, open_record
from mpirobust.studies.campaign import carry_out, job

_ROOT = Path(__file__).parent.parent
_PLAN = _ROOT / "configs" / "saddle.toml"
_SEEDS = range(1, 21)
_QUIET = "audit.every=1000 checkpoint.every=1000"
_ONE = "algorithm.two_rounds=false"
_TWO = "algorithm.rounds=200"
_DESCENT = "algorithm.kind=first-order algorithm.step=0.3"
_PERTURBED = (
    "algorithm.kind=perturbed-gd algorithm.rounds=200 algorithm.step=0.3 algorithm.threshold=0.05 "
    "algorithm.radius=0.5 algorithm.wait=10"
)
_SEARCH = (
    "algorithm.kind=byzantine-pgd algorithm.rounds=400 algorithm.step=0.3 algorithm.threshold=0.05 "
    "algorithm.R=0.5 algorithm.r=0.5 algorithm.Q=10 algorithm.T_th="
)
_TRIMMED = " aggregator.kind=trimmed-mean"
_CASES = [  # features, σ, what is set
    *[(5, sigma, method) for method in (_ONE, _TWO, _DESCENT) for sigma in (0.003, 0.01, 0.03, 0.1)],
    (5, 0.1, f"{_DESCENT} algorithm.rounds=200{_TRIMMED}"),
    *[(5, 0.1, f"{method} attack.alpha=0") for method in (_ONE, _DESCENT)],
    *[(10, 0.1, method) for method in (_ONE, _TWO)],
    *[(features, 0.1, f"{_PERTURBED}{rule}") for features in (5, 10) for rule in ("", _TRIMMED)],
    *[(features, 0.1, f"{_SEARCH}{T}{rule}") for features in (5, 10) for T in (10, 30) for rule in ("", _TRIMMED)],
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/saddles"))
    parser.add_argument("--out", type=Path, default=_ROOT / "benchmarks" / "saddles.csv")
    asked = parser.parse_args()
    made_by = commit()
    rows: list[list[object]] = [["features", "sigma", "set", "left", "seeds", "commit"]]
    for features, sigma, method in _CASES:
        sets = [f"data.features={features}", f"data.sigma={sigma}", *method.split(), *_QUIET.split()]
        left = sum(_leaves([*sets, f"seed={seed}"], asked.runs) for seed in _SEEDS)
        rows.append([features, sigma, method, left, len(_SEEDS), made_by])
        write_csv(asked.out, rows)


def _leaves(sets: list[str], runs: Path) -> bool:
    """Return whether a run ends in a well; it is done if it is not there yet."""
    task = job(_PLAN, sets, runs)
    carry_out(lambda: [task], LocalCommunicator())
    with open_record(task.folder / TRACE, "run") as file:
        return bool(abs(file["model/x"][0]) > 0.5)


if __name__ == "__main__":
    main()
