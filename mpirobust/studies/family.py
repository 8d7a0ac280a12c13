"""Families of runs, from TOML: one plan, varied, over seeds; and the claims of the paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import mpirobust
from mpirobust import catalog
from mpirobust.components import MOST, Count, Field, component
from mpirobust.errors import PlanFault, SetupFault, in_file
from mpirobust.reports.bands import Guide
from mpirobust.reports.metrics import Metric
from mpirobust.toml import expect_document, read_table

T = TypeVar("T")

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
    """A claim of the paper, in our words, and the comparisons that decide it.

    Attributes:
        panels: those of the figure in which it is judged, each by itself; by default all.
    """

    says: str
    panels: tuple[str, ...] = ()
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
        across: the scale of the other axis; a logarithmic one leaves out the start.
        set: what all curves have set otherwise.
        panels: parts of the figure, one below the other, each with all curves: one for each data set, say.
    """

    title: str
    plan: str
    metric: Metric
    against: Literal["round", "bytes"] = "round"
    scale: Literal["log", "linear"] = "log"
    across: Literal["log", "linear"] = "linear"
    seeds: Seeds
    set: Overrides = ()
    panels: tuple[Variant, ...] = ()
    curves: Annotated[tuple[Variant, ...], Field(min_length=1)]
    guides: tuple[Guide, ...] = ()
    claims: tuple[Claim, ...] = ()
    races: tuple[Race, ...] = ()

    def __post_init__(self) -> None:
        labels = [curve.label for curve in self.curves]
        _distinct("curves", labels)
        _distinct("seeds", self.seeds)
        panels = [each.label for each in self.panels]
        _distinct("panels", panels)
        cases = [case for claim in self.claims for case in claim.cases]
        pairs = [(case.curve, case.against) for case in cases] + [(race.curve, race.against) for race in self.races]
        _expect_known("a claim or race names the curve", [each for pair in pairs for each in pair if each], labels)
        _expect_known("a guide names the curve", [guide.through for guide in self.guides], labels)
        _expect_known("a claim names the panel", [each for claim in self.claims for each in claim.panels], panels)
        if self.guides and self.across == "linear":
            raise ValueError('guides are drawn on logarithmic axes; set across = "log"')


@component
class Sampling:
    """Samples of the workers' rows at the starting point, over seeds; `plan`, `set` and `data` as in `Family`.

    Attributes:
        sizes: rows of a sample, ascending; no worker may have fewer.
    """

    title: str
    plan: str
    seeds: Seeds
    set: Overrides = ()
    data: tuple[Variant, ...] = ()
    sizes: Annotated[tuple[Count, ...], Field(min_length=2)]

    def __post_init__(self) -> None:
        _distinct("seeds", self.seeds)
        _distinct("data sets", [each.label for each in self.data])
        if list(self.sizes) != sorted(set(self.sizes)):
            raise ValueError("the sizes have to ascend")


@component
class Rule(Variant):
    """A rule of a matrix.

    Attributes:
        tune: values that are tried for it, besides those of `Tuning.over`; for the same key, in place of them.
    """

    tune: Overrides = ()


@component
class Tuning:
    """The choice of values for each rule of a matrix: those at which its own worst attack does least.

    Attributes:
        over: keys and the values that are tried, as `sweep --over` takes them.
        seed: of the runs that decide; better none of the matrix.
        code: the code under which it is decided for all codes; by default under each by itself.
    """

    over: Overrides = ()
    seed: int
    code: str | None = None


@component
class Matrix:
    """Every attack against every rule under every code, over seeds; `plan` and `set` as in `Family`.

    Attributes:
        picture: a panel for each code, of the attacks and the worst case of them, or one of the worst cases alone.
        codes: codes, or other settings, under which everything runs.
    """

    title: str
    plan: str
    metric: Metric
    seeds: Seeds
    set: Overrides = ()
    attacks: Annotated[tuple[Variant, ...], Field(min_length=1)]
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]
    codes: Annotated[tuple[Variant, ...], Field(min_length=1)]
    tune: Tuning | None = None
    picture: Literal["attacks", "worst"] = "attacks"

    def __post_init__(self) -> None:
        _distinct("seeds", self.seeds)
        for axis, variants in {"attacks": self.attacks, "rules": self.rules, "codes": self.codes}.items():
            _distinct(axis, [variant.label for variant in variants])
        if self.tune is not None and self.tune.code is not None:
            _expect_known("tune names the code", [self.tune.code], [code.label for code in self.codes])


def _expect_known(what: str, named: Sequence[str], known: Sequence[str]) -> None:
    for each in named:
        if each not in known:
            raise ValueError(f"{what} {each!r}; there are: {', '.join(known) or 'none'}")


def _distinct(what: str, names: Sequence[object]) -> None:
    if len(set(names)) < len(names):
        raise ValueError(f"two of the {what} are the same")


def locate(name: str) -> Path:
    """Return the folder of families `name`: itself, or below configs/, here or in the checkout; raise `SetupFault`."""
    tried = [Path(name), Path("configs") / name, Path(mpirobust.__file__).parent.parent / "configs" / name]
    for folder in tried:
        if folder.is_dir():
            return folder
    if Path(name).is_file():
        raise SetupFault(f"{name} is a file; figures takes the folder of families, whose names are figure-*.toml")
    raise SetupFault(f"no folder {name!r}; looked for " + ", ".join(map(str, tried)))


def load_family(path: Path) -> Family:
    """Return the family at `path`; raise `SetupFault` that names file and key."""
    with in_file(path):
        table = read_table(path)
        expect_document(table, "family")
        kinds = {"curves": Variant, "panels": Variant, "guides": Guide, "races": Race}
        parts: dict[str, tuple[object, ...]] = {key: _each(cls, table, key) for key, cls in kinds.items()}
        claims = []
        for where, claim in _tables(table, "claims"):
            cases = tuple(catalog.validated(Case, case, at) for at, case in _tables(claim, "cases", where))
            claims.append(catalog.validated(Claim, {**claim, "cases": cases}, where))
        family: Family = catalog.validated(Family, {**table, **parts, "claims": tuple(claims)}, "")
    return family


def load_sampling(path: Path) -> Sampling:
    """Return the family of samples at `path`; raise `SetupFault` that names file and key."""
    with in_file(path):
        table = read_table(path)
        expect_document(table, "family of samples")
        sampling: Sampling = catalog.validated(Sampling, {**table, "data": _each(Variant, table, "data")}, "")
    return sampling


def load_matrix(path: Path) -> Matrix:
    """Return the matrix at `path`; raise `SetupFault` that names file and key."""
    with in_file(path):
        table = read_table(path)
        expect_document(table, "matrix")
        kinds = {"attacks": Variant, "rules": Rule, "codes": Variant}
        axes: dict[str, tuple[object, ...]] = {axis: _each(cls, table, axis) for axis, cls in kinds.items()}
        tune = {"tune": catalog.validated(Tuning, table["tune"], "tune")} if "tune" in table else {}
        matrix: Matrix = catalog.validated(Matrix, {**table, **axes, **tune}, "")
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
