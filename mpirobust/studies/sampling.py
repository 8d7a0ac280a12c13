"""The distance of sub-sampled gradients from that of the objective: ε_g of P2 Assumption 3 by the size of a sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpirobust.data.sources.base import Places
from mpirobust.errors import SetupFault
from mpirobust.numerics.norms import q_norm
from mpirobust.plan import load_plan
from mpirobust.reports.bands import Frame, Guide, draw_bands
from mpirobust.reports.constants import Start
from mpirobust.streams import Purpose, stream
from mpirobust.studies.claims import counted, spread
from mpirobust.studies.family import Sampling, Variant, load_sampling
from mpirobust.studies.matrix import pictures

_HEAD = [
    "| data | beside | ε_g of the largest and of the smallest sample | measured power of the size |",
    "| --- | --- | --- | --- |",
]


@dataclass(frozen=True)
class Sampled:
    """A family of samples, measured: `eps[data]` has ε_g for every seed and size, shape (seeds, sizes)."""

    name: str
    family: Sampling
    seeds: tuple[int, ...]
    eps: dict[str, NDArray[np.float64]]

    @property
    def table(self) -> str:
        """The name of the CSV file of its numbers."""
        return f"{self.name}.csv"

    def rows(self) -> Iterator[dict[str, object]]:
        """Yield a row for each number, by the names of the columns of the table."""
        for data, table in self.eps.items():
            for seed, values in zip(self.seeds, table, strict=True):
                for size, value in zip(self.family.sizes, values, strict=True):
                    yield {"figure": self.name, "data": data, "seed": seed, "rows": size, "eps_g": value}

    def section(self) -> list[str]:
        """Return the lines of its section in claims.md."""
        said = [f"\n## {self.family.title}\n", f"![{self.family.title}]({self.name}.png)\n", *_HEAD]
        for data, table in self.eps.items():
            power = np.polyfit(np.log(self.family.sizes), np.log(table).T, 1)[0]
            ends = f"{spread(table[:, -1])} and {spread(table[:, 0])}"
            sizes = f"samples of {self.family.sizes[0]} to {self.family.sizes[-1]} rows, {counted(len(self.seeds))}"
            said.append(f"| {data} | 1/√rows | {ends} | {spread(power)} ({data}, {sizes}) |")
        return said

    def draw(self, out: Path) -> None:
        """Draw the curves into the folder `out`; raise `Fault` as `curves.figure`."""
        bands = {data: (np.array(self.family.sizes, dtype=float), table, 0) for data, table in self.eps.items()}
        guides = [Guide(label="1/√rows", power=-0.5, through=next(iter(bands)))]
        frame = Frame(self.family.title, "eps_gradient", "rows", "log", "log", guides)
        draw_bands({"": bands}, pictures(self.name, out), frame)


def samplings(folder: Path) -> dict[Path, Sampling]:
    """Return the families `sampling-*.toml` of `folder` by their files; raise `SetupFault` if one is wrong."""
    return {path: load_sampling(path) for path in sorted(folder.glob("sampling-*.toml"))}


def measured(path: Path, family: Sampling, seeds: Sequence[int], overrides: Sequence[str]) -> Sampled:
    """Measure a family for these seeds; `overrides` are those of all its plans. Raise `Fault` of a plan or its data."""
    plan, eps = path.parent / family.plan, {}
    for data in family.data or (Variant(label=plan.stem),):
        keys = [*family.set, *data.set, *overrides]
        found = [_eps(plan, [*keys, f"seed={seed}"], family.sizes) for seed in seeds]
        eps[data.label] = np.array(found).reshape(len(seeds), len(family.sizes))
    return Sampled(path.stem, family, tuple(seeds), eps)


def _eps(path: Path, overrides: Sequence[str], sizes: Sequence[int]) -> list[float]:
    """Return max_i ||∇F_S(x_0) - ∇f(x_0)|| for samples S of every size, drawn from the rows of worker i."""
    plan, _ = load_plan(path, overrides)
    with closing(plan.data.open(plan.data.prepare(Places.for_plan(path)), plan.seed)) as dataset:
        start = Start(plan, dataset, plan.deal(dataset))
    if not start.whole:
        raise SetupFault(
            f"{path}: ε_g is the largest of all {len(plan.groups)} workers, and the data are so large that only "
            f"{len(start.workers)} would be measured"
        )
    least = min(shard.rows for shard in start.shards)
    if max(sizes) > least:
        raise SetupFault(f"{path}: samples of {max(sizes)} rows, where a worker has {least}")
    found = []
    for size in sizes:
        far = 0.0
        for worker, shard in zip(start.workers, start.shards, strict=True):
            rng = stream(plan.seed, worker, size, Purpose.ANSWER)
            some = shard.take(np.sort(rng.choice(shard.rows, size, replace=False)))
            far = max(far, q_norm(plan.problem.gradient(start.x, some) - start.gradient, 2))
        found.append(far)
    return found
