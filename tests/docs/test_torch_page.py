"""The files of docs/TORCH.md, in this process; tests/mpirun/test_torch.py starts, kills and continues them on ranks."""

from __future__ import annotations

import runpy
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.docs.pages import complete_blocks
from tests.support.alone import command_alone, run_alone

_BLOCKS = complete_blocks("TORCH.md")


def test_the_tutorial_is_short() -> None:
    lines = [line for block in _BLOCKS.values() for line in block.splitlines() if line.strip()]
    assert {*_BLOCKS} == {"rings.py", "net.py", "net.toml"}
    assert len(lines) <= 60


def test_the_network_of_the_page_learns_is_exported_and_begins_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one test in which a network of the user's goes from data to accuracy, and on to PyTorch and another run."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'mpirobust[torch]'")
    monkeypatch.chdir(tmp_path)
    for name, content in _BLOCKS.items():
        Path(name).write_text(content)
    runpy.run_path("rings.py")
    run = run_alone(Path("net.toml"), Path("runs/net"), "algorithm.rounds=100")
    with h5py.File(run / "run.h5") as file:
        accuracy, x = file["audits/test_accuracy"][-1], file["model/x"][:]
    assert accuracy > 0.9  # 98.9 % after 400 rounds

    assert command_alone("export", "runs/net", "--to", "pt") == 0
    net = runpy.run_path("net.py")["make_net"](32)
    net.load_state_dict(torch.load("runs/net/model.pt", weights_only=True))
    data = np.load("rings.npz")
    right = net(torch.tensor(data["X"], dtype=torch.float32)).argmax(dim=1).numpy() == data["y"]
    assert right.mean() == pytest.approx(accuracy, abs=0.03)

    more = run_alone(Path("net.toml"), Path("runs/more"), "start=runs/net", "algorithm.rounds=1")
    with h5py.File(more / "run.h5") as file:
        assert np.array_equal(file["model/start"], x)
        assert file["audits/test_accuracy"][0] == accuracy
