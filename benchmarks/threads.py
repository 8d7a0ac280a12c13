"""The workers of one process on two threads against one: the network of P1 on MNIST, and cubic Newton on a9a.

    python benchmarks/threads.py [--threads 2] [--pairs 5]

Writes benchmarks/threads.json: the seconds of some rounds on one thread and on several, in alternating pairs, and their
ratio; nothing is audited. `by default` is the number of threads that a run takes without `--threads`. Needs
MPIROBUST_DATA, and as many idle cores as threads.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from operator import truediv
from pathlib import Path

from origin import about
from timing import spread

from mpirobust.records.layout import TRACE
from mpirobust.records.tables import open_trace

_HERE = Path(__file__).parent
_RESULT = _HERE / "threads.json"
_ROUNDS = {"mnist-1000.toml": 3, "mnist.toml": 20, "a9a-cubic.toml": 10}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=5)
    asked = parser.parse_args()
    result, plans = {**about(), "threads": asked.threads}, []
    with tempfile.TemporaryDirectory() as folder:
        for plan, rounds in _ROUNDS.items():
            one, several = [], []
            for _ in range(asked.pairs):
                one.append(seconds(plan, rounds, Path(folder), 1))
                several.append(seconds(plan, rounds, Path(folder), asked.threads))
            faster = spread(list(map(truediv, one, several)))
            default = by_default(plan, Path(folder))
            plans.append(
                {"plan": plan, "rounds": rounds, "by default": default, "one": spread(one), "several": spread(several)}
                | {"times faster": faster}
            )
            print(f"{plan}: {faster['median']} times faster")
    result["plans"] = plans
    _RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(f"wrote {_RESULT}")


def seconds(plan: str, rounds: int, folder: Path, threads: int) -> float:
    """Return the seconds that the workers take for so many rounds after the first, which begins with a cold cache."""
    carry_out(plan, rounds + 1, folder, "--threads", str(threads))
    with open_trace(folder / TRACE) as file:
        return float(sum(file[f"rounds/seconds_{phase}"][1:].sum() for phase in ("compute", "encode", "gather")))


def by_default(plan: str, folder: Path) -> str:
    """Return the threads of a run of one round without the option."""
    carry_out(plan, 1, folder)
    with open_trace(folder / TRACE) as file:
        return str(file.attrs["threads"])


def carry_out(plan: str, rounds: int, folder: Path, *options: str) -> None:
    sets = (f"algorithm.rounds={rounds}", "audit.every=1000")
    command = ["mpirobust", "run", str(_HERE.parent / "configs" / plan), "--overwrite", "--out", str(folder), *options]
    subprocess.run([*command, *(each for key in sets for each in ("--set", key))], check=True, capture_output=True)


if __name__ == "__main__":
    main()
