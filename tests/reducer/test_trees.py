"""Trees of arrays as one vector, and back."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
import pytest

from mpirobust.errors import PlanFault
from mpirobust.reducer.trees import flattened, unflattened
from mpirobust.types import flat


class _Pair(NamedTuple):
    w: Any
    b: Any


def test_one_array_is_the_vector_of_a_run() -> None:
    form, vector = flattened(np.arange(4.0))
    assert form.layout == flat(4)
    np.testing.assert_array_equal(vector, np.arange(4.0))
    assert form.nbytes == 32


def test_a_nested_tree_comes_back_in_its_containers_shapes_and_dtypes() -> None:
    tree = OrderedDict(
        b=[np.array([[1, 2], [3, 4]], np.float32).T, (np.float16(5.0), np.empty((0, 3)))],
        a=_Pair(np.array([6.0]), {"z": np.array([7], np.float32), "y": [np.float64(8)]}),
    )
    form, vector = flattened(tree)
    np.testing.assert_array_equal(vector, [6, 8, 7, 1, 3, 2, 4, 5])  # by key: a before b, y before z; C order
    assert vector.dtype == np.float64
    names = ["a.0", "a.1.y.0", "a.1.z", "b.0", "b.1.0"]
    assert [name for name, _ in form.layout.parts] == names
    assert form.nbytes == 8 + 8 + 4 + 16 + 2
    back = unflattened(-vector, tree)
    assert list(back) == ["b", "a"]
    assert isinstance(back["a"], _Pair)
    assert isinstance(back["b"][1], tuple)
    np.testing.assert_array_equal(back["b"][0], [[-1, -3], [-2, -4]])
    assert [back["b"][0].dtype, back["b"][1][0].dtype, back["b"][1][1].shape] == [np.float32, np.float16, (0, 3)]
    np.testing.assert_array_equal(back["a"].b["y"][0], -8)


def test_the_order_in_which_keys_were_put_in_does_not_matter() -> None:
    one, other = flattened({"a": np.ones(1), "b": np.zeros(2)}), flattened({"b": np.zeros(2), "a": np.ones(1)})
    assert one[0] == other[0]
    np.testing.assert_array_equal(one[1], other[1])


def test_what_comes_back_shares_no_memory() -> None:
    vector = np.arange(3.0)
    back = unflattened(vector, np.zeros(3))
    vector[:] = 9
    np.testing.assert_array_equal(back, [0, 1, 2])


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        (np.arange(3), "gradients: expected an array of floating-point numbers, not int64"),
        ({"w": [np.ones(2), np.ones(2, complex)]}, r"gradients\.w\.1: expected .*, not complex128"),
        ({"w": "text"}, r"gradients\.w: expected"),
        ({"w": None}, r"gradients\.w: expected"),
        ([], "gradients: there is nothing to reduce"),
        ({"w": np.empty((3, 0))}, "gradients: there is nothing to reduce"),
        ({1: np.ones(1), "a": np.ones(1)}, "gradients: the keys of a dict have to be of one type: "),
        ({"w": [{1: np.ones(1), "a": np.ones(1)}]}, r"gradients\.w\.0: the keys of a dict have to be of one type: "),
    ],
)
def test_what_is_no_tree_of_numbers_is_refused(tree: Any, said: str) -> None:
    with pytest.raises(PlanFault, match=f"^{said}"):
        flattened(tree)
