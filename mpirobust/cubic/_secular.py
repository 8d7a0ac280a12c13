"""The cubic model in the eigenbasis of the Hessian, where one number decides the minimiser."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpirobust.cubic.base import CubicModel
from mpirobust.numerics.norms import q_norm
from mpirobust.types import Vector

_EPS = float(np.finfo(np.float64).eps)
_MOST_STEPS = 200
_SHORTEST = 1e-100  # a gradient that is no more than rounding of this is none: its square would underflow


def minimiser(H: NDArray[np.float64], g: Vector, model: CubicModel) -> tuple[Vector, Vector]:
    """Return `p, u` such that `p + u` and `p - u` minimise the model with this symmetric `H` and this `g`.

    `u` is zero but in the hard case: there H has a negative eigenvalue, `g` no part along
    its eigenvectors, and the two minimisers lie on either side. Both are NaN if `H` or `g` is not finite.
    """
    if not (np.isfinite(H).all() and np.isfinite(g).all()):
        return np.full(g.size, np.nan), np.zeros(g.size)
    eigenvalues, V = np.linalg.eigh(model.gamma * H)
    length = max(q_norm(g, 2), _SHORTEST)
    sigma = model.rho / 2 * length  # of s in units of `length`, so that nothing underflows if g is short
    b = V.T @ (g / length)
    b[np.abs(b) <= b.size * _EPS] = 0  # what rounding leaves of nothing has no direction
    floor = max(0.0, -float(eigenvalues[0]))  # θ = σ||s|| must not be below it (P2 (12))
    gaps = eigenvalues + floor
    if floor == 0.0 and not b.any():
        return np.zeros(g.size), np.zeros(g.size)
    inner = gaps > 0
    if floor > 0.0 and not b[~inner].any():
        p = np.zeros(g.size)
        with np.errstate(over="ignore"):  # then it is too long
            p[inner] = -b[inner] / gaps[inner]
            reached, radius = q_norm(p, 2), floor / sigma
        if reached <= radius:  # the hard case
            missing = np.sqrt(radius - reached) * np.sqrt(radius + reached)
            return V @ (length * p), length * missing * V[:, 0]
    there = b != 0
    t = _root(gaps[there], b[there], floor, sigma)
    s = np.zeros(g.size)
    s[there] = -length * b[there] / (gaps[there] + t)
    return V @ s, np.zeros(g.size)


def oriented(u: Vector) -> Vector:
    """Return `u` or `-u`: the one whose largest entry is positive.

    Both are as good for one worker; that all choose alike keeps their mean from being nothing.
    """
    return -u if u[np.argmax(np.abs(u))] < 0 else u


def _root(gaps: NDArray[np.float64], b: Vector, floor: float, sigma: float) -> float:
    """Return the `t > 0` with `||b / (gaps + t)|| = (floor + t) / σ`: safeguarded Newton on the increasing function
    `(floor + t) / ||b / (gaps + t)|| - σ` (Conn, Gould, Toint 2000, §7.3); no entry of `b` is zero."""

    def crossing(gap: float, size: float) -> float:
        """Return the t with `(floor + t) (gap + t) = σ size`, without cancellation: the root for one entry of b."""
        half = (floor + gap) / 2
        return float((sigma * size - floor * gap) / (half + np.sqrt(((floor - gap) / 2) ** 2 + sigma * size)))

    low = max(0.0, *(crossing(gap, abs(each)) for gap, each in zip(gaps.tolist(), b.tolist(), strict=True)))
    high = crossing(float(gaps[0]), float(np.sqrt(b @ b)))
    t = high
    for _ in range(_MOST_STEPS):
        if not low < high * (1 - 2 * _EPS):
            break
        s = b / (gaps + t)
        norm = float(np.sqrt(s @ s))
        value = (floor + t) / norm - sigma
        if value > 0:
            high = t
        else:
            low = t
        s /= norm
        slope = (1 + (floor + t) * float(s @ (s / (gaps + t)))) / norm
        after = t - value / slope
        if after == t:
            break
        if not low < after < high:
            after = np.sqrt(low * high) if low > 0 else high / 16
        t = float(after)
    return t
