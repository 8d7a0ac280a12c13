"""The sign of a coordinate that is exactly 0: always + or drawn (`zeros` of `l1-qsgd` and `sign`), over five seeds.

    python benchmarks/zeros.py --runs runs/zeros --out benchmarks/zeros.csv

P1 Algorithm 1 with the plans of configs/: the regression and a9a at full size, the network of P1 Figure 4 with 100
hidden units and minibatches. `l1-qsgd` has the rule and the step of the plan, `sign` majority vote and the step that
was best of 0.001, 0.003, 0.01 and 0.03 for "plus" with seed 1 (these runs were not stored), so that the comparison
favours "plus". One row for each run; the commit is that of the code.
"""

from __future__ import annotations

import argparse
from itertools import product
from operator import eq, lt
from pathlib import Path
from typing import Any

from origin import commit

from mpirobust.comm.local import LocalCommunicator
from mpirobust.files import write_csv
from mpirobust.reports.summary import summary
from mpirobust.studies.campaign import Job, carry_out, job
from mpirobust.terminal import show

_ROOT = Path(__file__).parent.parent
_MNIST = ["problem.hidden=[100]", "algorithm.rounds=100", "audit.every=100", "checkpoint.every=1000"]
_OTHER = ["audit.every=1000", "checkpoint.every=1000"]
_SIGN = ["compressor.kind=sign", "aggregator.kind=majority-vote"]
_CASES = [  # data, plan, metric, what is set, the step of signSGD
    ("regression", "quickstart.toml", "distance", _OTHER, 0.03),
    ("a9a, robust regression", "a9a-robust.toml", "loss", _OTHER, 0.001),
    ("a9a, logistic", "a9a-logistic.toml", "loss", _OTHER, 0.003),
    ("MNIST", "mnist.toml", "loss", _MNIST, 0.001),
]
_HEAD = ["data", "plan", "set", "compressor", "zeros", "seed", "metric", "value", "test_accuracy", "commit", "run"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/zeros"))
    parser.add_argument("--out", type=Path, default=_ROOT / "benchmarks" / "zeros.csv")
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    made_by = commit()
    rows: list[list[object]] = [[*_HEAD]]
    found = {}
    for data, plan, metric, sets, step in _CASES:
        for compressor, more in [("l1-qsgd", []), ("sign", [*_SIGN, f"algorithm.step={step}"])]:
            for zeros, seed in product(("plus", "random"), range(1, asked.seeds + 1)):
                chosen = [*sets, *more, f"compressor.zeros={zeros}", f"seed={seed}"]
                figures = result(job(_ROOT / "configs" / plan, chosen, asked.runs))
                found[data, compressor, zeros, seed] = figures[metric]
                values = [metric, figures[metric], figures["test_accuracy"], made_by, figures["run"]]
                rows.append([data, plan, " ".join([*sets, *more]), compressor, zeros, seed, *values])
                write_csv(asked.out, rows)
    for data, compressor in product([case[0] for case in _CASES], ("l1-qsgd", "sign")):
        pairs = [[found[data, compressor, zeros, 1 + at] for zeros in ("plus", "random")] for at in range(asked.seeds)]
        better, same = (sum(compare(*reversed(pair)) for pair in pairs) for compare in (lt, eq))
        show(f"{data}, {compressor}: random better on {better} of {asked.seeds} seeds, the same on {same}")


def result(task: Job) -> dict[str, Any]:
    """Return the summary of a run, which is done if it is not there yet."""
    carry_out(lambda: [task], LocalCommunicator())
    return {**summary(task.folder), "run": task.folder.name}


if __name__ == "__main__":
    main()
