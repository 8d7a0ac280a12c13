"""Signals are noted from the start-up on, and the handlers of the caller come back."""

from __future__ import annotations

import signal

import pytest

from mpirobust.algorithms.first_order import Iterate
from mpirobust.observers.base import Moment, Status
from mpirobust.observers.signals import SignalWatch
from mpirobust.running.stop_signals import StopSignals
from mpirobust.testing.support.clusters import LocalRun, regression_plan

_NUMBERS = [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1]


@pytest.fixture
def moment() -> Moment:
    local = LocalRun(regression_plan())
    return Moment(0, Iterate(local.x0, 0, 0.0), local.cluster)


@pytest.mark.parametrize("number", _NUMBERS)
def test_a_signal_before_the_first_round_ends_the_run(number: signal.Signals, moment: Moment) -> None:
    with StopSignals() as signals:
        watch = SignalWatch(lambda: signals.asked)
        assert watch.before_first_round(moment) is None
        signal.raise_signal(number)
        assert watch.before_first_round(moment) is Status.INTERRUPTED
        assert watch.after_round(moment) is Status.INTERRUPTED


def test_a_second_interrupt_ends_at_once() -> None:
    with StopSignals():
        signal.raise_signal(signal.SIGUSR1)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_the_handlers_of_the_caller_come_back() -> None:
    before = [signal.getsignal(number) for number in _NUMBERS]
    with StopSignals():
        assert [signal.getsignal(number) for number in _NUMBERS] != before
    assert [signal.getsignal(number) for number in _NUMBERS] == before
