"""`mpirobust export`: the newest iterate, its parts by name."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mpirobust.api.results import open_run
from mpirobust.errors import Exit
from mpirobust.problems.network import Network
from mpirobust.records import model
from mpirobust.testing.support.clusters import regression_plan
from mpirobust.testing.support.shards import made_shard
from mpirobust.types import Vector
from tests.support.alone import command_alone, run_alone
from tests.support.sealing import resealed


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run of 10 rounds, with checkpoints after 8 and 10."""
    monkeypatch.chdir(tmp_path)
    Path("plan.toml").write_text(regression_plan(checkpoint={"every": 4}).toml())
    return run_alone(Path("plan.toml"), Path("run"), "algorithm.rounds=10")


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.savez("rows.npz", X=np.random.default_rng(1).standard_normal((40, 6)), y=np.arange(40) % 2)
    problem = {"kind": "network", "hidden": [5, 4], "classes": 2}
    data = {"kind": "npz", "path": "rows.npz"}
    Path("plan.toml").write_text(regression_plan(problem=problem, data=data).toml())
    return run_alone(Path("plan.toml"), Path("run"), "algorithm.rounds=2")


def _x(run: Path) -> Vector:
    with h5py.File(run / "run.h5") as file:
        x: Vector = file["model/x"][:]
        return x


def _exported(path: str) -> dict[str, Any]:
    with np.load(path) as file:
        return dict(file)


@pytest.mark.parametrize("path", ["run", "run/run.h5"])
def test_a_linear_model_is_x_with_plan_and_provenance(path: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_alone("export", path) == Exit.OK
    assert capsys.readouterr().out == "wrote run/model.npz\n"
    exported = _exported("run/model.npz")
    assert np.array_equal(exported["x"], _x(run))
    assert tomllib.loads(str(exported["mpirobust/plan"]))["algorithm"]["rounds"] == 10
    provenance = json.loads(str(exported["mpirobust/provenance"]))
    assert (provenance["status"], provenance["rounds"]) == ("finished", 10)
    assert len(provenance["data_digest"]) == 64


def test_a_network_is_its_layers(network: Path) -> None:
    assert command_alone("export", str(network), "--out", "net.npz") == Exit.OK
    exported = _exported("net.npz")
    parts = [name for name in exported if "/" not in name]
    assert parts == [f"{what} {layer}" for layer in range(3) for what in ("weights", "biases")]
    assert exported["weights 1"].shape == (5, 4)
    assert np.array_equal(np.concatenate([exported[name].ravel() for name in parts]), _x(network))
    opened = open_run(network)
    assert [*opened.parts] == parts
    assert all(np.array_equal(opened.parts[name], exported[name]) for name in parts)
    assert opened.parts["biases 2"].base is opened.x


def test_as_a_state_dict_a_network_is_that_of_torch(network: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'mpirobust[torch]'")
    assert command_alone("export", str(network), "--to", "pt") == Exit.OK
    nn = torch.nn
    net = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2))
    state = torch.load("run/model.pt", weights_only=True)
    assert {each.dtype for each in state.values()} == {torch.float32}
    net.load_state_dict(state)
    shard = made_shard(9, 6, 2)
    expected = Network(hidden=(5, 4), classes=2).class_scores(_x(network), shard)
    found = net(torch.tensor(shard.X, dtype=torch.float32)).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("status", "note"),
    [
        ("running", "note: the run is running: exported is its iterate after 10 rounds"),
        ("interrupted", "note: the run is interrupted: exported is its iterate after 10 rounds"),
        ("diverged", "note: the run has diverged after 10 rounds"),
        ("converged", ""),
    ],
)
@pytest.mark.usefixtures("run")
def test_a_run_that_is_not_finished_has_a_note(status: str, note: str, capsys: pytest.CaptureFixture[str]) -> None:
    with resealed(Path("run/run.h5")) as file:
        file.attrs["status"] = status
    assert command_alone("export", "run") == Exit.OK
    assert capsys.readouterr().err.strip() == note


@pytest.mark.parametrize("damaged", [False, True])
def test_a_checkpoint_that_is_newer_than_the_trace_has_the_model(
    run: Path, damaged: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a kill leaves it: the trace is rewritten every two seconds. A damaged one is passed over."""
    x = _x(run)
    run_alone(Path("plan.toml"), Path("early"), "algorithm.rounds=4")
    (Path("early") / "run.h5").replace(run / "run.h5")
    early = _x(run)
    if damaged:
        for path in run.glob("checkpoint-*.h5"):
            path.write_bytes(path.read_bytes()[:-9])
    with resealed(run / "run.h5") as file:
        file.attrs["status"] = "running"
    opened = open_run(run)
    assert (opened.round, opened.rounds["round"].size) == (4 if damaged else 10, 4)
    assert command_alone("export", "run") == Exit.OK
    assert f"after {opened.round} rounds" in capsys.readouterr().err
    exported = _exported("run/model.npz")
    assert np.array_equal(exported["x"], early if damaged else x)
    assert not np.array_equal(early, x)
    assert {name: values.tolist() for name, values in opened.parts.items()} == {"x": exported["x"].tolist()}
    assert np.array_equal(opened.x, exported["x"])


@pytest.mark.usefixtures("run")
def test_a_file_is_replaced_only_if_asked(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.npz").write_text("mine")
    assert command_alone("export", "run", "--out", "mine.npz") == Exit.SETUP
    assert capsys.readouterr().err == "mpirobust: mine.npz exists; --overwrite replaces it\n"
    assert Path("mine.npz").read_text() == "mine"
    assert command_alone("export", "run", "--out", "mine.npz", "--overwrite") == Exit.OK
    assert "x" in _exported("mine.npz")


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("nowhere",), Exit.SETUP, "no run at nowhere"),
        (("plan.toml",), Exit.SETUP, "plan.toml: damaged, or not a run"),
        (("run", "--out", "model.pt"), Exit.SETUP, "model.pt: the name of a file of --to npz ends with .npz"),
        (("run", "--to", "onnx"), Exit.SETUP, "'onnx' is not one of 'npz', 'pt'"),
        (("run", "--out", "plan.toml/model.npz"), Exit.STORAGE, "cannot write plan.toml/model.npz"),
    ],
)
def test_what_cannot_be_exported_is_one_message(
    arguments: tuple[str, ...], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_alone("export", *arguments) == code
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("run")
def test_without_torch_npz_is_the_way(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert command_alone("export", "run", "--to", "pt") == Exit.SETUP
    assert "a .pt file needs PyTorch" in capsys.readouterr().err


def test_a_run_of_an_earlier_version_is_one_part(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with resealed(network / "run.h5") as file:
        del file["model/layout"]
    assert [*model.of_run(network).parts()] == ["x"]
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'mpirobust[torch]'")
    assert command_alone("export", "run", "--to", "pt") == Exit.SETUP
    assert "its parts are not those of its problem, as in files of earlier versions" in capsys.readouterr().err


def test_a_layout_that_does_not_fit_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with resealed(run / "run.h5") as file:
        del file["model/layout"]
        file["model/layout"] = np.frombuffer(b'[["x", [9]]]', np.uint8)
    assert command_alone("export", "run") == Exit.SETUP
    assert "not a whole trace (its layout is not that of the iterate)" in capsys.readouterr().err
