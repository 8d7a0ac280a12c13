"""The α-β model of the phases of a round: it finds the terms that the times were made of, and foretells other sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest

from mpirobust.reports.scaling_model import fit, held_out, least_relative


@dataclass(frozen=True)
class Size:
    processes: int
    workers: int
    nbytes: int
    phases: Mapping[str, float]


def of(processes: int, workers: int, slow: float = 1.0) -> Size:
    """A stage of the broadcast takes 1 ms, a rank of the gather 2, a MB up 1 s, a worker 3 ms, at the center 4."""
    stages, busiest, nbytes = (processes - 1).bit_length(), -(-workers // (processes - 1)), 80_000 * workers
    gather = 2e-3 * (processes - 1) + 1e-6 * nbytes
    return Size(
        processes,
        workers,
        nbytes,
        {"broadcast": 1e-3 * stages, "compute": 3e-3 * busiest, "gather": gather * slow, "aggregate": 4e-3 * workers},
    )


STRONG = [of(processes, 24) for processes in (2, 3, 5, 7, 9, 13, 25)]
WEAK = [of(processes, processes - 1) for processes in (2, 3, 5, 7, 9, 13)]


def test_the_terms_are_found() -> None:
    terms = fit(STRONG[:3] + WEAK).terms
    assert terms["broadcast"]["stage"] == pytest.approx(1e-3)
    assert terms["gather"]["rank"] == pytest.approx(2e-3)
    assert terms["gather"]["byte up"] == pytest.approx(1e-6)
    assert terms["compute"]["busiest"] == pytest.approx(3e-3)
    assert terms["aggregate"]["worker"] == pytest.approx(4e-3)


@pytest.mark.parametrize("sizes", [STRONG, WEAK])
def test_every_size_is_foretold_by_the_others(sizes: list[Size]) -> None:
    measured = [sum(size.phases.values()) for size in sizes]
    np.testing.assert_allclose(held_out(sizes), measured, rtol=1e-6)


def test_a_size_has_no_part_in_what_is_foretold_of_it() -> None:
    disturbed = [*WEAK[:-1], of(13, 12, slow=5.0)]
    assert held_out(disturbed)[-1] == pytest.approx(sum(WEAK[-1].phases.values()))


def test_too_few_sizes_foretell_nothing() -> None:
    assert held_out(STRONG[:4]) == []
    assert len(held_out(STRONG[:5])) == 5


def test_no_term_is_negative_and_errors_are_relative() -> None:
    falling = least_relative(np.array([[1.0, 1.0], [1.0, 2.0]]), np.array([2.0, 1.0]), np.ones(2))
    assert falling.tolist() == pytest.approx([1.5, 0.0])
    between = least_relative(np.ones((2, 1)), np.array([1.0, 100.0]), np.array([1.0, 100.0]))
    assert between.item() == pytest.approx(101e2 / 10001)  # next to the smaller, not at 50.5
