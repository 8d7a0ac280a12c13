"""Every rule against attacks tuned to it in each round: the worst found for each, and its strength.

    python benchmarks/tuned_attacks.py --runs runs/tuned --out benchmarks/tuned_attacks.csv

configs/quickstart.toml with 20 % Byzantine, beta = 0.22 where the rule has one, for 20 rounds with seed 1: `tuned` with
20 evaluations a round over alie, ipm, collude and shift; and each rule with honest workers. The aim is `descent`, and
`distance` as well for the rules that this does not break. The distance to w* begins at 32.4. One row for each run, with
the median, the least and the largest strength over the rounds; the commit is that of the code.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from origin import commit

from mpirobust.comm.local import LocalCommunicator
from mpirobust.files import write_csv
from mpirobust.records.layout import TRACE, open_record
from mpirobust.studies.campaign import Job, carry_out, job
from mpirobust.terminal import show

_ROOT = Path(__file__).parent.parent
_PLAN = _ROOT / "configs" / "quickstart.toml"
_QUIET = ["algorithm.rounds=20", "audit.every=20", "checkpoint.every=1000"]
_RULES = {
    "caf": "kind='caf', beta=0.22",
    "norm-trim": "kind='norm-trim', beta=0.22",
    "trimmed-mean": "kind='trimmed-mean', beta=0.22",
    "median": "kind='median'",
    "geometric-median": "kind='geometric-median'",
    "centered-clipping": "kind='centered-clipping', radius=3.0",
    "median-of-means": "kind='median-of-means', groups=90",
    "multi-krum": "kind='multi-krum', beta=0.22",
    "nnm + trimmed-mean": "kind='nnm', beta=0.22, rule={kind='trimmed-mean', beta=0.22}",
    "nnm + geometric-median": "kind='nnm', beta=0.22, rule={kind='geometric-median'}",
    "majority-vote": "kind='majority-vote'",
    "mean": "kind='mean'",
    "iterative-filtering": "kind='iterative-filtering', beta=0.22",
    "krum": "kind='krum', beta=0.22",
    "bulyan": "kind='bulyan', beta=0.22",
}
_STEPS = {"median": 0.1, "majority-vote": 0.03, "krum": 0.05, "bulyan": 0.1}  # of the others it is 0.5, the plan's
_ATTACKS = [  # inner attack, aim, key of the plan
    ("", "", "attack.alpha=0"),
    *[
        (inner, aim, f"attack={{kind='tuned', alpha=0.2, inner={{kind='{inner}'}}, aim='{aim}', evaluations=20}}")
        for aim, inner in product(("descent", "distance"), ("shift", "alie", "collude", "ipm"))
    ],
]
_BROKEN = 100.0  # the distance at the end, three times that of the start
_HEAD = ["rule", "step", "inner", "aim", "distance", "strength", "least", "most", "commit", "run"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/tuned"))
    parser.add_argument("--out", type=Path, default=_ROOT / "benchmarks" / "tuned_attacks.csv")
    asked = parser.parse_args()
    made_by = commit()
    rows: list[list[object]] = [[*_HEAD]]
    found: dict[str, dict[str, float]] = {rule: {} for rule in _RULES}
    for (rule, table), (inner, aim, attack) in product(_RULES.items(), _ATTACKS):
        if aim == "distance" and max(found[rule].values()) > _BROKEN:
            continue
        step = _STEPS.get(rule, 0.5)
        task = job(_PLAN, [f"aggregator={{{table}}}", f"algorithm.step={step}", *_QUIET, attack], asked.runs)
        distance, strengths = result(task)
        told = [np.median(strengths), strengths.min(), strengths.max()] if inner else ["", "", ""]
        rows.append([rule, step, inner, aim, distance, *told, made_by, task.folder.name])
        write_csv(asked.out, rows)
        found[rule][f"{inner} {aim}"] = distance if np.isfinite(distance) else np.inf
    for rule, of in found.items():
        worst = max(of, key=of.__getitem__)
        show(f"{rule}: {of[' ']:.3g} honest, at worst {of[worst]:.3g} by {worst}")


def result(task: Job) -> tuple[float, NDArray[np.float64]]:
    """Return the distance at the end of a run, which is done if it is not there yet, and the strength in each round."""
    carry_out(lambda: [task], LocalCommunicator())
    with open_record(task.folder / TRACE, "run") as file:
        return float(file["audits/distance"][-1]), file["rounds/strength"][:]


if __name__ == "__main__":
    main()
