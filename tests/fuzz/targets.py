"""What is fuzzed: a name, inputs to begin with, and what must hold of every other input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from mpirobust.testing.examples import EXAMPLES
from tests.fuzz import readers
from tests.fuzz.decoders import MODES, cases

_LEAD = 2  # bytes of an input that choose the case and what is done with the message


@dataclass(frozen=True)
class Target:
    """Something that reads bytes of a stranger.

    Attributes:
        lead: how many bytes at the start of an input are a choice and no message.
        seeds: honest inputs.
        judge: returns where all is well and raises anything otherwise; may write below the folder.
    """

    lead: int
    seeds: Callable[[], list[bytes]]
    judge: Callable[[bytes, Path], None]


def decoder(kind: str) -> Target:
    """The decoder of one kind of code, with the inbox and the receiver around it."""

    def seeds() -> list[bytes]:
        made = []
        for number, case in enumerate(cases(kind)):
            for at, mode in enumerate(MODES):
                claim = np.array(2.5, "<f8").tobytes() if mode.claimed else b""
                lead = bytes([number, at]) + claim
                made += [lead + message for message in case.seeds()[: 5 if at < 2 else 1]]
        return made

    def judge(data: bytes, _: Path) -> None:
        if len(data) >= _LEAD:
            chosen = cases(kind)
            with np.errstate(over="ignore", invalid="ignore"):  # as in a run
                MODES[data[1] % len(MODES)].judge(chosen[data[0] % len(chosen)], data[_LEAD:])

    return Target(_LEAD, seeds, judge)


def _from(folder_of: Callable[[Path], list[bytes]]) -> Callable[[], list[bytes]]:
    def seeds() -> list[bytes]:
        with TemporaryDirectory() as folder:
            return folder_of(Path(folder))

    return seeds


TARGETS: dict[str, Target] = {
    **{kind: decoder(kind) for kind in EXAMPLES["compressor"]},
    "libsvm-text": Target(1, readers.libsvm_seeds, readers.libsvm),
    "csv-text": Target(1, readers.csv_seeds, readers.csv),
    "npy-file": Target(0, readers.array_seeds, readers.array),
    "npz-file": Target(0, readers.npz_seeds, readers.npz),
    "idx-file": Target(1, readers.idx_seeds, readers.idx),
    "toml-plan": Target(0, readers.toml_seeds, readers.toml),
    "hdf5-file": Target(1, _from(readers.hdf5_seeds), readers.hdf5),
}
