from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpirobust.components import component
from mpirobust.data.reading import Check, opened
from mpirobust.data.sources.base import Dataset, Places, Source
from mpirobust.data.store import ensure_store, place_in_cache, write_pixel_store
from mpirobust.data.table import open_table
from mpirobust.errors import DataFault

_PARTS = ("train", "t10k")
_PACKINGS = (".gz", "", ".bz2", ".xz")
_TYPES = {0x08: "bytes", 0x09: "signed bytes", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}


@component
class MNIST(Source):
    """Images and labels in IDX files as MNIST has them, packed or not (LeCun et al. 1998; P1 §8).

    `path` is the folder of `train-images-idx3-ubyte.gz` and its three companions, whose names may have a dot before
    `idx` and another ending; pixels become 0 to 1.

    Attributes:
        path: the folder of the four files.
    """

    path: str = "mnist"

    def prepare(self, places: Places) -> list[Path]:
        stores = []
        for part in _PARTS:
            images = _found(places, f"{self.path}/{part}-images", "idx3-ubyte")
            labels = _found(places, f"{self.path}/{part}-labels", "idx1-ubyte")
            stores.append(_prepared(images, labels, places))
        self.open(stores, seed=0).close()
        return stores

    def open(self, stores: list[Path], seed: int) -> Dataset:
        return open_table(stores, seed, split=None, classes=True)


def _found(places: Places, lead: str, end: str) -> Path:
    name, *others = [f"{lead}{dash}{end}{packing}" for packing in _PACKINGS for dash in "-."]
    return places.find(name, "data.path", *others)


def _prepared(images: Path, labels: Path, places: Places) -> Path:
    """Return the store for a pair of files, parsed now if the cache does not hold it."""
    store = place_in_cache(places.cache, [images, labels], "")

    def build() -> None:
        pixels, numbers = read_idx(images, 3, places.check), read_idx(labels, 1, places.check)
        if len(pixels) != len(numbers):
            raise DataFault(f"{images} has {len(pixels)} images, {labels} has {len(numbers)} labels")
        write_pixel_store(store, pixels.reshape(len(pixels), -1), numbers.astype(np.float64), str(images))

    return ensure_store(store, build)


def read_idx(path: Path, dimensions: int, check: Check = lambda: None) -> NDArray[np.uint8]:
    """Return the array of bytes in an IDX file; raises `DataFault` with the file and the reason.

    No more is unpacked than the head says, and the head is not believed beyond what gzip can have packed.
    """
    check()
    head = 4 + 4 * dimensions
    with opened(path) as (content, _, most):
        lead = content.read(head)
        if lead[:2] == b"\0\0" and len(lead) > 3 and lead[2] in _TYPES and lead[2] != 0x08:
            raise DataFault(f"{path}: IDX with {_TYPES[lead[2]]}; only unsigned bytes are supported")
        if len(lead) < head or lead[:4] != bytes([0, 0, 8, dimensions]):
            raise DataFault(f"{path}: not an IDX file of bytes in {dimensions} dimensions")
        shape = tuple(np.frombuffer(lead[4:], ">u4").tolist())
        size = prod(shape)
        if size == 0 or size > most:
            raise DataFault(f"{path}: too few bytes for an array of shape {shape}")
        numbers, more = content.read(size), content.read(1)
    if len(numbers) != size or more:
        raise DataFault(f"{path}: {len(numbers)} bytes{' and more' if more else ''} for an array of shape {shape}")
    return np.frombuffer(numbers, np.uint8).reshape(shape)
