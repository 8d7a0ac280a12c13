"""Families of runs, from TOML: one plan, varied, over seeds; and the claims of the paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import mpirobust
from mpirobust import catalog
from mpirobust.components import MOST, Count, Field, component
from mpirobust.errors import PlanFault, SetupFault
from mpirobust.toml import read_table

T = TypeVar("T")

Metric: TypeAlias = Literal[  # of an audit; the smaller the better
    "distance", "loss", "gradient_norm", "test_error", "test_loss", "balanced_error", "auc_error"
]
Overrides: TypeAlias = tuple[str, ...]  # `table.key=value`, as `--set` takes them
Seeds: TypeAlias = Annotated[tuple[int, ...], Field(min_length=1)]


@component
class Variant:
    """The family's plan with other values of some keys."""

    label: str
    set: Overrides = ()


@component
class Case:
    """One comparison: `curve` is at or below `factor` times `against`, or at or below `bound`.

    It holds if it holds for every seed. The value of a run that diverged is infinity.

    Attributes:
        when: the circumstances, which complete 'holds only if'.
        metric, round: what is compared and when; by default the family's metric at the end.
    """

    when: str
    curve: str
    against: str | None = None
    factor: Annotated[float, Field(gt=0)] = 1.0
    bound: float | None = None
    metric: Metric | None = None
    round: Annotated[int, Field(ge=0, le=MOST)] | None = None

    def __post_init__(self) -> None:
        if (self.against is None) == (self.bound is None):
            raise ValueError("give against or bound, and not both")


@component
class Claim:
    """A claim of the paper, in our words, and the comparisons that decide it."""

    says: str
    cases: Annotated[tuple[Case, ...], Field(min_length=1)]


@component
class Race:
    """A race of two curves to a gradient norm: in rounds, in iterations, in bytes (P2 §4).

    Attributes:
        bound: the audited gradient norm to be reached.
        products: iterations of the local solver in a round of `curve`; a round of `against` is one.
    """

    when: str
    curve: str
    against: str
    bound: Annotated[float, Field(gt=0)]
    products: Count = 1


@component
class Family:
    """The curves of one figure, over seeds.

    Attributes:
        plan: what is varied, a file relative to that of the family.
        scale: of the axis of the metric.
        set: what all curves have set otherwise.
    """

    title: str
    plan: str
    metric: Metric
    against: Literal["round", "bytes"] = "round"
    scale: Literal["log", "linear"] = "log"
    seeds: Seeds
    set: Overrides = ()
    curves: Annotated[tuple[Variant, ...], Field(min_length=1)]
    claims: tuple[Claim, ...] = ()
    races: tuple[Race, ...] = ()

    def __post_init__(self) -> None:
        labels = [curve.label for curve in self.curves]
        _distinct("curves", labels)
        _distinct("seeds", self.seeds)
        cases = [case for claim in self.claims for case in claim.cases]
        pairs = [(case.curve, case.against) for case in cases] + [(race.curve, race.against) for race in self.races]
        for pair in pairs:
            for named in pair:
                if named is not None and named not in labels:
                    raise ValueError(f"a claim or race names the curve {named!r}; there are: {', '.join(labels)}")


@component
class Matrix:
    """Every attack against every rule under every code, over seeds; `plan` and `set` as in `Family`."""

    title: str
    plan: str
    metric: Metric
    seeds: Seeds
    set: Overrides = ()
    attacks: Annotated[tuple[Variant, ...], Field(min_length=1)]
    rules: Annotated[tuple[Variant, ...], Field(min_length=1)]
    codes: Annotated[tuple[Variant, ...], Field(min_length=1)]

    def __post_init__(self) -> None:
        _distinct("seeds", self.seeds)
        for axis, variants in {"attacks": self.attacks, "rules": self.rules, "codes": self.codes}.items():
            _distinct(axis, [variant.label for variant in variants])


def _distinct(what: str, names: Sequence[object]) -> None:
    if len(set(names)) < len(names):
        raise ValueError(f"two of the {what} are the same")


def locate(name: str) -> Path:
    """Return the folder of families `name`: itself, or below configs/, here or in the checkout; raise `SetupFault`."""
    tried = [Path(name), Path("configs") / name, Path(mpirobust.__file__).parent.parent / "configs" / name]
    for folder in tried:
        if folder.is_dir():
            return folder
    raise SetupFault(f"no folder {name!r}; looked for " + ", ".join(map(str, tried)))


def load_family(path: Path) -> Family:
    """Return the family at `path`; raise `SetupFault` that names file and key."""
    try:
        table = read_table(path)
        parts = {"curves": _each(Variant, table, "curves"), "races": _each(Race, table, "races")}
        claims = []
        for where, claim in _tables(table, "claims"):
            cases = tuple(catalog.validated(Case, case, at) for at, case in _tables(claim, "cases", where))
            claims.append(catalog.validated(Claim, {**claim, "cases": cases}, where))
        family: Family = catalog.validated(Family, {**table, **parts, "claims": tuple(claims)}, "")
    except PlanFault as fault:
        raise SetupFault(f"{path}: {fault}") from fault
    return family


def load_matrix(path: Path) -> Matrix:
    """Return the matrix at `path`; raise `SetupFault` that names file and key."""
    try:
        table = read_table(path)
        axes = {axis: _each(Variant, table, axis) for axis in ("attacks", "rules", "codes")}
        matrix: Matrix = catalog.validated(Matrix, {**table, **axes}, "")
    except PlanFault as fault:
        raise SetupFault(f"{path}: {fault}") from fault
    return matrix


def _each(cls: type[T], table: dict[str, Any], key: str) -> tuple[T, ...]:
    return tuple(catalog.validated(cls, inner, where) for where, inner in _tables(table, key))


def _tables(table: dict[str, Any], key: str, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the tables of the array `key`, each with its place for messages."""
    where = f"{prefix}.{key}" if prefix else key
    inner = table.get(key, [])
    if not isinstance(inner, list) or not all(isinstance(each, dict) for each in inner):
        raise PlanFault(where, f"expected tables, each beginning with [[{key}]]")
    for at, each in enumerate(inner, start=1):
        yield f"{where}[{at}]", each
