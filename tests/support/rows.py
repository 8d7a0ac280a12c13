"""Rows on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def write_rows(path: Path, rows: int = 260, features: int = 30) -> None:
    """LIBSVM text with two noisy classes and some rows without a feature."""
    rng = np.random.default_rng(3)
    direction = rng.standard_normal(features)
    with path.open("w") as file:
        for _ in range(rows):
            x = np.where(rng.random(features) < 0.3, rng.standard_normal(features).round(3), 0)
            label = 1 if x @ direction + 0.5 * rng.standard_normal() > 0 else -1
            file.write(" ".join([str(label), *(f"{at + 1}:{x[at]}" for at in np.flatnonzero(x))]) + "\n")
