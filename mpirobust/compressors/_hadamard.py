"""The rotation that needs no matrix: n log n additions for n coordinates, n a power of two."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def padded(size: int) -> int:
    """Return the least power of two that is not below `size`."""
    return 1 << (size - 1).bit_length()


def hadamard(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the orthogonal Walsh-Hadamard transform, its own inverse."""
    y = x.reshape(1, -1)
    while y.shape[1] > 1:
        left, right = np.hsplit(y, 2)
        y = np.stack([left + right, left - right], axis=1).reshape(-1, y.shape[1] // 2)
    transformed: NDArray[np.float64] = y.ravel() / np.sqrt(x.size)
    return transformed
