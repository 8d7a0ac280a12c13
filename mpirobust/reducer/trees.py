"""Trees of arrays and the one vector that they are flattened into.

A tree is an array, or a list, a tuple or a mapping of trees. The vector has the arrays one behind the other, each in C
order: those of a list in its order, those of a mapping by ascending key, in whatever order a rank has put them in. An
array without entries is no part of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mpirobust.errors import PlanFault
from mpirobust.types import Layout, Vector

Tree: TypeAlias = Any


@dataclass(frozen=True)
class Form:
    """The arrays of a tree, without their entries.

    Attributes:
        layout: name and shape of each, in the order of the vector; a name has the keys on the way to it.
        dtypes: of each.
    """

    layout: Layout
    dtypes: tuple[str, ...]

    @property
    def nbytes(self) -> int:
        """The bytes of the arrays."""
        sizes = (Layout((part,)).dim for part in self.layout.parts)
        return sum(size * np.dtype(dtype).itemsize for size, dtype in zip(sizes, self.dtypes, strict=True))

    def described(self) -> dict[str, str]:
        """Return shape and dtype of each array as text, by its name."""
        parts = zip(self.layout.parts, self.dtypes, strict=True)
        return {f"array {name}": f"{shape} {dtype}" for (name, shape), dtype in parts}


def flattened(tree: Tree) -> tuple[Form, Vector]:
    """Return the form of a tree and its vector, float64, which may share the memory of the tree.

    Raises:
        PlanFault: something in it is no array of real floating-point numbers, or it has no entries.
    """
    named = [(name, array) for name, array in _arrays(tree, "") if array.size]
    if not named:
        raise PlanFault("gradients", "there is nothing to reduce: no array has entries")
    layout = Layout(tuple((name, array.shape) for name, array in named))
    rows = [array.reshape(-1).astype(np.float64, copy=False) for _, array in named]
    form = Form(layout, tuple(str(array.dtype) for _, array in named))
    return form, rows[0] if len(rows) == 1 else np.concatenate(rows)


def unflattened(vector: Vector, like: Tree) -> Tree:
    """Return a tree of new arrays with the entries of `vector`; containers, shapes and dtypes are those of `like`."""
    tree, rest = _taken(vector, like)
    assert not rest.size
    return tree


def _taken(vector: Vector, like: Tree) -> tuple[Tree, Vector]:
    """Return a tree of the first entries, and the other entries."""
    items = _items(like)
    if items is None:
        array = np.asarray(like)
        return vector[: array.size].reshape(array.shape).astype(array.dtype), vector[array.size :]
    made = {}
    for key, each in items:
        made[key], vector = _taken(vector, each)
    if isinstance(like, Mapping):
        return {key: made[key] for key in like}, vector
    parts = made.values()
    return type(like)(*parts) if hasattr(like, "_fields") else type(like)(parts), vector  # a named tuple, or another


def _arrays(tree: Tree, name: str) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the arrays in the order of the vector, each with its name."""
    items = _items(tree, name)
    if items is None:
        array = np.asarray(tree)
        if not np.issubdtype(array.dtype, np.floating):
            raise PlanFault(_where(name), f"expected an array of floating-point numbers, not {array.dtype}")
        yield name or "x", array
        return
    for key, each in items:
        yield from _arrays(each, f"{name}.{key}" if name else str(key))


def _items(tree: Tree, name: str = "") -> list[tuple[Any, Tree]] | None:
    """Return the trees in a tree with their keys, in the order of the vector; None if it is an array."""
    if isinstance(tree, Mapping):
        try:
            return [(key, tree[key]) for key in sorted(tree)]
        except TypeError as error:
            raise PlanFault(_where(name), f"the keys of a dict have to be of one type: {error}") from error
    return list(enumerate(tree)) if isinstance(tree, list | tuple) else None


def _where(name: str) -> str:
    """Return the place of a tree in the argument, for the message of a fault."""
    return f"gradients.{name}" if name else "gradients"
