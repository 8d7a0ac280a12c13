"""The constants of the papers' assumptions, measured on the shards of a plan at its starting point."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import e, inf, sqrt

import numpy as np
from numpy.typing import NDArray

from mpirobust.data.sources.base import Dataset
from mpirobust.errors import Malformed
from mpirobust.numerics.eigenvalues import leading, power_iteration
from mpirobust.numerics.norms import q_norm
from mpirobust.plan import Plan
from mpirobust.running import starting
from mpirobust.shard import Shard
from mpirobust.streams import CENTER, Purpose, stream
from mpirobust.types import Layout, Rows, Vector

_WORKERS = 8  # whose messages are encoded
_HESSIANS = 20  # that are compared
_AWAY = 4  # lengths of a step to either side, along which Hessians are compared
_DRAWS = 8  # for each, of a code with randomness in it
_WORK = 2 * 10**7  # rows times coordinates of the shards that are read, but for the least number of workers
_TOLERANCE = 1e-2  # relative, of norms of matrices
_ROWS = 256  # whose derivatives are compared, if memory allows
_NUMBERS = 4 * 10**6  # of those
_COORDINATES = 256  # whose tails are measured
_PROBES = 4  # random directions for the Lipschitz constants of one row
_SHARES = (-1.0, -0.5, 0.5, 1.0)  # λv, at which the moments of derivatives are compared
_HALVINGS = 20
_SHORTEST = 1e-3  # length over which Hessians are compared


@dataclass(frozen=True)
class Between:
    """A constant of which something is known.

    Attributes:
        low: a value that it has at the start.
        high: a bound for every point; inf if none is known.
    """

    low: float
    high: float = inf

    def __str__(self) -> str:
        if self.high == inf:
            return f">= {self.low:.3g} (no bound is known)"
        low, high = f"{self.low:.3g}", f"{self.high:.3g}"
        return f"= {high}" if low == high else f"in [{low}, {high}]"


def verdict(at_start: bool, everywhere: bool) -> str:
    """Return whether a condition holds, given that with the constants at the start, and with their bounds."""
    return "does not hold" if not at_start else "holds" if everywhere else "holds at the start"


@dataclass(frozen=True)
class Tails:
    """The constants of P1 Ass. 1 and 2 for the loss of one row, measured on some rows.

    Attributes:
        rows: how many.
        v: the smallest sub-exponential parameter of their partial derivatives.
        L_hat: `L̂` as their Hessians have it.
    """

    rows: int
    v: float
    L_hat: float


class Start:
    """The starting point of a plan, and some of its workers there, one of each group.

    All workers are taken if the work allows (`whole`), evenly spaced ones otherwise. The objective is the weighted
    mean over those. A maximum over workers, rounds or points is measured from below, over honest workers only.
    """

    def __init__(self, plan: Plan, dataset: Dataset, dealt: Sequence[Rows], x: Vector | None = None) -> None:
        """
        Args:
            x: the starting point; None for the problem's own.
        """
        features = dataset.facts.features
        self.plan, self.layout = plan, plan.problem.layout(features)
        self.x = starting.own(plan, features) if x is None else x
        m = len(dealt)
        each = sum(rows.size for rows in dealt) / m * self.layout.dim
        self.workers = _spaced(m, max(_WORKERS, int(_WORK / max(each, 1))))
        self.shards = [dataset.train(dealt[worker]) for worker in self.workers]
        self._weights = plan.weights(dealt)[self.workers]
        honest = np.flatnonzero(~np.isin(self.workers, plan.lost())).tolist() or range(len(self.workers))
        self.honest: Sequence[int] = honest  # places in `workers`, and so are the next two
        self.compared = [honest[at] for at in _spaced(len(honest), _HESSIANS)]
        self.probed = _spaced(len(self.workers), _WORKERS)  # also Byzantine ones: their rows are as good for δ

    @property
    def whole(self) -> bool:
        """True if no worker was left out."""
        return len(self.workers) == len(self.plan.groups)

    @cached_property
    def gradients(self) -> list[Vector]:
        """`∇F_i(x)` of each worker."""
        return [self.plan.problem.gradient(self.x, shard).astype(np.float64) for shard in self.shards]

    @cached_property
    def gradient(self) -> Vector:
        """`∇f(x)`, shape (d,)."""
        mean: Vector = np.average(self.gradients, axis=0, weights=self._weights)
        return mean

    @cached_property
    def value(self) -> float:
        """`f(x)`."""
        return self._mean(lambda shard: self.plan.problem.value(self.x, shard))

    def fall(self) -> float | None:
        """Return `f(x) - f*` from above; None if no bound on f* is known."""
        least = self.plan.problem.bounds().value
        return None if least is None else self.value - least

    def eps_gradient(self) -> float:
        """Return `max_i ||∇F_i(x) - ∇f(x)||`: ε_g of P2 Ass. 3, which P1 Lemma 3 bounds by ε1."""
        return max(q_norm(self.gradients[at] - self.gradient, 2) for at in self.honest)

    def eps_hessian(self) -> float:
        """Return `max_i ||∇²F_i(x) - ∇²f(x)||` (ε_H of P2 Ass. 4), i over the compared workers."""
        mean = self._mean_hessian(self.x)
        own = (self.plan.problem.hessian(self.x, self.shards[at]) for at in self.compared)
        return max(self._distance(each, mean) for each in own)

    def slope(self) -> Between:
        """Return L of P2 Ass. 2, the Lipschitz constant of f."""
        return self._between(q_norm(self.gradient, 2), self.plan.problem.bounds().slope)

    def sigma(self) -> Between:
        """Return σ of P1 Ass. 5, the longest gradient of a worker."""
        bound = self.plan.problem.bounds().slope
        high = max(bound(self.shards[at]) for at in self.honest) if bound is not None and self.whole else inf
        return Between(max(q_norm(self.gradients[at], 2) for at in self.honest), high)

    def smoothness(self, x: Vector) -> float:
        """Return max |λ(∇²f(x))|, from below; see `algorithms.base.Terrain`."""
        return power_iteration(self._mean_hessian(x), self.layout.dim, self.plan.seed)

    def curvature(self) -> Between:
        """Return L_1 of P2 Ass. 2 and L_F of P1 Ass. 1, the Lipschitz constant of ∇f."""
        return self._between(self._top[0], self.plan.problem.curvature())

    def twist(self) -> Between:
        """Return L_2 of P2 Ass. 2, the Lipschitz constant of ∇²f.

        From below it is the change of the Hessian along its first eigenvector, over lengths of the mean step.
        """
        length = max(q_norm(np.mean(self.steps, axis=0), 2), _SHORTEST)
        along = [self.x + at * length * self._top[1] for at in range(-_AWAY, _AWAY + 1)]
        changes = [self._distance(*map(self._mean_hessian, pair)) / length for pair in pairwise(along)]
        return self._between(max(changes), self.plan.problem.bounds().twist)

    @cached_property
    def steps(self) -> list[Vector]:
        """The vectors that the probed workers would encode in the first round: gradients, or steps if sent."""
        plan = self.plan
        cubic = plan.algorithm.cubic(max(shard.rows for shard in self.shards))
        if cubic is None:
            query = plan.algorithm.query(plan.algorithm.start(self.x, self))
        else:
            query = cubic.query(self.x, self.gradient)
        streams = (stream(plan.seed, self.workers[at], 0, Purpose.ANSWER) for at in self.probed)
        shards = (self.shards[at] for at in self.probed)
        return [
            plan.algorithm.answer(query, plan.problem, shard, rng) for shard, rng in zip(shards, streams, strict=True)
        ]

    def tails(self) -> Tails:
        """Return what some rows say of P1 Ass. 1 and 2.

        Only the `_COORDINATES` of the largest or most varied derivatives are measured, and L̂ by a few random
        directions: it is an estimate, and counts in a logarithm.
        """
        loss, d = self.plan.problem, self.layout.dim
        rows = self._rows(min(_ROWS, max(16, _NUMBERS // d)))
        table = np.array([loss.gradient(self.x, row) for row in rows], dtype=np.float64)
        rng = stream(self.plan.seed, CENTER, 0, Purpose.CURVATURE)
        probes = rng.standard_normal((_PROBES, d))
        lipschitz = np.zeros(d)
        for row in rows[:: max(1, len(rows) // 64)]:
            product = loss.hessian(self.x, row)
            squares = np.mean([np.square(product(v), dtype=np.float64) for v in probes], axis=0)
            np.maximum(lipschitz, squares, out=lipschitz)
        return Tails(len(rows), _sub_exponential(table - table.mean(axis=0)), sqrt(float(lipschitz.sum())))

    def _rows(self, wanted: int) -> list[Shard]:
        """Return some rows, each as a shard, evenly spread over the workers."""
        each = -(-wanted // len(self.shards))
        found = []
        for shard in self.shards:
            found += [shard.take(np.array([at])) for at in _spaced(shard.rows, each)]
        return [found[at] for at in _spaced(len(found), wanted)]

    @cached_property
    def _top(self) -> tuple[float, Vector]:
        """The largest absolute eigenvalue of `∇²f(x)` from below, and its vector."""
        return leading(self._mean_hessian(self.x), self.layout.dim, self.plan.seed, most=self._products)

    @property
    def _products(self) -> int:
        """Products that an iteration may take: 100 on small shards."""
        rows = sum(shard.rows for shard in self.shards)
        return int(np.clip(50 * _WORK / (rows * self.layout.dim), 5, 100))

    def _mean_hessian(self, x: Vector) -> Callable[[Vector], Vector]:
        products = [self.plan.problem.hessian(x, shard) for shard in self.shards]
        shares = self._weights / self._weights.sum()

        def mean(v: Vector) -> Vector:
            out = np.zeros(v.size)
            for share, product in zip(shares, products, strict=True):
                out += share * product(v)
            return out

        return mean

    def _distance(self, one: Callable[[Vector], Vector], other: Callable[[Vector], Vector]) -> float:
        """Return the norm of the difference of two Hessians, given by products, from below."""

        def difference(v: Vector) -> Vector:
            return one(v) - other(v)

        return leading(difference, self.layout.dim, self.plan.seed, _TOLERANCE, self._products)[0]

    def _between(self, low: float, bound: Callable[[Shard], float] | None) -> Between:
        high = inf if bound is None or not self.whole else self._mean(bound)
        return Between(min(low, high), high)

    def _mean(self, value: Callable[[Shard], float]) -> float:
        return float(np.average([value(shard) for shard in self.shards], weights=self._weights))


def _spaced(n: int, wanted: int) -> list[int]:
    """Return at most so many of 0, ..., n - 1, evenly spaced, the first and the last among them."""
    found: list[int] = np.unique(np.linspace(0, n - 1, min(n, wanted)).astype(int)).tolist()
    return found


def _sub_exponential(table: NDArray[np.float64]) -> float:
    """Return the smallest v with `mean e^{λY} <= e^{λ²v²/2}` for |λ| <= 1/v, Y each column of mean 0 (P1 Def. 1).

    With λ = a/v the mean is e^{aY/v}, which falls as v grows; a = 0 asks for v >= the standard deviation, and
    v = 2 max |Y| is enough.
    """
    varied, largest = table.std(axis=0), np.abs(table).max(axis=0)
    half = _COORDINATES // 2
    chosen = np.union1d(np.argsort(varied)[-half:], np.argsort(largest)[-half:])
    Y = table[:, chosen]
    low, high = float(varied.max()), 2 * float(largest.max())
    for _ in range(_HALVINGS if high else 0):
        v = (low + high) / 2
        if any((np.exp(a * Y / v).mean(axis=0) > e ** (a * a / 2)).any() for a in _SHARES):
            low = v
        else:
            high = v
    return high


@dataclass(frozen=True)
class Contraction:
    """δ of the plan's code.

    Attributes:
        dim: d.
        workers: how many were measured.
        measured: at the starting point; -inf if an answer or its code is not finite.
        worst: over all vectors; None if there is none above 0.
        steps: whether steps are compressed, not gradients.
    """

    dim: int
    workers: int
    measured: float
    worst: float | None
    steps: bool = False

    def __str__(self) -> str:
        worst = "none at worst: not a contraction" if self.worst is None else f"{self.worst:.3g} at worst"
        where = "on the first steps of" if self.steps else "at the start on"
        return f"{self.measured:.3g} measured {where} {self.workers} workers, {worst}"


def contraction(start: Start) -> Contraction:
    """Return `1 - max_i E||Q(g_i) - g_i||²/||g_i||²`, g_i what the probed workers compress in the first round.

    The mean is over the messages of the first rounds. If the mean of so few draws is below the proved δ, the proved
    one is returned. A zero vector is left out.
    """
    plan = start.plan
    with np.errstate(over="ignore", invalid="ignore"):  # an overflow makes a message unsound, and δ -inf
        errors = [
            _relative_error(plan, start.layout, start.workers[at], answer)
            for at, answer in zip(start.probed, start.steps, strict=True)
        ]
    worst = plan.compressor.delta(start.layout)
    measured = max(1 - max(errors), -inf if worst is None else worst)
    return Contraction(start.x.size, len(errors), measured, worst, plan.algorithm.cubic(0) is not None)


def _relative_error(plan: Plan, layout: Layout, worker: int, g: Vector) -> float:
    """Return `E||Q(g) - g||²/||g||²`; a code without randomness is evaluated once."""
    largest = float(np.abs(g).max(initial=0.0))
    if largest == 0:
        return 0.0
    if not np.isfinite(largest):
        return inf
    errors = []
    for draw in range(_DRAWS):
        rng, untouched = (stream(plan.seed, worker, draw, Purpose.ENCODE) for _ in range(2))
        code = plan.compressor.draw(layout, stream(plan.seed, worker, draw, Purpose.SHARED))
        try:
            decoded = code.decode(code.encode(g, rng))
        except Malformed:
            return inf
        errors.append((q_norm((decoded - g) / largest, 2.0) / q_norm(g / largest, 2.0)) ** 2)
        if not plan.compressor.draws_for_each() and rng.random() == untouched.random():
            break
    return float(np.mean(errors))
