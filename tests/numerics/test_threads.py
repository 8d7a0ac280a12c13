"""Work side by side: results in order, one fault, and nothing goes on behind it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from threading import Barrier, Event, get_ident

import numpy as np
import pytest

from mpirobust.numerics import threads

_PATIENCE = 60.0  # seconds, against hangs


@pytest.fixture(params=[1, 2, 5])
def number(request: pytest.FixtureRequest) -> Iterator[int]:
    threads.use(request.param)
    yield request.param
    threads.use(1)


def test_results_are_in_the_order_of_the_items(number: int) -> None:
    assert threads.in_use() == number
    for n in (0, 1, 2, 50):
        assert threads.each(lambda item: item * item, range(n)) == [item * item for item in range(n)]


def test_as_many_items_as_threads_are_worked_on_at_once(number: int) -> None:
    everyone = Barrier(number)

    def met(_: int) -> int:
        everyone.wait(_PATIENCE)
        return get_ident()

    assert len(set(threads.each(met, range(number)))) == number


def test_the_first_item_that_failed_is_told_whichever_failed_first(number: int) -> None:
    second_began = Event()

    def failing(item: int) -> None:
        if item == 1:
            second_began.set()
        if item == 0 and number > 1:
            assert second_began.wait(_PATIENCE)
        raise ValueError(str(item))

    with pytest.raises(ValueError, match=r"^0$"):
        threads.each(failing, range(20))
    assert threads.each(str, [1, 2]) == ["1", "2"]  # and the threads are still there


def test_overflow_is_handled_as_where_the_work_was_asked_for(number: int) -> None:
    everyone = Barrier(number)

    def overflowing(_: int) -> bool:
        everyone.wait(_PATIENCE)
        return bool(np.isinf(np.float64(1e200) * np.float64(1e200)))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with np.errstate(over="ignore"):
            assert threads.each(overflowing, range(number)) == [True] * number
