"""`mpirobust` with a center that cannot go on.

    mpirun ... python ending.py NOTES WHY run plan.toml ...

WHY is `disk`, `bug` or `interrupt`, which the center meets in round 15, or `late`: a bug after the dismissal, where
the ranks note in the folder NOTES with which code they leave.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mpirobust import cli
from mpirobust.aggregators.norm_trim import NormTrim
from mpirobust.reports import summary
from tests.support.instants import note_code_on_leaving, replace

_ERRORS: dict[str, BaseException] = {
    "disk": OSError(28, "No space left on device"),
    "bug": RuntimeError("a bug"),
    "interrupt": KeyboardInterrupt(),
}


def main() -> None:
    notes, why, *arguments = sys.argv[1:]
    judge, calls = NormTrim.judge, list[object]()

    def ending(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == 15:
            raise _ERRORS[why]
        return judge(*given)

    def ending_late(*_: Any) -> None:
        raise RuntimeError("a bug")

    if why == "late":
        replace(summary, "summary", ending_late)
        note_code_on_leaving(Path(notes), 4)
    else:
        replace(NormTrim, "judge", ending)
    sys.argv = ["mpirobust", *arguments]
    cli.main()


if __name__ == "__main__":
    main()
