"""How much of a run goes into audits: the quickstart in one process, audited in every round, and not at all.

    python benchmarks/audits.py [--runs 7]

Writes benchmarks/audits.json: the seconds of each phase, summed over the 100 rounds of a run, and by which share they
are fewer without audits, of neighbours in time. The share of the phase `audit` alone would be no answer, because the
gradients that the next round needs of an audit are counted as `compute`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

from origin import about
from timing import spread

from mpirobust.records.layout import PHASES, TRACE
from mpirobust.records.tables import open_trace

_HERE = Path(__file__).parent
_RESULT = _HERE / "audits.json"
_RUN = ["mpirobust", "run", str(_HERE.parent / "configs/quickstart.toml"), "--overwrite", "--out"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    asked = parser.parse_args()
    result, audited, bare = about(), [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(asked.runs):
            audited.append(phases(Path(folder)))
            bare.append(phases(Path(folder), "--set", "audit.every=1000"))
    result["share"] = spread([1 - sum(b.values()) / sum(a.values()) for a, b in zip(audited, bare, strict=True)])
    result["seconds"] = {phase: spread([each[phase] for each in audited]) for phase in PHASES}
    result["seconds_without"] = {phase: spread([each[phase] for each in bare]) for phase in PHASES}
    _RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(f"wrote {_RESULT}")


def phases(folder: Path, *options: str) -> dict[str, float]:
    """Return the seconds of each phase of a run."""
    subprocess.run([*_RUN, str(folder), *options], check=True, capture_output=True)
    with open_trace(folder / TRACE) as file:
        return {phase: float(file[f"rounds/seconds_{phase}"][:].sum()) for phase in PHASES}


if __name__ == "__main__":
    main()
