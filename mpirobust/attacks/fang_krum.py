from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpirobust.attacks.base import MessageAttack, Spy
from mpirobust.components import component

_HALVINGS, _REFINEMENTS = 17, 20  # to 1e-5 of the bound, and from there to 1e-6 of λ


@component
class FangKrum(MessageAttack):
    """All send -λ times the signs of the honest mean, with the largest λ found at which Krum selects it.

    Fang et al. 2020, §4.2, on answers instead of models: from the paper's bound on λ, halved until Krum, set for
    this number of Byzantine workers, selects the vector (at most 17 times); then enlarged by a half, a quarter, ...
    of itself, down to 1e-6, where Krum still selects it. Krum is computed from inner products, before the code; the
    plan may have another rule. The trace has λ.
    """

    def adheres(self) -> bool:
        return True

    def forge(self, worker: int, spy: Spy, rng: np.random.Generator) -> bytes:
        return spy.encode(worker, -self.strength_in(spy) * np.sign(spy.moments[0]), rng)

    def strength_in(self, spy: Spy) -> float:
        return spy.once(self.largest)

    def largest(self, spy: Spy) -> float:
        """Return the largest λ found; the last of the halvings if Krum selects at none."""
        signs, workers, f = np.sign(spy.moments[0]), spy.sound, spy.byzantine.size
        gram = spy.answers.gram(workers)
        squares = np.diag(gram)
        between = np.maximum(squares[:, None] + squares - 2 * gram, 0.0)
        lengths, slopes = np.zeros(workers.size), np.zeros(workers.size)
        for where, block in spy.answers.blocks(workers):
            lengths += np.einsum("ij,ij->i", block, block)
            slopes += block @ signs[where]
        dim, near = float(np.abs(signs).sum()), workers.size - 2  # of m - f - 2 neighbours
        if not dim or near < 1 or not np.isfinite([*lengths, *between.ravel()]).all():
            return 0.0

        def selected(size: float) -> bool:
            to_forged = lengths + 2 * size * slopes + size * size * dim
            return _score_of_forged(to_forged, f, near) < float(_scores_of_honest(between, to_forged, f, near).min())

        nearest = np.sort(between, axis=1)[:, 1 : near + 1].sum(axis=1).min()
        size = float(np.sqrt(nearest / (max(near - f + 1, 1) * dim)) + np.sqrt(lengths.max() / dim))
        halvings = 0
        while halvings < _HALVINGS and not selected(size):
            size, halvings = size / 2, halvings + 1
        for step in range(1, _REFINEMENTS + 1 if 0 < halvings < _HALVINGS else 1):
            if selected(size * (1 + 0.5**step)):
                size *= 1 + 0.5**step
        return size


def _score_of_forged(to_forged: NDArray[np.float64], f: int, near: int) -> float:
    """Return Krum's score of one of `f` equal vectors: the others are at distance 0."""
    return float(np.sort(to_forged)[: max(near - f + 1, 0)].sum())


def _scores_of_honest(
    between: NDArray[np.float64], to_forged: NDArray[np.float64], f: int, near: int
) -> NDArray[np.float64]:
    """Return Krum's score of each honest vector, of which the first among its distances is that to itself."""
    distances = np.hstack([between, np.repeat(to_forged[:, None], f, axis=1)])
    scores: NDArray[np.float64] = np.sort(distances, axis=1)[:, 1 : near + 1].sum(axis=1)
    return scores
