"""Each compiled loop against its twin and against the definition, for every instruction set of this processor."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mpirobust import kernels
from mpirobust.aggregators._geometry import squared_distances
from mpirobust.compressors.base import PackedSigns
from mpirobust.errors import SetupFault
from mpirobust.kernels import twins

pytestmark = pytest.mark.usefixtures("loops")

_DIMS = [1, 7, 8, 9, 127, 128, 129, 512, 513, 8192, 8200, 20_001]  # blocks of every set, and one more or less


def _rows(n: int, dim: int, rng: np.random.Generator) -> list[NDArray[np.uint8]]:
    """Return packed rows at odd addresses, whose unused last bits are set at random."""
    whole = rng.integers(256, size=(n, 4 + (dim + 7) // 8), dtype=np.uint8)
    return [row[1:-3] if dim % 3 else row[4:] for row in whole]


def _bits(rows: list[NDArray[np.uint8]], dim: int) -> NDArray[np.uint8]:
    return np.array([np.unpackbits(row, count=dim) for row in rows], np.uint8).reshape(len(rows), dim)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 15, 16, 63, 64, 127, 128, 200, 300, 1100])
def test_count(n: int) -> None:
    rng = np.random.default_rng(n)
    for dim in _DIMS if n < 300 else [513]:
        rows = _rows(n, dim, rng)
        np.testing.assert_array_equal(kernels.count(rows, dim), _bits(rows, dim).sum(axis=0, dtype=np.uint32))


@pytest.mark.parametrize("n", [1, 2, 3, 16, 17, 64, 65, 200, 300])
def test_the_order_statistics_are_those_of_the_decoded_vectors(n: int) -> None:
    rng = np.random.default_rng(n)
    for dim in [1, 129, 513, 8200] if n < 100 else [513]:
        rows, scales = _rows(n, dim, rng), rng.choice([0.0, 0.5, 1.0, *rng.random(5)], n)  # some are equal
        decoded = np.sort((2.0 * _bits(rows, dim) - 1) * scales[:, None], axis=0) + 0.0
        for place in sorted({0, n // 3, (n - 1) // 2, n // 2, n - 1}):
            found = PackedSigns(rows, scales, dim).order_statistic(place)
            np.testing.assert_array_equal(found + 0.0, decoded[place])


def _sequential_groups(signs: NDArray[np.floating], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    total = np.zeros(signs.shape[1])
    for first in range(0, len(signs), 8):
        group = weights[first] * signs[first]
        for k in range(first + 1, min(first + 8, len(signs))):
            group = group + weights[k] * signs[k]
        total = total + group
    return total


@pytest.mark.parametrize("n", [0, 1, 2, 7, 8, 9, 16, 23, 200])
def test_add_signs(n: int) -> None:
    rng = np.random.default_rng(n)
    for dim in _DIMS if n < 100 else [513]:
        rows, weights = _rows(n, dim, rng), 10.0 ** rng.integers(-9, 9, n) * rng.standard_normal(n)
        out = np.full(dim, 0.0)
        kernels.add_signs(rows, weights, out)
        np.testing.assert_array_equal(out, _sequential_groups(2.0 * _bits(rows, dim) - 1, weights))
        kernels.add_signs(rows[:1], weights[:1], again := out.copy())
        np.testing.assert_array_equal(again, out + (2.0 * _bits(rows[:1], dim) - 1).T @ weights[:1] if n else out)


@pytest.mark.parametrize("n", [1, 2, 3, 16, 17, 64, 65, 200])
def test_the_trimmed_mean_is_that_of_the_decoded_vectors(n: int) -> None:
    rng = np.random.default_rng(n)
    for dim in [1, 129, 513, 8200] if n < 100 else [513]:
        rows, scales = _rows(n, dim, rng), rng.choice([0.0, 0.5, 1.0, *rng.random(5)], n)
        decoded = np.sort((2.0 * _bits(rows, dim) - 1) * scales[:, None], axis=0)
        for cut in sorted({0, n // 5, (n - 1) // 2}):
            total = np.zeros(dim)
            for row in decoded[cut : n - cut]:
                total = total + row
            found = PackedSigns(rows, scales, dim).trimmed_mean(cut)
            np.testing.assert_array_equal(found, total / (n - 2 * cut))


@pytest.mark.parametrize("n", [0, 1, 2, 9, 40])
def test_the_inner_products_are_those_of_the_decoded_vectors(n: int) -> None:
    rng = np.random.default_rng(n)
    for dim in [*_DIMS, 16_384, 16_385]:
        rows, scales = _rows(n, dim, rng), rng.random(n)
        signs = 2 * _bits(rows, dim).astype(np.int64) - 1
        apart = signs - signs[(n - 1) // 2] if n else signs  # from the origin, of equal scales the middle one
        np.testing.assert_array_equal(PackedSigns(rows, np.ones(n), dim).gram(), apart @ apart.T)
        found = PackedSigns(rows, scales, dim).gram()
        vectors = scales[:, None] * signs
        vectors -= vectors[np.argsort(scales)[(n - 1) // 2]] if n else 0
        np.testing.assert_allclose(found, vectors @ vectors.T, rtol=1e-12, atol=1e-12 * dim)
        np.testing.assert_array_equal(found, found.T)


def test_inner_products_keep_the_distances_of_vectors_that_are_almost_equal() -> None:
    rng, dim = np.random.default_rng(0), 100_003
    scales = 0.1 + 1e-9 * rng.random(9)
    found = squared_distances(PackedSigns(_rows(1, dim, rng) * 9, scales, dim).gram())
    np.testing.assert_allclose(found, (scales[:, None] - scales) ** 2 * dim, rtol=1e-5, atol=1e-18)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pack(dtype: type[np.floating]) -> None:
    rng = np.random.default_rng(0)
    for dim in _DIMS:
        v = rng.standard_normal(dim).astype(dtype)
        v[rng.random(dim) < 0.4] = 0
        v[::5] *= -0.0
        v[-1] = np.nan
        packed, zeros = kernels.pack(v)
        np.testing.assert_array_equal(packed, np.packbits(v >= 0))
        assert zeros == (v == 0).sum()
        np.testing.assert_array_equal(kernels.pack(np.repeat(v, 2)[::2])[0], packed)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("largest", [1e-40, 1e-9, 1.0, 1e20, 7.5e22])
def test_add_exact(dtype: type[np.floating], largest: float) -> None:
    rng = np.random.default_rng(1)
    units, top = 2.0 ** (76 - 44 * np.arange(1.0, 5.0)), 2.0**76
    for dim in [1, 9, 8193]:
        v = (largest * rng.uniform(-1, 1, dim)).astype(dtype)
        before = np.arange(4 * dim).reshape(4, dim)
        limbs, twin = before.copy(), before.copy()
        assert kernels.add_exact(v, units, top, limbs)
        assert twins.add_exact(v, units, top, twin)
        np.testing.assert_array_equal(limbs, twin)
        assert np.abs(((limbs - before) * units[:, None]).sum(axis=0) - v).max() <= units[-1]


@pytest.mark.parametrize("misfit", [np.nan, np.inf, -np.inf, 2.0**76])
def test_a_term_that_does_not_fit_adds_nothing(misfit: float) -> None:
    limbs = np.zeros((4, 20), np.int64)
    for place in range(20):
        v = np.ones(20)
        v[place] = misfit
        assert not kernels.add_exact(v, 2.0 ** (76 - 44 * np.arange(1.0, 5.0)), 2.0**76, limbs)
    assert not limbs.any()


def test_an_unknown_set_is_named() -> None:
    with pytest.raises(SetupFault, match=r"^MPIROBUST_KERNELS=sse9: not available here; choose from .*numpy$"):
        kernels.use("sse9")


def test_a_length_that_does_not_fit_is_refused(loops: str) -> None:
    """Only the compiled loops need it: NumPy refuses by itself."""
    if loops == kernels.NUMPY:
        return
    with pytest.raises(ValueError, match="a row is too short"):
        kernels.count([np.zeros(2, np.uint8)], 17)
    with pytest.raises(ValueError, match="do not fit the rows"):
        kernels.order_statistic([np.zeros(2, np.uint8)], np.zeros(2), 1, 16)
    with pytest.raises(ValueError, match="another length"):
        kernels.add_exact(np.zeros(3), np.ones(4), 1.0, np.zeros((4, 4), np.int64))
