"""Times of runs on run_table numbers of processes: medians without the first rounds, and the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from mpirobust.errors import SetupFault
from mpirobust.records.layout import TRACE
from mpirobust.records.trace import Trace
from mpirobust.reports.run_table import rows
from mpirobust.reports.scaling import WARM_UP, Scaling, as_text, draw, scaling, table


def run(
    folder: Path,
    processes: int,
    seconds: float,
    workers: int = 4,
    rounds: int = 31,
    status: str = "finished",
    change: str = "",
    kernels: str = "openblas 0.3.31 Haswell",
    **plan: Any,
) -> Path:
    """Every fifth round takes ten times as long, the first ones a hundred times; an audit, for ever."""
    keys = {"seed": 1, "workers": workers, "algorithm": {"rounds": 31}, "aggregator": {"kind": "mean"}, **plan}
    hosts = " ".join(f"h{process // 2}" for process in range(processes))
    trace = Trace(workers, np.zeros(0, np.intp), {"plan": tomli_w.dumps(keys), "hosts": hosts, "blas": kernels})
    for t in range(1, rounds + 1):
        row = trace.rounds.append()
        row["round"], row["bytes_up"], row["norms"], row["kept"] = t, 7 * workers, t, True
        slow = 100 if t <= WARM_UP else 10 if t % 5 == 0 else 1
        row["seconds_compute"], row["seconds_gather"] = 0.75 * seconds * slow, 0.25 * seconds * slow
        row["seconds_audit"] = row["seconds_checkpoint"] = 1e3
    if change in ("norms", "kept", "bytes_up"):
        trace.rounds.rows[change][19] = 0
    trace.audits.append()
    folder.mkdir()
    trace.write(folder / TRACE, status, rounds, np.full(3, 5.0 if change != "x" else 6.0))
    return folder


def compare(*folders: Path) -> Scaling:
    return scaling(rows(folders))


def test_strong(tmp_path: Path) -> None:
    sizes = [run(tmp_path / "b", 5, 1.0), run(tmp_path / "a", 2, 3.0), run(tmp_path / "c", 4, 1.5)]
    cut = run(tmp_path / "cut", 3, 9.0, status="interrupted")
    found = compare(*sizes, cut)
    assert found.strong
    assert found.apart == ""
    assert [size.processes for size in found.sizes] == [2, 4, 5]
    assert [size.nodes for size in found.sizes] == [1, 2, 3]
    np.testing.assert_allclose([size.seconds for size in found.sizes], [3, 1.5, 1])
    np.testing.assert_allclose(found.sizes[0].phases["compute"], 2.25)
    np.testing.assert_allclose(found.speed_up(), [1, 2, 3])
    np.testing.assert_allclose(found.efficiency(), [1, 1, 1.2])
    assert [row[-1] for row in table(found)[1:]] == ["28"] * 3
    text = as_text(found, rows([*sizes, cut]))
    assert "same numbers on all sizes" in text
    assert f"left out: {cut}: interrupted" in text
    assert "forge" not in text  # took no time anywhere
    draw(found, tmp_path / "out.png")
    assert (tmp_path / "out.png").stat().st_size > 0


def test_weak(tmp_path: Path) -> None:
    found = compare(run(tmp_path / "a", 2, 1.0, 1), run(tmp_path / "b", 5, 1.25, 4, data={"rows": 40}))
    assert not found.strong
    np.testing.assert_allclose(found.efficiency(), [1, 0.8])
    assert "weak scaling" in as_text(found, [])
    assert "same numbers" not in as_text(found, [])
    draw(found, tmp_path / "out.svg")


def test_five_sizes_are_foretold_by_the_others(tmp_path: Path) -> None:
    sizes = [run(tmp_path / str(count), count, 1.0) for count in (2, 3, 4, 5)]
    assert "α-β" not in as_text(compare(*sizes), [])
    text = as_text(compare(*sizes, run(tmp_path / "slow", 6, 2.0)), [])
    assert "6 ranks 1 (-50 %)" in text


@pytest.mark.parametrize(
    ("change", "rounds", "says"),
    [
        ("norms", 31, "from round 20 on"),
        ("kept", 31, "from round 20 on"),
        ("bytes_up", 25, "from round 20 on"),
        ("x", 31, "different iterates"),
    ],
)
def test_other_numbers_are_noticed(change: str, rounds: int, says: str, tmp_path: Path) -> None:
    folders = [run(tmp_path / "a", 2, 1.0), run(tmp_path / "b", 3, 1.0, rounds=rounds)]
    assert compare(*folders).apart == ""
    found = compare(folders[0], run(tmp_path / "c", 3, 1.0, rounds=rounds, change=change))
    assert says in found.apart
    assert "same numbers" not in as_text(found, [])


def test_other_kernels_of_blas_are_named(tmp_path: Path) -> None:
    sizes = [run(tmp_path / "a", 2, 1.0), run(tmp_path / "b", 3, 1.0)]
    assert "BLAS" not in as_text(compare(*sizes), [])
    sizes.append(run(tmp_path / "c", 4, 1.0, kernels="openblas 0.3.31 SkylakeX"))
    said = f"{sizes[0]} used openblas 0.3.31 Haswell, {sizes[2]} openblas 0.3.31 SkylakeX"
    assert as_text(compare(*sizes), []).count(f"other kernels of BLAS: {said}") == 1


def test_keys_that_may_change_on_resuming_make_no_other_experiment(tmp_path: Path) -> None:
    bar = {"progress": {"kind": "progress", "every_seconds": 60.0}}
    sizes = [run(tmp_path / "a", 2, 1.0), run(tmp_path / "b", 3, 1.0, checkpoint={"every": 3}, observers=bar)]
    assert compare(*sizes).strong


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    first = run(tmp_path / "a", 2, 1.0)
    with pytest.raises(SetupFault, match="different experiments: seed"):
        compare(first, run(tmp_path / "b", 3, 1.0, seed=2))
    with pytest.raises(SetupFault, match=r"different experiments: aggregator\.kind"):
        compare(first, run(tmp_path / "c", 3, 1.0, 5, aggregator={"kind": "median"}))
    with pytest.raises(SetupFault, match="19 rounds are too few"):
        compare(run(tmp_path / "d", 3, 1.0, rounds=19))
    with pytest.raises(SetupFault, match="none of the runs is done"):
        compare(run(tmp_path / "e", 3, 1.0, status="running"))
