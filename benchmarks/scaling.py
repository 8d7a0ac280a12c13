"""Strong and weak scaling where the network decides, a model of each phase, and on paper 10,000 workers.

    python benchmarks/scaling.py [--runs runs/scaling] [--out benchmarks/scaling.json]

Hosts are network namespaces of this machine (root and iproute2) with a rank each and links of 25 Mbit/s. P1's
regression with d = 10,000 runs for 40 rounds on 3 to 25 of them: one plan of 24 workers (strong), and one worker on
every rank but the center's (weak); float64 up, and one bit. Open MPI broadcasts by another algorithm on 25 ranks than
on 13, so no law of the number of ranks holds for it: the studies have a binary tree with segments of 8 KiB, and one has
the default beside it. Finished runs are not repeated. An empty folder took 20 minutes, on two cores with other work.
`benchmarks/network_page.py` makes figure and tables of the file; `mpirobust scaling runs/scaling/strong-float64` and so
on shows the same runs.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from links import names, run_on
from namespaces import missing, network
from origin import about

from mpirobust.reports.run_table import rows
from mpirobust.reports.scaling import scaling
from mpirobust.studies.campaign import job

_ROOT = Path(__file__).parent.parent
RATE = 25  # Mbit/s
DIM = 10_000
ROWS = 20  # of a worker
WORKERS = 24
SIZES = (3, 5, 7, 9, 13, 17, 25)  # the tree of two ranks has one branch, and another law
CODES = {"float64": ("compressor.kind=identity",), "1 bit up": ()}
STUDIES = (  # the last with the broadcast that Open MPI chooses
    ("strong", "float64", True),
    ("weak", "float64", True),
    ("strong", "1 bit up", True),
    ("weak", "1 bit up", True),
    ("strong", "1 bit up", False),
)
_TREE = {
    "OMPI_MCA_coll_tuned_use_dynamic_rules": "1",
    "OMPI_MCA_coll_tuned_bcast_algorithm": "5",
    "OMPI_MCA_coll_tuned_bcast_algorithm_segmentsize": "8192",
}
_SETS = (
    f"data.features={DIM}",
    "attack.alpha=0",
    "aggregator.beta=0",
    "algorithm.rounds=40",
    "algorithm.step=0.001",
    "audit.every=1000000",
    "checkpoint.every=1000",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/scaling"))
    parser.add_argument("--out", type=Path, default=_ROOT / "benchmarks" / "scaling.json")
    asked = parser.parse_args()
    if why := missing():
        sys.exit(f"no hosts here: {why}")
    settings = {"rate": RATE, "d": DIM, "workers": WORKERS, "rows": ROWS, "set": _SETS}
    result: dict[str, Any] = {**about(), **settings, "studies": []}
    with TemporaryDirectory() as scratch, network(Path(scratch), names(max(SIZES))) as net:
        net.shape(RATE)
        for mode, code, tree in STUDIES:
            runs = asked.runs / f"{mode}-{code.replace(' ', '-')}{'' if tree else '-default'}"
            folders = []
            for size in SIZES:
                workers = WORKERS if mode == "strong" else size - 1
                grown = (f"workers={workers}", f"data.rows={ROWS * workers}")
                task = job(_ROOT / "configs" / "quickstart.toml", (*_SETS, *CODES[code], *grown), runs)
                task = replace(task, folder=runs / f"{size}-ranks-{task.folder.name}")
                run_on(net, names(size), task, _TREE if tree else {})
                folders.append(task.folder)
            found = scaling(rows(folders))
            if found.apart:
                sys.exit(found.apart)
            sizes = [{**asdict(each), "folder": each.folder.name} for each in found.sizes]
            result["studies"].append({"mode": mode, "code": code, "tree": tree, "sizes": sizes})
    asked.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
