"""Every rule works on an array: the code path of a run, to the bit; what is no matrix is refused."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from mpirobust.aggregators.base import Aggregator
from mpirobust.aggregators.krum import Krum
from mpirobust.aggregators.mean import Mean
from mpirobust.answers import Answers, ArrayAnswers
from mpirobust.compressors.base import BLOCK
from mpirobust.compressors.identity import Identity
from mpirobust.testing.examples import components
from mpirobust.testing.support.codes import drawn, inbox_of
from mpirobust.testing.support.judging import judged
from mpirobust.testing.support.rule_rounds import vectors
from mpirobust.testing.test_aggregators import admits
from mpirobust.types import Message, Norm

M = 15
ALL: dict[str, Aggregator] = components("aggregator")
ALONE = {name: rule for name, rule in ALL.items() if not rule.asks_center()}
FITTING = {name: rule for name, rule in ALONE.items() if admits(rule, M, 0)}

each = pytest.mark.parametrize("rule", FITTING.values(), ids=FITTING.keys())

SPREAD = vectors(2 * M, 2 * 9)
# Rows as a caller may have them, and the same as float64.
ROWS: dict[str, tuple[ArrayLike, NDArray[np.float64]]] = {
    "array": (vectors(M, 9), vectors(M, 9)),
    "list": (vectors(M, 9).tolist(), vectors(M, 9)),
    "list of arrays": (list(vectors(M, 9)), vectors(M, 9)),
    "float32": (vectors(M, 9).astype(np.float32), vectors(M, 9).astype(np.float32).astype(np.float64)),
    "whole numbers": (np.arange(9 * M).reshape(M, 9) % 7, (np.arange(9.0 * M).reshape(M, 9) % 7)),
    "by columns": (np.asfortranarray(vectors(M, 9)), vectors(M, 9)),
    "strides": (SPREAD[::2, ::2], SPREAD[::2, ::2].copy()),
    "backwards": (vectors(M, 9)[::-1, ::-1], vectors(M, 9)[::-1, ::-1].copy()),
    "big-endian": (vectors(M, 9).astype(">f8"), vectors(M, 9)),
    "more than a block": (vectors(M, BLOCK + 5), vectors(M, BLOCK + 5)),
}


def sent(rows: NDArray[np.float64], norm: Norm | None = None, silent: int | None = None) -> Answers:
    """The same rows as messages that lose nothing."""
    code = drawn(Identity(), rows.shape[1])
    messages: list[Message] = [code.encode(row, np.random.default_rng(0)) for row in rows]
    if silent is not None:
        messages[silent] = b""
    return inbox_of(messages, rows.shape[1], Identity(), norm)


def sealed(rows: ArrayLike) -> ArrayLike:
    if isinstance(rows, np.ndarray):
        rows.flags.writeable = False
    return rows


def test_every_kind_is_tried() -> None:
    assert {type(rule) for rule in FITTING.values()} == {type(rule) for rule in ALONE.values()}


@each
def test_does_to_the_bit_what_a_run_does(rule: Aggregator) -> None:
    for name, (given, rows) in ROWS.items():
        step = rule(sealed(given))
        assert (step.dtype, step.shape) == (np.dtype(np.float64), (rows.shape[1],)), name
        assert step.tobytes() == judged(rule, sent(rows)).step.tobytes(), name
        assert step.any(), name


@each
def test_an_array_is_judged_as_messages_are(rule: Aggregator) -> None:
    """Also under another norm and another scale, with a row that is unsound for a reason of its own."""
    rows = vectors(M, 9)
    for q in (1.0, 2.0, np.inf):
        trusted = np.arange(M) != 4
        ours = judged(rule, ArrayAnswers(rows, trusted, q))
        theirs = judged(rule, sent(rows, Norm(q), silent=4))
        assert ours.step.tobytes() == theirs.step.tobytes()
        np.testing.assert_array_equal(ours.kept, theirs.kept)


def test_the_norm_of_what_is_unsound_is_infinite() -> None:
    rows = vectors(M, 9)
    rows[[1, 2, 3], [0, 4, 8]] = np.nan, np.inf, 1e200
    with np.errstate(over="ignore", invalid="ignore"):  # as in a run
        for q in (1.0, 2.0, np.inf):
            norms = ArrayAnswers(rows, np.arange(M) != 5, q).norms
            unsound = [1, 2, 5] if q != 2.0 else [1, 2, 3, 5]
            assert np.flatnonzero(norms == np.inf).tolist() == unsound
            sound = np.setdiff1d(np.arange(M), unsound)
            np.testing.assert_allclose(norms[sound], np.linalg.norm(rows[sound], q, axis=1), rtol=1e-12)


@each
def test_a_row_that_is_not_finite_is_as_good_as_none(rule: Aggregator) -> None:
    """Wherever its entry stands; 1e200 is finite, and its norm is not."""
    rows = vectors(M, 9)
    expected = judged(rule, sent(rows, silent=4)).step
    with np.errstate(over="ignore", invalid="ignore"):  # as in a run
        for bad, at in product([np.nan, np.inf, -np.inf, 1e200], [[0], [8], list(range(9))]):
            hostile = rows.copy()
            hostile[4, at] = bad
            assert rule(hostile).tobytes() == expected.tobytes(), (bad, at)


@pytest.mark.parametrize(
    "wrong",
    [
        3.0,
        [1.0, 2.0, 3.0],
        np.ones((2, 3, 4)),
        [],
        [[]],
        np.empty((0, 3)),
        np.empty((3, 0)),
        [[1.0, 2.0], [3.0]],
        [["a", "b"]],
    ],
    ids=["number", "vector", "cube", "nothing", "nothing of nothing", "no rows", "no columns", "ragged", "words"],
)
def test_what_is_no_matrix_is_refused(wrong: Any) -> None:
    for rule in (Mean(), ALL["median"]):
        with pytest.raises(ValueError, match=r"expected an array|inhomogeneous shape|could not convert"):
            rule(wrong)


def test_the_refusal_says_the_shape() -> None:
    with pytest.raises(ValueError, match=r"vectors: expected an array of shape \(m, d\), not \(3,\)"):
        Mean()([1.0, 2.0, 3.0])


@pytest.mark.parametrize("rule", [rule for rule in ALL.values() if rule.asks_center()], ids=repr)
def test_a_rule_that_asks_the_center_is_refused(rule: Aggregator) -> None:
    with pytest.raises(ValueError, match=r"rows that the center of a plan keeps \(center_rows\), and here are none"):
        rule(vectors(M, 9))


@pytest.mark.parametrize("rule", ALONE.values(), ids=ALONE.keys())
def test_too_few_rows_are_refused_as_a_plan_is(rule: Aggregator) -> None:
    for m in (1, 2, 3, 4, 11, 60):
        if admits(rule, m, 0):
            rule(vectors(m, 9))
        else:
            with pytest.raises(ValueError, match=r"beta|groups|rule|size|trusted"):
                rule(vectors(m, 9))


def test_some_rule_refuses_few_rows() -> None:
    assert not admits(Krum(beta=0.3), 2, 0)


@each
def test_a_call_commits_nothing_and_leaves_the_rows_alone(rule: Aggregator) -> None:
    rows = vectors(M, 9)
    before = rows.copy()
    step = rule(rows)
    expected = step.copy()
    step += 1  # it is the caller's own
    np.testing.assert_array_equal(rule(rows), expected)
    np.testing.assert_array_equal(rows, before)
