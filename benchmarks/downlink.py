"""What a coded way down costs in rounds and saves in bytes: quickstart, a9a logistic regression and a9a cubic Newton.

    python benchmarks/downlink.py --runs runs/downlink --out benchmarks/downlink.csv

Each plan of configs/ runs with each code of the way down, attacked as the plan says and with honest workers, until its
metric is at most the goal. One row for each run, with the rounds and bytes until then; none if it never is. The commit
is that of the code. Runs that are there are not repeated. About half an hour for three seeds.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from origin import commit

from mpirobust.comm.local import LocalCommunicator
from mpirobust.files import write_csv
from mpirobust.records.layout import TRACE
from mpirobust.records.tables import open_trace
from mpirobust.studies.campaign import carry_out, job
from mpirobust.terminal import show

_ROOT = Path(__file__).parent.parent
_CASES: list[tuple[str, list[str], str, float]] = [  # plan, what is set, metric, goal
    ("quickstart.toml", ["algorithm.rounds=160"], "distance", 0.01),
    ("a9a-logistic.toml", ["algorithm.rounds=600"], "gradient_norm", 0.012),
    ("a9a-cubic.toml", ["algorithm.rounds=50"], "gradient_norm", 0.02),
    ("a9a-cubic.toml", ["algorithm.rounds=100", "algorithm.two_rounds=true"], "gradient_norm", 0.02),
]
_CODES = [
    "none",
    "identity dtype=float32",
    *(f"uniform bits={bits}" for bits in (8, 4, 3, 2)),
    "l1-qsgd",
]
_HEAD = ["plan", "set", "downlink", "workers", "seed", "metric", "goal", "rounds", "bytes_up", "bytes_down", "bytes"]
_MORE = ["least", "status", "commit", "run"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/downlink"))
    parser.add_argument("--out", type=Path, default=_ROOT / "benchmarks" / "downlink.csv")
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    made_by = commit()
    rows: list[list[object]] = [[*_HEAD, *_MORE]]
    for (plan, own, metric, goal), attacked in product(_CASES, (True, False)):
        for code, seed in product(_CODES, range(1, asked.seeds + 1)):
            sets = [*own, "audit.every=1", "checkpoint.every=1000", *([] if attacked else ["attack.alpha=0"])]
            down = [] if code == "none" else [f"downlink.{each}" for each in f"kind={code}".split()]
            task = job(_ROOT / "configs" / plan, [*sets, *down, f"seed={seed}"], asked.runs)
            if ended := carry_out(partial(list, [task]), LocalCommunicator()):
                sys.exit(ended)
            workers = "attacked" if attacked else "honest"
            found = finish(task.folder, metric, goal)
            rows.append([plan, " ".join(sets), code, workers, seed, metric, goal, *found, made_by, task.folder.name])
            write_csv(asked.out, rows)
        show(f"{plan}, {'attacked' if attacked else 'honest'}: done")


def finish(folder: Path, metric: str, goal: float) -> list[object]:
    """Return rounds and bytes up, down and together until the goal; the least value, and the status."""
    with open_trace(folder / TRACE) as file:
        values = file[f"audits/{metric}"][:]
        rest = [float(np.nanmin(values)), str(file.attrs["status"])]
        there = np.flatnonzero(values <= goal)
        if not there.size:
            return ["", "", "", "", *rest]
        rounds = int(file["audits/round"][there[0]])
        up, down = (int(file[f"rounds/bytes_{way}"][:rounds].sum()) for way in ("up", "down"))
        return [rounds, up, down, up + down, *rest]


if __name__ == "__main__":
    main()
