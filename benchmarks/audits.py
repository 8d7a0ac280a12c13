"""How much of a run goes into audits: the quickstart in one process, audited in every round.

    python benchmarks/audits.py [--runs 5]

Writes benchmarks/audits.json: the seconds of each phase, summed over the 100 rounds of a run, and the share of audits
in all of them. The phases of a run are neighbours in time: a busy machine hardly changes the share.
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
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    result, runs = about(), []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(asked.runs):
            subprocess.run([*_RUN, folder], check=True, capture_output=True)
            with open_trace(Path(folder) / TRACE) as file:
                runs.append({phase: float(file[f"rounds/seconds_{phase}"][:].sum()) for phase in PHASES})
    result["share"] = spread([each["audit"] / sum(each.values()) for each in runs])
    result["seconds"] = {phase: spread([each[phase] for each in runs]) for phase in PHASES}
    _RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(f"wrote {_RESULT}")


if __name__ == "__main__":
    main()
