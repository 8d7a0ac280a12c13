"""One point of benchmarks/links.py, from the links to the medians."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from links import expect_same_rounds, medians, run_on
from namespaces import Network

from mpirobust.comm.local import LocalCommunicator
from mpirobust.studies.campaign import carry_out, job
from tests.support.launching import CONFIGS

_SETS = [
    *("workers=4", "data.rows=80", "data.features=2000", "attack.alpha=0", "compressor.kind=identity"),
    *("algorithm.step=0.01", "algorithm.rounds=10", "audit.every=1000000"),
]


def test_a_round_takes_as_long_as_its_bytes_on_the_link(three: Network, tmp_path: Path) -> None:
    """Alone holds that links are shaped: no load makes a link faster, so this bound on the time is no measurement."""
    three.shape(10)
    task = job(CONFIGS / "quickstart.toml", _SETS, tmp_path / "shaped")
    run_on(three, ["h1", "h2", "h3"], task)
    found = medians(task.folder)
    assert (found["up"], found["rounds"]) == (4 * 16_000, 10)
    assert found["received"] > found["up"] + 2 * 16
    assert found["sent"] > found["one_down"] == 16_032
    assert found["seconds"] > 8e-7 * (found["up"] - 4096)  # what a link lets through at once

    alone = job(CONFIGS / "quickstart.toml", _SETS, tmp_path / "alone")
    assert carry_out(partial(list, [alone]), LocalCommunicator()) == 0
    expect_same_rounds(task.folder, alone.folder)
    three.shape(0)
