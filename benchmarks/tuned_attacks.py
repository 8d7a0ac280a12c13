"""Every rule against attacks tuned to it in each round: the worst found for each, and its strength.

    python benchmarks/tuned_attacks.py --runs runs/tuned --out benchmarks/tuned_attacks.csv

configs/quickstart.toml with 20 % Byzantine, beta = 0.22 where the rule has one, for 40 rounds with seed 1: `tuned` with
24 evaluations a round, both aims, over alie, ipm, collude and shift; and each rule with honest workers. The distance to
w* begins at 32.4. One row for each run, with the median, the least and the largest strength over the rounds; the commit
is that of the code.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
from origin import commit

from mpirobust.comm.local import LocalCommunicator
from mpirobust.files import write_csv
from mpirobust.records.layout import TRACE, open_record
from mpirobust.studies.campaign import carry_out, job
from mpirobust.terminal import show

_ROOT = Path(__file__).parent.parent
_PLAN = _ROOT / "configs" / "quickstart.toml"
_QUIET = ["algorithm.rounds=40", "audit.every=40", "checkpoint.every=1000"]
_HONEST = "attack.alpha=0"
_RULES = {  # the rule, and the step if it is not the plan's
    "caf": "kind='caf', beta=0.22",
    "iterative-filtering": "kind='iterative-filtering', beta=0.22",
    "norm-trim": "kind='norm-trim', beta=0.22",
    "trimmed-mean": "kind='trimmed-mean', beta=0.22",
    "median": "kind='median'",
    "geometric-median": "kind='geometric-median'",
    "centered-clipping": "kind='centered-clipping', radius=3.0",
    "median-of-means": "kind='median-of-means', groups=90",
    "krum": "kind='krum', beta=0.22",
    "multi-krum": "kind='multi-krum', beta=0.22",
    "bulyan": "kind='bulyan', beta=0.22",
    "nnm + trimmed-mean": "kind='nnm', beta=0.22, rule={kind='trimmed-mean', beta=0.22}",
    "nnm + geometric-median": "kind='nnm', beta=0.22, rule={kind='geometric-median'}",
    "majority-vote": "kind='majority-vote'",
    "mean": "kind='mean'",
}
_STEPS = {"median": 0.1, "majority-vote": 0.03}
_INNER, _AIMS = ("alie", "ipm", "collude", "shift"), ("distance", "descent")
_HEAD = ["rule", "step", "inner", "aim", "distance", "strength", "least", "most", "commit", "run"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/tuned"))
    parser.add_argument("--out", type=Path, default=_ROOT / "benchmarks" / "tuned_attacks.csv")
    asked = parser.parse_args()
    made_by = commit()
    rows: list[list[object]] = [[*_HEAD]]
    for rule, table in _RULES.items():
        step = _STEPS.get(rule, 0.5)
        sets = [f"aggregator={{{table}}}", f"algorithm.step={step}", *_QUIET]
        found: dict[tuple[str, str], float] = {}
        for inner, aim, attack in _attacks():
            task = job(_PLAN, [*sets, attack], asked.runs)
            carry_out(lambda: [task], LocalCommunicator())  # noqa: B023
            with open_record(task.folder / TRACE, "run") as file:
                distance, strengths = float(file["audits/distance"][-1]), file["rounds/strength"][:]
            told = [np.median(strengths), strengths.min(), strengths.max()] if inner else ["", "", ""]
            rows.append([rule, step, inner, aim, distance, *told, made_by, task.folder.name])
            write_csv(asked.out, rows)
            found[inner, aim] = distance if np.isfinite(distance) else np.inf
        worst = max(found, key=found.__getitem__)
        show(f"{rule}: {found['', '']:.2g} honest, at worst {found[worst]:.3g} by {' '.join(worst)}")


def _attacks() -> Iterator[tuple[str, str, str]]:
    """Yield the inner attack, the aim and the key of the plan; without an attack first."""
    yield "", "", _HONEST
    for inner, aim in product(_INNER, _AIMS):
        yield inner, aim, f"attack={{kind='tuned', alpha=0.2, inner={{kind='{inner}'}}, aim='{aim}', evaluations=24}}"


if __name__ == "__main__":
    main()
