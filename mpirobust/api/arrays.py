"""Aggregation rules and codes, on arrays."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mpirobust import catalog
from mpirobust.aggregators.base import Aggregator, Context, Verdict, judge_rows
from mpirobust.catalog import Given
from mpirobust.compressors.base import Code, Compressor
from mpirobust.errors import inside
from mpirobust.numerics import blas
from mpirobust.streams import Purpose, stream
from mpirobust.types import Layout, Message

_one_thread = cache(blas.OneThread)  # of what is loaded at the first call: to look for it takes milliseconds


def aggregator(kind: str, /, **keys: Any) -> Aggregator:
    """Return the aggregation rule of this kind, as `[aggregator]` of a plan would; it can be called with an array.

    Args:
        kind: "caf", "module:Class", or "path/to/file.py:Class", relative to the working directory.
        keys: of its table. An inner table is a dict with a `kind`, or a component.

    Raises:
        PlanFault: there is no such kind, or a key is unknown, missing or wrong. It is a `ValueError`.
    """
    rule: Aggregator = _component("aggregator", kind, keys)
    return rule


def compressor(kind: str, /, **keys: Any) -> Compressor:
    """Return the compressor of this kind, as `[compressor]` of a plan would; arguments and faults: see `aggregator`."""
    family: Compressor = _component("compressor", kind, keys)
    return family


def aggregate(
    vectors: ArrayLike, aggregator: Aggregator | Given, *, seed: int = 0, round: int = 0, **keys: Any
) -> NDArray[np.float64]:
    """Return the aggregate of m vectors, shape (d,): the step of `judge`, whose arguments and faults these are."""
    return judge(vectors, aggregator, seed=seed, round=round, **keys).step.astype(np.float64, copy=False)


def judge(
    vectors: ArrayLike,
    aggregator: Aggregator | Given,
    *,
    memory: Any = None,
    seed: int = 0,
    round: int = 0,
    **keys: Any,
) -> Verdict:
    """Return the verdict of a rule on m vectors: the step, which of them it kept, and its memory.

    The rule is the one that the center of a run calls, and gives the same bits as a run whose workers sent these
    vectors with the compressor `identity`. A vector with an entry that is not finite, or whose norm overflows, is never
    kept; if none is kept, the step is zero.

    Args:
        vectors: shape (m, d), real numbers of any type; they are converted to float64.
        aggregator: a rule; its kind, as `aggregator` takes it together with `keys`; or a table with a kind.
        memory: that of the verdict before, for a rule that has one (centered-clipping, for example); None at first.
        seed, round: select the random stream of a rule that draws, as the seed of a plan and the round of a run do.

    Raises:
        ValueError: `vectors` is of another shape, or holds something else than real numbers.
        PlanFault: the rule refuses so many vectors; otherwise as `aggregator`. It is a `ValueError`.
    """
    rule = _component("aggregator", aggregator, keys)
    with _one_thread().held(), inside("aggregator"):  # as in a run: sums depend on how many threads of BLAS share them
        return judge_rows(rule, vectors, memory, Context(round=round, seed=seed))


def encode(
    array: ArrayLike, compressor: Compressor | Given, rng: np.random.Generator | int | None = None, *, shared: int = 0
) -> bytes:
    """Return the message that a worker would send for `array`; its length is the number of bytes that cross.

    Numbers that are too large for the compressor (many send one float32 for all) give a message that `decode` refuses.

    Args:
        array: any shape, finite real numbers; a compressor that works on matrices (`pca`, `atomo`) sees its shape.
        compressor: a compressor, the kind of one that needs no keys, or a table with a kind.
        rng: for what the code draws, or a seed; None for other numbers at each call.
        shared: the seed of what both ends draw (`randomk`, `rotated`, `sketch`, ...); the same as in `decode`.

    Raises:
        ValueError: the array is empty, or not of finite real numbers.
        PlanFault: the compressor refuses this shape; otherwise as `aggregator`. It is a `ValueError`.
    """
    if np.iscomplexobj(array):
        raise ValueError("expected real numbers, not complex ones")
    v = np.asarray(array, dtype=np.float64, order="C")
    if not np.isfinite(v).all():
        raise ValueError("expected finite numbers")
    code = _code(compressor, v.shape, shared)
    with np.errstate(over="ignore", invalid="ignore"):  # as in a run
        return code.encode(v.reshape(-1), np.random.default_rng(rng))


def decode(
    message: Message, compressor: Compressor | Given, shape: int | tuple[int, ...], *, shared: int = 0
) -> NDArray[np.float64]:
    """Return the array that `encode` has made `message` from, as far as the compressor keeps it; finite.

    Args:
        message: bytes, of any origin: nothing in it can do more harm than to be refused.
        compressor, shared: as in `encode`.
        shape: of the array.

    Raises:
        Malformed: there is no such array. It is a `ValueError`.
        PlanFault: as `encode`.
    """
    shape = shape if isinstance(shape, tuple) else (shape,)
    code = _code(compressor, shape, shared)
    with np.errstate(over="ignore", invalid="ignore"):
        return code.decode(message).astype(np.float64, copy=False).reshape(shape)


def max_nbytes(compressor: Compressor | Given, shape: int | tuple[int, ...]) -> int:
    """Return the length of the longest message for an array of this shape; of each, if `compressor.fixed_length()`.

    Raises:
        PlanFault: as `encode`.
    """
    family: Compressor = _component("compressor", compressor, {})
    return family.max_nbytes(_layout(family, shape if isinstance(shape, tuple) else (shape,)))


def _code(compressor: Compressor | Given, shape: tuple[int, ...], shared: int) -> Code:
    family: Compressor = _component("compressor", compressor, {})
    return family.draw(_layout(family, shape), stream(shared, 0, 0, Purpose.SHARED))


def _layout(compressor: Compressor, shape: tuple[int, ...]) -> Layout:
    """Return the layout of one part of this shape; raise `ValueError` if that is empty, or the compressor refuses."""
    if min(shape, default=1) < 1:
        raise ValueError(f"expected the shape of an array with something in it, not {shape}")
    layout = Layout((("x", shape),))
    with inside("compressor"):
        compressor.admit(layout)
    return layout


def _component(table: str, given: object, keys: dict[str, Any]) -> Any:
    """Return the component that was given for this table, or that a kind with these keys describes."""
    if keys and not isinstance(given, str):
        raise TypeError(f"{', '.join(keys)}: a component or a table has its keys already; give them with a kind")
    component, notes = catalog.given(table, {**keys, "kind": given} if keys else given)
    for note in notes:
        warnings.warn(note, stacklevel=4)
    return component
