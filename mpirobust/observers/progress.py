"""Says how far the run is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
from math import isnan
from time import perf_counter
from typing import NoReturn

from tqdm import tqdm

from mpirobust.observers.base import Moment, Observer, Status
from mpirobust.records.trace import Trace

_EVERY_SECONDS = 10.0


class Progress(Observer):
    """Writes to standard error."""

    def __init__(self, trace: Trace, rounds: int) -> None:
        self._trace = trace
        self._rounds = rounds
        self._bar: tqdm[NoReturn] | None = None
        self._said = perf_counter()

    def before_first_round(self, moment: Moment) -> Status | None:
        if sys.stderr.isatty():
            self._bar = tqdm(total=self._rounds, initial=moment.round, unit="round", dynamic_ncols=True)
        return None

    def after_round(self, moment: Moment) -> Status | None:
        if self._bar is not None:
            self._bar.update()
            self._bar.set_postfix_str(self._figures(), refresh=False)
        elif perf_counter() - self._said > _EVERY_SECONDS:
            print(f"round {moment.round}/{self._rounds}  {self._figures()}", file=sys.stderr, flush=True)
            self._said = perf_counter()
        return None

    def after_last_round(self, moment: Moment, status: Status) -> None:
        if self._bar is not None:
            self._bar.close()

    def _figures(self) -> str:
        kept = self._trace.rounds.rows["kept"][-1]
        audit = self._trace.audits.rows[-1]
        shown = {"loss": "loss", "gradient_norm": "|grad|", "distance": "|w-w*|", "test_accuracy": "test"}
        figures = [f"{label} {audit[name]:.4g}" for name, label in shown.items() if not isnan(audit[name])]
        return "  ".join([*figures, f"kept {kept.sum()}/{kept.size}"])
