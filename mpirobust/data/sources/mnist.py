from __future__ import annotations

import gzip
import zlib
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpirobust.components import component
from mpirobust.data.sources.base import Dataset, Places, Source
from mpirobust.data.store import Store, ensure_store, place_in_cache, write_pixel_store
from mpirobust.data.table import Table
from mpirobust.errors import DataFault

_PARTS = ("train", "t10k")
_MOST_PACKED = 1032  # bytes that one byte of a gzip file can stand for (zlib's technical details)


@component
class MNIST(Source):
    """Images and labels in IDX files as MNIST has them, gzipped (LeCun et al. 1998; P1 §8).

    `path` is the folder of `train-images-idx3-ubyte.gz` and its three companions; pixels become 0 to 1.
    """

    path: str = "mnist"

    def prepare(self, places: Places) -> list[Path]:
        stores = []
        for part in _PARTS:
            images = places.find(f"{self.path}/{part}-images-idx3-ubyte.gz", "data.path")
            labels = places.find(f"{self.path}/{part}-labels-idx1-ubyte.gz", "data.path")
            stores.append(_prepared(images, labels, places.cache))
        return stores

    def open(self, stores: list[Path], seed: int) -> Dataset:
        train, test = map(Store, stores)
        return Table(train, test, seed, split=None, classes=True)


def _prepared(images: Path, labels: Path, cache: Path) -> Path:
    """Return the store for a pair of files, parsed now if the cache does not hold it."""
    store = place_in_cache(cache, [images, labels], "")

    def build() -> None:
        pixels, numbers = read_idx(images, 3), read_idx(labels, 1)
        if len(pixels) != len(numbers):
            raise DataFault(f"{images} has {len(pixels)} images, {labels} has {len(numbers)} labels")
        write_pixel_store(store, pixels.reshape(len(pixels), -1), numbers.astype(np.float64), str(images))

    return ensure_store(store, build)


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Return the array of bytes in a gzipped IDX file; raises `DataFault` with the file and the reason.

    No more is unpacked than the head says, and the head is not believed beyond what gzip can have packed.
    """
    head = 4 + 4 * dimensions
    try:
        with gzip.open(path) as file:
            lead = file.read(head)
            shape = tuple(np.frombuffer(lead[4:], ">u4").tolist()) if len(lead) == head else ()
            if len(lead) < head or lead[:4] != bytes([0, 0, 8, dimensions]):
                raise DataFault(f"{path}: not an IDX file of bytes in {dimensions} dimensions")
            if 0 in shape or prod(shape) > _MOST_PACKED * path.stat().st_size:
                raise DataFault(f"{path}: too few bytes for an array of shape {shape}")
            content = file.read(prod(shape))
            more = file.read(1)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataFault(f"{path}: not a whole gzip file ({error})") from error
    if len(content) != prod(shape) or more:
        raise DataFault(f"{path}: {len(content)} bytes{' and more' if more else ''} for an array of shape {shape}")
    return np.frombuffer(content, np.uint8).reshape(shape)
