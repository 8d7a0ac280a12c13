"""`python -m tests.fuzz.guided TARGET SECONDS FOLDER`: a coverage-guided search for bytes that a reader cannot take.

Ends with code 0 after SECONDS without a finding; else says what was raised, and leaves the input in FOLDER.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import atheris

_WATCHED = ["mpirobust", "tomllib"]

with atheris.instrument_imports(include=_WATCHED):
    from tests.fuzz.mutations import mutated
    from tests.fuzz.targets import TARGETS

_ROOM = 2**26  # bytes that one input may take; honest ones take a tenth of it
_SLOW = 30  # seconds for one input; honest ones take milliseconds


def main(name: str, seconds: str, folder: Path) -> None:
    target = TARGETS[name]
    corpus, scratch = folder / "corpus", folder / "scratch"
    corpus.mkdir(exist_ok=True)
    scratch.mkdir(exist_ok=True)
    with atheris.instrument_imports(include=_WATCHED):  # kinds are imported where they are first asked for
        seeds = target.seeds()
        for number, seed in enumerate(seeds):
            (corpus / f"seed-{number}").write_bytes(seed)
            target.judge(seed, scratch)  # what honest input imports and keeps is no growth

    def judge(data: bytes) -> None:
        if len(data) > target.lead:
            with _bounded():
                target.judge(data, scratch)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        rng = Random(seed)
        if rng.random() < 0.3:
            data = rng.choice(seeds)  # what is kept is what covers new lines: one case would stand for all
        if len(data) <= target.lead or rng.random() < 0.5:
            return bytes(atheris.Mutate(data, most))
        return (data[: target.lead] + mutated(data[target.lead :], rng))[:most]

    arguments = [
        sys.argv[0],
        f"-max_total_time={seconds}",
        f"-max_len={2 * max(map(len, seeds)) + 32}",
        f"-timeout={_SLOW}",
        f"-artifact_prefix={folder}/found-",
        "-rss_limit_mb=0",
        "-seed=1",
        "-print_final_stats=1",
        str(corpus),
    ]
    atheris.Setup(arguments, judge, custom_mutator=mutate)
    atheris.Fuzz()


@contextmanager
def _bounded() -> Iterator[None]:
    """What asks for too much gets a MemoryError, which no target may raise; the fuzzer's own growth is not counted."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + _ROOM, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
