"""The scale of an axis suits its values: no value is lost on it, and none hides the others."""

from __future__ import annotations

import numpy as np
import pytest

from mpirobust.reports.scales import Scale, scale_of


@pytest.mark.parametrize(
    ("values", "share", "scale"),
    [
        ([100.0, 1.0, 0.01], False, Scale("log")),
        ([2.0, 1.0, 1.5], False, Scale("linear")),
        ([0.9, 0.001], True, Scale("linear")),
        ([1e-3, -0.1, -0.24], False, Scale("linear")),  # a loss that falls below zero
        ([1e3, 1e-3, 1e-6, -1e-5], False, Scale("symlog", 0.1)),
        ([1e3, 1.0, 1e-6, 0.0], False, Scale("symlog", 1e-6)),  # a distance that is zero in the end
        ([5.0, 3.0, 0.0], False, Scale("linear")),
        ([1e3, 1.0, np.inf, np.nan], False, Scale("log")),
        ([np.nan], False, Scale("linear")),
        ([0.0], False, Scale("linear")),
        ([], False, Scale("linear")),
    ],
)
def test_scales(values: list[float], share: bool, scale: Scale) -> None:
    found = scale_of(values, share)
    assert found.name == scale.name
    assert found.threshold == pytest.approx(scale.threshold)
