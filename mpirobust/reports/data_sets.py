"""Reports on data sets: the catalogue, and what is in a file or a store."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust import catalog
from mpirobust.data.catalogue import CATALOGUE, DataSet, lines_of_plan
from mpirobust.data.fetching import data_set, places_of
from mpirobust.data.recognising import recognised
from mpirobust.data.sources.base import Places, Source
from mpirobust.data.store import Store
from mpirobust.errors import PlanFault, in_file
from mpirobust.plan import load_plan, with_overrides
from mpirobust.reports.forecast import sizes
from mpirobust.reports.run_table import aligned
from mpirobust.terminal import note

_MOST_COUNTED = 20  # distinct labels; beyond, they may be real targets


def listing() -> str:
    """Return the catalogue as a table."""
    places = Places.for_plan(Path())
    head = ["name", "rows", "test rows", "features", "classes", "download", "checksum", "terms", "here"]
    return aligned([head, *(_row(each, places) for each in CATALOGUE.values())])


def _row(each: DataSet, places: Places) -> list[str]:
    numbers = [each.rows, each.test_rows, each.features, each.classes]
    known = dict.fromkeys(file.checksum.partition(":")[0] or "first use" for file in each.files)
    there = [path.exists() for path in places_of(each, places)]
    here = "yes" if all(there) else "in part" if any(there) else "-"
    terms = each.terms.partition(";")[0]
    return [each.name, *map(_count, numbers), _size(each.nbytes), ", ".join(known), terms, here]


def entry(name: str) -> str:
    """Return what the catalogue has of one data set, and how a plan uses it; raise `SetupFault` if it has none."""
    each = data_set(name)
    rows = f"{_count(each.rows)} training and {_count(each.test_rows)} test rows"
    lines = [
        f"{name}: {rows}, {_count(each.features)} features, {each.classes} classes",
        f"  home    {each.home}",
        f"  terms   {each.terms}",
        *(f"  mirror  {mirror}" for mirror in each.mirrors),
    ]
    for file, path in zip(each.files, places_of(each, Places.for_plan(Path())), strict=True):
        there = "here" if path.exists() else "not here"
        known = file.checksum or "no checksum: trusted on first use"
        lines += [f"  file    {path} ({there})", f"          {_size(file.nbytes)}, {known}"]
    return "\n".join([*lines, lines_of_plan(each.table())])


def _count(number: int) -> str:
    return f"{number:,}" if number else "-"


def _size(nbytes: int | None) -> str:
    return "-" if nbytes is None else f"{nbytes / 1e6:,.1f} MB"


def prepared_of_plan(path: Path, overrides: Sequence[str]) -> list[str]:
    """Prepare the data of the plan at `path`; return a line for each store, and one with the sizes."""
    plan, _ = load_plan(path, overrides)
    return _prepared(plan.data, plan.seed, Places.for_plan(path))


def _prepared(source: Source, seed: int, places: Places) -> list[str]:
    stores = source.prepare(places)
    with closing(source.open(stores, seed)) as dataset:
        return [*map(str, stores), sizes(dataset.facts)]


def prepared_file(path: Path, kind: str | None, overrides: Sequence[str]) -> list[str]:
    """Prepare a file of data; return what `prepared_of_plan` does, and the lines of a plan; raises as `_source_of`."""
    places = Places.for_plan(Path())
    table, source = _source_of(path, kind, overrides, places)
    return [*_prepared(source, 0, places), lines_of_plan(table)]


def _source_of(path: Path, kind: str | None, overrides: Sequence[str], places: Places) -> tuple[dict[str, Any], Source]:
    """Return the table `[data]` for a file, and the source that it describes.

    Args:
        path: the file, or the folder of several, looked up as in a plan in the working directory.
        kind: by default the one that is found by the content.
        overrides: `data.key=value`.

    Raises:
        DataFault: it cannot be read, or is of no kind that is known.
        SetupFault: a key is wrong or missing.
    """
    folders = [folder.absolute() for folder in (places.plan, places.data, places.cache) if folder]
    found = next((folder / path for folder in folders if (folder / path).is_dir()), None)
    found = found or places.find(str(path), "PATH")
    if kind is None:
        kind, found = recognised(found)
    below = next((folder for folder in folders[1:] if found.is_relative_to(folder)), None)
    name = str(found.relative_to(below) if below else found)
    tables, notes = with_overrides({"data": {"kind": kind, "path": name}}, overrides, Path())
    for each in notes:
        note(each)
    table = tables.pop("data")
    for other in tables:
        raise PlanFault(other, "only the keys of [data] can be set here, as in data.split=0.8")
    with in_file(found):
        try:
            return table, catalog.build(catalog.ROOMS["data"], table, "data", Path())
        except PlanFault as fault:
            given = fault.where.removeprefix("data.") in table
            how = "" if given else f" (--set {fault.where}=VALUE)"
            raise PlanFault(fault.where, f"{fault.reason}{how}") from fault


def contents(path: Path, kind: str | None, overrides: Sequence[str]) -> str:
    """Return what is in a store, or in a file of data, which is prepared first if need be; raises as `_source_of`."""
    places = Places.for_plan(Path())
    _, source = _source_of(path, kind, overrides, places)
    stores = source.prepare(places)
    return "\n".join(_content(store) for store in stores)


def _content(path: Path) -> str:
    with closing(Store(path)) as store:
        nonzeros, cells = store.nonzeros(), store.rows * store.features
        return "\n".join(
            [
                str(path),
                f"  rows      {store.rows:,}",
                f"  features  {store.features:,}, kept {'sparse' if store.sparse else 'dense'}",
                f"  nonzero   {nonzeros:,} of {cells:,} ({100 * nonzeros / cells:.3g} %)",
                f"  labels    {_labels(store.labels)}",
                f"  digest    {store.digest}",
                f"  source    {store.source}",
            ]
        )


def _labels(labels: NDArray[np.float64]) -> str:
    values, counts = np.unique(labels, return_counts=True)
    if values.size > _MOST_COUNTED:
        return f"{values.size:,} distinct, from {values[0]:g} to {values[-1]:g}"
    each = ", ".join(f"{value:g} ({count:,})" for value, count in zip(values, counts, strict=True))
    return f"{values.size} distinct: {each}"
