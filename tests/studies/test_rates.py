"""The power with which a curve falls is measured for every seed."""

from __future__ import annotations

import numpy as np
import pytest

from mpirobust.errors import SetupFault
from mpirobust.reports.bands import Guide
from mpirobust.studies.outcome import Outcome
from mpirobust.studies.rates import powers, row


def fallen(rounds: list[int], *values: list[float]) -> Outcome:
    at = np.array(rounds)
    return Outcome(at, at.astype(float), np.array(values), np.zeros(len(values), dtype=bool))


@pytest.mark.parametrize("power", [-1.0, -0.5, -2 / 3, 0.0])
@pytest.mark.parametrize("last", [10, 100, 137])
def test_a_power_is_found(power: float, last: int) -> None:
    rounds = np.arange(last + 1)
    values = 3 * np.maximum(rounds, 1) ** power
    values[0] = 99
    np.testing.assert_allclose(powers(fallen(rounds.tolist(), values.tolist(), values.tolist())), power, atol=1e-12)


@pytest.mark.parametrize("end", [0.0, np.inf])
def test_a_seed_without_a_power(end: float) -> None:
    found = powers(fallen([0, 1, 10], [9.0, 1.0, 0.1], [9.0, 1.0, end]))
    assert found[0] == pytest.approx(-1)
    assert np.isnan(found[1])


def test_an_audit_of_a_tenth_is_needed() -> None:
    with pytest.raises(SetupFault, match="an audit between rounds 1 and 3"):
        powers(fallen([0, 5, 39], [9.0, 1.0, 0.1]))


def test_a_row() -> None:
    guide = Guide(label="1/T", power=-1.0, through="Algorithm 1")
    assert row(guide, fallen([0, 1, 10], [9.0, 1.0, 0.1]), "a9a, seed 1") == "| Algorithm 1 | 1/T | -1 (a9a, seed 1) |"
