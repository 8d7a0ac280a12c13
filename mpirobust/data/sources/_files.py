"""The sources that read rows from files of the user: parsed once at the center, into stores in the cache."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import closing, suppress
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from mpirobust.components import Field, component
from mpirobust.data.reading import Check
from mpirobust.data.recognising import kind_of
from mpirobust.data.sources.base import Dataset, Places, Source
from mpirobust.data.store import Store, ensure_store, is_store, place_in_cache
from mpirobust.data.table import RowFault, open_table
from mpirobust.errors import DataFault
from mpirobust.terminal import note


@component
class FileSource(Source):
    """Rows in files, or in stores prepared from them.

    Give either `split` (the share of the rows to train on, the rest is the test
    set) or `test` (a file of its own), or neither for no test set. With
    `targets = "classes"` the distinct labels in ascending order become 0, 1, ...

    Attributes:
        path: the file (beside the plan, below $MPIROBUST_DATA or in the cache), or a store made from it.
        split: share of the rows to train on; the rest are test rows (default: no test rows).
        test: a file of test rows (default: none).
        targets: whether labels are classes, in ascending order 0, 1, ..., or real numbers.
    """

    either: ClassVar = ({"split"}, {"test"})

    path: str
    split: Annotated[float, Field(gt=0, lt=1)] | None = None
    test: str | None = None
    targets: Literal["classes", "real"] = "classes"

    def __post_init__(self) -> None:
        if self.split is not None and self.test is not None:
            raise ValueError("give split or test, not both")

    def prepare(self, places: Places) -> list[Path]:
        files = [self._files(places, test=False)]
        stores = [self._stored(files[0], 0, places)]
        if self._has_test():
            train = Store(stores[0])
            train.close()
            files.append(self._files(places, test=True))
            stores.append(self._stored(files[1], train.features, places))
        try:
            with closing(self.open(stores, seed=0)) as dataset:
                if self.split is not None and not dataset.facts.test_rows:
                    note(f"data.split = {self.split:g} of {dataset.facts.rows} rows leaves no row for the test")
        except RowFault as fault:
            raise self._named(fault, files[fault.which][0]) from fault
        return stores

    def open(self, stores: list[Path], seed: int) -> Dataset:
        return open_table(stores, seed, split=self.split, classes=self.targets == "classes")

    def _files(self, places: Places, test: bool) -> list[Path]:
        """Return the files of the training or the test rows; the first one has the features and may be a store."""
        return [places.find(self.test or self.path, "data.test") if test else places.find(self.path, "data.path")]

    def _has_test(self) -> bool:
        return self.test is not None

    def _stored(self, files: list[Path], width: int, places: Places) -> Path:
        """Return the store for `files`, checked for damage: itself, or one in the cache, made now if need be."""
        path = files[0]
        if is_store(path):
            Store(path, verify=True).close()
            return path
        store = place_in_cache(places.cache, files, self._reading(width))

        def build() -> None:
            try:
                self._write_store(store, files, width, places.check)
            except DataFault as fault:
                named = self._named(fault, path) if isinstance(fault, RowFault) else fault
                raise DataFault(f"{named}{self._other_kind(path)}") from fault

        return ensure_store(store, build)

    def _named(self, fault: RowFault, path: Path) -> DataFault:
        """Return the fault with the place in the user's file."""
        place = f"row {fault.row + 1}" if is_store(path) else self._place(path, fault.row)
        return DataFault(f"{path}, {place}: {fault.reason}")

    def _other_kind(self, path: Path) -> str:
        """Return advice for a file that looks like one of another kind; else ''."""
        with suppress(DataFault):
            kind = kind_of(path)
            if kind != type(self).__module__.rpartition(".")[2]:
                return f'; if the file is of kind {kind}, say data.kind = "{kind}"'
        return ""

    @abstractmethod
    def _reading(self, width: int) -> str:
        """Return what the rows depend on besides the files, for the name of the store; `width` as in `_write_store`."""

    @abstractmethod
    def _write_store(self, store: Path, files: list[Path], width: int, check: Check) -> None:
        """Parse the files into a store.

        Args:
            width: the number of features of the training rows, if these are the test rows; else 0.
            check: called now and then; may raise a `Fault`.

        Raises:
            DataFault: a file is malformed, with line and reason; a `RowFault` becomes one.
        """

    def _place(self, path: Path, row: int) -> str:
        """Return where in the file the row (from 0) stands, `line 7`; may read the file once more."""
        return f"row {row + 1}"
