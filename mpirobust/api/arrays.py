"""Aggregation rules and codes, on arrays."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mpirobust import catalog
from mpirobust.aggregators.base import Aggregator, AggregatorLike, Context, Verdict, judge_rows, rows_of
from mpirobust.api import arguments
from mpirobust.compressors.base import Code, Compressor, CompressorLike
from mpirobust.errors import PlanFault, inside
from mpirobust.numerics import blas
from mpirobust.records.fields import arrays_of
from mpirobust.streams import Purpose, stream
from mpirobust.terminal import warn
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
    vectors: ArrayLike,
    aggregator: AggregatorLike,
    *,
    memory: Any = None,
    seed: int = 0,
    round: int = 0,
    **keys: Any,
) -> NDArray[np.float64]:
    """Return the aggregate of m vectors, shape (d,): the step of `judge`, whose arguments and faults these are."""
    verdict = judge(vectors, aggregator, memory=memory, seed=seed, round=round, **keys)
    return verdict.step.astype(np.float64, copy=False)


def judge(
    vectors: ArrayLike,
    aggregator: AggregatorLike,
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
        PlanFault: an argument is wrong, or the rule refuses so many vectors; otherwise as `aggregator`.
    """
    rule: Aggregator = _component("aggregator", aggregator, keys)
    rows = rows_of(vectors)
    _expect_memory(rule, memory, rows.shape[1])
    context = Context(round=arguments.whole(round, "round"), seed=arguments.whole(seed, "seed"))
    with _one_thread().held(), inside("aggregator"):  # as in a run: sums depend on how many threads of BLAS share them
        return judge_rows(rule, rows, memory, context)


def encode(
    array: ArrayLike, compressor: CompressorLike, rng: np.random.Generator | int | None = None, *, shared: int = 0
) -> bytes:
    """Return the message that a worker would send for `array`; its length is the number of bytes that cross.

    Numbers that are too large for the compressor (many send one float32 for all) give a message that `decode` refuses.

    Args:
        array: any shape, finite real numbers; a compressor that works on matrices (`pca`, `atomo`) sees its shape.
        compressor: a compressor, the kind of one that needs no keys, or a table with a kind.
        rng: for what the code draws, or a seed; None for other numbers at each call.
        shared: the seed of what both ends draw (`randomk`, `rotated`, `sketch`, ...); the same as in `decode`.

    Raises:
        PlanFault: an argument is wrong, or the compressor refuses this shape; otherwise as `aggregator`.
    """
    v = arguments.finite(array)
    code = _code(compressor, v.shape, shared)
    with np.errstate(over="ignore", invalid="ignore"):  # as in a run
        return code.encode(v.reshape(-1), _generator(rng))


def decode(
    message: Message, compressor: CompressorLike, shape: int | Sequence[int], *, shared: int = 0
) -> NDArray[np.float64]:
    """Return the array that `encode` has made `message` from, as far as the compressor keeps it; finite.

    Args:
        message: bytes, of any origin: nothing in it can do more harm than to be refused.
        compressor, shared: as in `encode`.
        shape: of the array: its sides, or the length of a vector.

    Raises:
        Malformed: there is no such array. It is a `ValueError`.
        PlanFault: as `encode`.
    """
    sides, data = arguments.shape(shape), arguments.content(message)
    code = _code(compressor, sides, shared)
    with np.errstate(over="ignore", invalid="ignore"):
        return code.decode(data).astype(np.float64, copy=False).reshape(sides)


def max_nbytes(compressor: CompressorLike, shape: int | Sequence[int]) -> int:
    """Return the length of the longest message for an array of this shape; of each, if `compressor.fixed_length()`.

    Raises:
        PlanFault: as `encode`.
    """
    family: Compressor = _component("compressor", compressor, {})
    return family.max_nbytes(_layout(family, arguments.shape(shape)))


def _code(compressor: CompressorLike, shape: tuple[int, ...], shared: int) -> Code:
    family: Compressor = _component("compressor", compressor, {})
    seed = arguments.whole(shared, "shared")
    return family.draw(_layout(family, shape), stream(seed, 0, 0, Purpose.SHARED))


def _layout(compressor: Compressor, shape: tuple[int, ...]) -> Layout:
    """Return the layout of one part of this shape; raise `PlanFault` if the compressor refuses it."""
    layout = Layout((("x", shape),))
    with inside("compressor"):
        compressor.admit(layout)
    return layout


def _generator(rng: np.random.Generator | int | None) -> np.random.Generator:
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise PlanFault("rng", f"expected a generator of NumPy, a seed, or None, not {rng!r}") from error


def _expect_memory(rule: Aggregator, memory: object, dim: int) -> None:
    """Raise `PlanFault` unless `memory` is None or that of a verdict of this rule, on vectors of length `dim`."""
    kept = rule.memory()
    if memory is None or (kept is not None and isinstance(memory, kept) and _is_for(memory, dim)):
        return
    wanted = "None, because the rule has no memory" if kept is None else f"that of a verdict on vectors of length {dim}"
    raise PlanFault("memory", f"expected {wanted}, not {memory!r}")


def _is_for(memory: object, dim: int) -> bool:
    return all(each.size in (0, dim) for each in arrays_of(memory).values() if each.ndim)


def _component(table: str, given: object, keys: dict[str, Any]) -> Any:
    """Return the component that was given for this table, or that a kind with these keys describes."""
    if keys and not isinstance(given, str):
        raise PlanFault(table, f"a component or a table has its keys already; give {', '.join(keys)} with a kind")
    component, notes = catalog.given(table, {**keys, "kind": given} if keys else given)
    for each in notes:
        warn(each)
    return component
