"""The progress of what may take long: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from math import ceil
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, TypeVar

from mpirobust.terminal import plain, tell, watched

if TYPE_CHECKING:
    from tqdm import tqdm

_FIRST = 2.0  # seconds without a word: what takes less is over before one has read it
_EVERY = 10.0  # seconds between two lines

T = TypeVar("T")


class Meter:
    """Tells how much is done and how long the rest will take; what ends within two seconds is not told.

    Args:
        what: with its verb, as in "reading a9a".
        total: of all that is to be done; 0 if it is not known.
        unit: of `total`, as in "B" or " runs".
    """

    def __init__(self, what: str, total: int, unit: str = "B") -> None:
        self._what = what
        self._total = total
        self._unit = unit
        self._began = monotonic()
        self._next = self._began + _FIRST
        self._before: int | None = None
        self._bar: tqdm[NoReturn] | None = None

    def at(self, done: int) -> None:
        """Tell that so much is done."""
        now = monotonic()
        if self._before is None:
            self._before = done  # of an earlier session: it says nothing about the speed of this one
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
        elif now >= self._next:
            self._next = now + _EVERY
            if watched():
                self._draw(done)
            else:
                tell(f"{self._what}: {self._figures(done, now - self._began)}")

    def _draw(self, done: int) -> None:
        from tqdm import tqdm

        self._bar = tqdm(
            desc=plain(self._what),
            total=self._total or None,
            initial=done,
            unit=self._unit,
            unit_scale=True,
            leave=False,
            dynamic_ncols=True,
        )

    def _figures(self, done: int, seconds: float) -> str:
        from tqdm import tqdm

        if not self._total:
            return f"{tqdm.format_sizeof(done)}{self._unit}"
        share = f"{100 * done / self._total:.0f} %"
        gained = done - (self._before or 0)
        if gained <= 0:
            return share
        return f"{share}, {tqdm.format_interval(ceil(seconds * (self._total - done) / gained))} left"

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, kind: type[BaseException] | None, it: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def metered(items: Collection[T], what: str, unit: str) -> Iterator[T]:
    """Yield the items, and tell how many are done; `what` and `unit` as of `Meter`."""
    with Meter(what, len(items), unit) as meter:
        for done, item in enumerate(items):
            meter.at(done)
            yield item
