"""The contract of a data source: what a plan's `[data]` table becomes."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpirobust.components import Field, component
from mpirobust.data.partitions.base import Partition
from mpirobust.data.partitions.iid import IID
from mpirobust.errors import DataFault
from mpirobust.files import expanded
from mpirobust.shard import Shard
from mpirobust.types import Rows, Vector


@dataclass(frozen=True)
class Facts:
    """The facts of a data set that are known before any row is read.

    `digest` is a hash over the rows, so that a run can tell whether its data are still the same;
    `nbytes` is what all rows take in memory as shards.
    """

    rows: int
    test_rows: int
    features: int
    classes: int
    digest: str
    nbytes: int


def _go_on() -> None:
    pass


@dataclass(frozen=True)
class Places:
    """The folders in which files are looked up.

    Attributes:
        check: called now and then while data are prepared, which may take minutes; raises a `Fault` to end it.
    """

    plan: Path
    data: Path | None
    cache: Path
    check: Callable[[], None] = _go_on

    @classmethod
    def for_plan(cls, plan: Path, check: Callable[[], None] = _go_on) -> Places:
        cache = _folder("MPIROBUST_CACHE") or _cache(beside=plan.parent)
        return cls(plan.parent, _folder("MPIROBUST_DATA"), cache, check)

    def find(self, name: str, key: str, *others: str) -> Path:
        """Return the file called `name`: beside the plan, else below $MPIROBUST_DATA, else in the cache.

        Args:
            key: of the plan, for the message.
            others: names that are as good; each folder is looked through for all names.

        Raises:
            DataFault: it is in none of them, and the message lists the paths that were tried; or one cannot be read.
        """
        try:
            folders = [folder for folder in (self.plan, self.data, self.cache) if folder]
            for folder in folders:
                for each in (name, *others):
                    if (path := (folder / expanded(each)).absolute()).is_file():
                        return path
            tried = dict.fromkeys((folder / expanded(name)).absolute() for folder in folders)
            here = Path(expanded(name)).absolute()
            is_here = here.is_file()
        except ValueError as error:
            raise DataFault(f"{key}: {error}") from error
        except OSError as error:
            raise DataFault(f"{key}: {error.filename or name} cannot be read ({error.strerror})") from error
        from mpirobust.data.catalogue import files_of, with_file

        hint = "" if self.data else " ($MPIROBUST_DATA is not set)"
        if self.data and not self.data.is_dir():
            hint = f" ($MPIROBUST_DATA is {self.data}, and there is no such folder)"
        if public := with_file(name):
            hint += f"; mpirobust data fetch {public} gets it"
        if files := files_of(name):
            hint += f"; the files of this data set are {', '.join(files)}"
        if is_here:
            hint += f"; it is in the working directory: give {here}"
        raise DataFault(f"{key}: no file {name!r}; looked for " + ", ".join(map(str, tried)) + hint)


def _folder(variable: str) -> Path | None:
    """Return the folder that a variable of the environment names, if it does."""
    try:
        return expanded(name) if (name := os.environ.get(variable)) else None
    except ValueError as error:
        raise DataFault(f"${variable}: {error}") from error


def _cache(beside: Path) -> Path:
    """Return the default folder for prepared data; it is below `beside` for a user who has no home."""
    try:
        return (_folder("XDG_CACHE_HOME") or Path.home() / ".cache") / "mpirobust"
    except RuntimeError:  # as in a container whose user is only a number
        return beside / ".cache" / "mpirobust"


class Dataset(ABC):
    """An open data set: rows on demand, so that a rank reads those of its own workers only."""

    @property
    @abstractmethod
    def facts(self) -> Facts:
        """Sizes and digest."""

    @abstractmethod
    def labels(self) -> NDArray[np.int64] | None:
        """Return the class number of every training row, shape (rows,); None for real targets."""

    @abstractmethod
    def train(self, rows: Rows) -> Shard:
        """Return the shard of these training rows (ascending)."""

    @abstractmethod
    def test(self, rows: Rows) -> Shard:
        """Return the same of the test rows."""

    @abstractmethod
    def solution(self) -> Vector | None:
        """Return `w*` if the data were made from one, shape (features,); else None."""

    @abstractmethod
    def close(self) -> None:
        """Close the files; shards stay valid."""


@component
class Source(ABC):
    """A source of rows.

    Attributes:
        partition: how the training rows are dealt to the workers.
    """

    partition: Partition = Field(default_factory=IID)

    @abstractmethod
    def prepare(self, places: Places) -> list[Path]:
        """Make sure that the stores exist, and return their paths. Called once, at the center.

        What takes long calls `places.check()` now and then.

        Raises:
            DataFault: a file is missing or malformed.
        """

    def deals_iid(self) -> bool:
        """Return whether the workers' rows are independent draws from one distribution."""
        return self.partition.iid()

    @abstractmethod
    def open(self, stores: list[Path], seed: int) -> Dataset:
        """Done by every rank, with the paths that the center's `prepare` returned."""
