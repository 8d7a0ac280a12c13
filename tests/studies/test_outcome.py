"""Seeds are compared at the same rounds, whenever each was audited, and only when they are done."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tomli_w

from mpirobust.errors import SetupFault
from mpirobust.records.layout import TRACE
from mpirobust.records.trace import Trace
from mpirobust.studies.outcome import outcome
from mpirobust.testing.support.clusters import regression_plan


def run(folder: Path, losses: dict[int, float], status: str = "finished") -> Path:
    """A trace with these audited losses; every round sends 4 bytes up and 6 down."""
    trace = Trace(2, np.zeros(0, np.intp), {"plan": tomli_w.dumps(regression_plan(workers=2).table())})
    last = max(losses)
    for t in range(1, last + 1):
        row = trace.rounds.append()
        row["round"], row["bytes_up"], row["bytes_down"] = t, 4, 6
    for t, loss in losses.items():
        audit = trace.audits.append()
        audit["round"], audit["loss"] = t, loss
    folder.mkdir()
    trace.write(folder / TRACE, status, last, np.zeros(1))
    return folder


def test_rounds_are_the_union_and_the_last_value_stays(tmp_path: Path) -> None:
    short, long = run(tmp_path / "a", {0: 8.0, 5: 4.0, 7: 3.0}), run(tmp_path / "b", {0: 9.0, 5: 6.0, 10: 5.0, 12: 1.0})
    found = outcome([short, long], "loss", "bytes")
    np.testing.assert_array_equal(found.rounds, [0, 5, 7, 10, 12])
    np.testing.assert_array_equal(found.values, [[8, 4, 3, 3, 3], [9, 6, 6, 5, 1]])
    np.testing.assert_array_equal(found.after(7), [3, 6])
    np.testing.assert_array_equal(found.at, [0, 50, 60, 85, 95])  # each as far as its own audits go


def test_divergence_is_infinite_from_where_it_was_seen(tmp_path: Path) -> None:
    lost = run(tmp_path / "a", {0: 8.0, 5: 99.0, 6: 1e9}, "diverged")
    kept = run(tmp_path / "b", {0: 9.0, 5: 6.0, 10: 5.0})
    found = outcome([lost, kept], "loss")
    np.testing.assert_array_equal(found.values, [[8, 99, np.inf, np.inf], [9, 6, 6, 5]])
    assert found.diverged.tolist() == [True, False]


@pytest.mark.parametrize("status", ["running", "interrupted"])
def test_a_run_that_is_not_done_is_not_drawn(status: str, tmp_path: Path) -> None:
    folder = run(tmp_path / "a", {0: 8.0, 5: 4.0}, status)
    with pytest.raises(SetupFault, match=f"{status}, not done"):
        outcome([folder], "loss")
