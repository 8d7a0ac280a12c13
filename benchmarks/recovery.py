"""What the death of a rank costs: three of the ranks are killed, one after another, under ULFM.

    python benchmarks/recovery.py --ranks 21 --on-failure drop

Prints the time of each round in which a rank died, over the median round of the same run.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

_ROOT = Path(__file__).parent.parent
_SETS = ["workers=20", "attack.alpha=0.1", "aggregator.beta=0.4", "algorithm.rounds=4000", "audit.every=4000"]


def ranks_of(out: Path) -> dict[int, int]:
    """The process number of every rank of the run that writes to `out`."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(out) not in (process / "cmdline").read_text():
                continue
            for entry in (process / "environ").read_text().split("\0"):
                if entry.startswith("OMPI_COMM_WORLD_RANK="):
                    found[int(entry.partition("=")[2])] = int(process.name)
        except OSError:
            continue
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=21)
    parser.add_argument("--on-failure", choices=["drop", "adopt"], default="drop")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        sets = [f"--set={each}" for each in [*_SETS, f"on_failure={asked.on_failure}"]]
        launch = [str(_ROOT / "jobs" / "mpirun-local"), "--with-ft", "ulfm", "-n", str(asked.ranks)]
        run = [sys.executable, "-m", "mpirobust", "run", str(_ROOT / "configs" / "quickstart.toml"), f"--out={out}"]
        with subprocess.Popen([*launch, *run, *sets], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as job:
            while not (out / "run.h5").exists() and job.poll() is None:
                time.sleep(0.1)
            for rank in random.sample(range(1, asked.ranks), 3):
                time.sleep(1.0)
                os.kill(ranks_of(out)[rank], signal.SIGKILL)
            told = job.communicate()[1].decode()
        deaths = [int(round) for round in re.findall(r"died in round (\d+)", told)]
        with h5py.File(out / "run.h5") as file:
            seconds = np.diff(file["rounds/elapsed"][:], prepend=0.0)
    median = float(np.median(seconds))
    print(f"{asked.ranks} ranks, on_failure = {asked.on_failure}: a round takes {1e3 * median:.2f} ms (median)")
    for round in deaths:
        spent = seconds[round - 1]
        print(f"  round {round}, in which a rank died: {1e3 * spent:8.2f} ms, {spent / median:6.1f} rounds")


if __name__ == "__main__":
    main()
