"""From the files that people have to a trained model, by `mpirobust run`; and what is wrong, by `mpirobust check`."""

from __future__ import annotations

import bz2
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.support.alone import command_alone

PLAN = """\
seed = 1
workers = 4
[data]
{data}
[problem]
kind = "logistic"
[algorithm]
kind = "first-order"
rounds = 20
step = 0.5
[aggregator]
kind = "mean"
"""
ROWS, FEATURES = 120, 6


def _heart_scale(folder: Path, X: np.ndarray, y: np.ndarray) -> None:
    """As heart_scale: labels +1 and -1, zeros left out, a blank at the end of each line."""
    lines = [
        f"{label:+d} " + "".join(f"{at}:{value:g} " for at, value in enumerate(row, 1) if abs(value) > 0.3)
        for row, label in zip(X, 2 * y - 1, strict=True)
    ]
    (folder / "heart_scale").write_text("\n".join(lines) + "\n")


def _covtype(folder: Path, X: np.ndarray, y: np.ndarray) -> None:
    """As covtype.libsvm.binary.scale.bz2: labels 1 and 2, every feature."""
    lines = [
        f"{label} " + " ".join(f"{at}:{value:g}" for at, value in enumerate(row, 1))
        for row, label in zip(X, y + 1, strict=True)
    ]
    (folder / "covtype.bz2").write_bytes(bz2.compress("\n".join(lines).encode()))


def _susy(folder: Path, X: np.ndarray, y: np.ndarray) -> None:
    """As SUSY.csv of UCI: no head, the label first, all in exponents."""
    lines = [",".join(f"{value:.18e}" for value in (label, *row)) for row, label in zip(X, y, strict=True)]
    (folder / "SUSY.csv").write_text("\n".join(lines) + "\n")


def _windows(folder: Path, X: np.ndarray, y: np.ndarray) -> None:
    """As a spreadsheet writes it: a mark, names, semicolons, \\r\\n."""
    lines = [
        "alter;größe;c;d;e;f;klasse",
        *(";".join(map(repr, [*row, label])) for row, label in zip(X.tolist(), y.tolist(), strict=True)),
    ]
    (folder / "mine.csv").write_bytes("\r\n".join(lines).encode("utf-8-sig"))


def _npz(folder: Path, X: np.ndarray, y: np.ndarray) -> None:
    np.savez(folder / "mine.npz", x_train=X[:90], y_train=y[:90], x_test=X[90:], y_test=y[90:])


def _npy(folder: Path, X: np.ndarray, y: np.ndarray) -> None:
    np.save(folder / "X.npy", np.asfortranarray(X.astype(np.float32)))
    np.save(folder / "y.npy", y.astype(bool))


FILES: dict[str, tuple[Callable[[Path, np.ndarray, np.ndarray], None], str]] = {
    "heart_scale": (_heart_scale, 'kind = "libsvm"\npath = "heart_scale"\nsplit = 0.75'),
    "covtype": (_covtype, 'kind = "libsvm"\npath = "covtype.bz2"\nsplit = 0.75'),
    "susy": (_susy, 'kind = "csv"\npath = "SUSY.csv"\nlabel = 1\nsplit = 0.75'),
    "spreadsheet": (_windows, 'kind = "csv"\npath = "mine.csv"\nlabel = "klasse"\nsplit = 0.75'),
    "npz": (
        _npz,
        'kind = "npz"\npath = "mine.npz"\nX = "x_train"\ny = "y_train"\nX_test = "x_test"\ny_test = "y_test"',
    ),
    "npy": (_npy, 'kind = "npy"\npath = "X.npy"\ny = "y.npy"\nsplit = 0.75'),
}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPIROBUST_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MPIROBUST_DATA", raising=False)


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_trained_on(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    X = rng.standard_normal((ROWS, FEATURES))
    y = (X @ rng.standard_normal(FEATURES) > 0).astype(int)
    write, data = FILES[name]
    write(tmp_path, X, y)
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN.format(data=data))
    assert command_alone("run", str(plan), "--out", str(tmp_path / "run")) == 0
    with h5py.File(tmp_path / "run" / "run.h5") as run:
        assert run["model/x"].shape == (FEATURES,)
        assert run["audits/test_accuracy"][-1] > 0.8


SMALL = "-1 1:1 2:0.5\n+1 1:2 2:-1\n-1 1:0.3\n+1 2:3\n"
WRONG = {
    "libsvm-unknown-label": ("", "# test set\n\n1 1:1\n0 1:1 2:0.5\n", "x.t, line 4: label 0 is unknown in training"),
    "libsvm-above-features": (
        "features = 2",
        "1 1:1\n1 1:1 4:1\n1 5:1\n",
        "x.t, line 2: feature 4 is above data.features = 2; the file needs 5",
    ),
    "libsvm-thousands": ("", "+1 1:1_000\n", "x.t, line 1: the value '1_000' of feature '1' is no finite number"),
    "libsvm-billions": (
        "",
        "1 1:1\n1 1:1 2000000000:1\n",
        "x.t, line 2: feature 2000000000; if that is meant, say data.features = 2000000000",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_users_file_and_line_are_named(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Never a file of the cache; one message, code 2."""
    keys, test, reason = WRONG[name]
    (tmp_path / "x.svm").write_text(SMALL)
    (tmp_path / "x.t").write_text(test)
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN.format(data=f'kind = "libsvm"\npath = "x.svm"\ntest = "x.t"\n{keys}'))
    for _ in range(2):  # the second time, training rows are in the cache
        assert command_alone("check", str(plan)) == 2
        assert capsys.readouterr().err == f"mpirobust: {tmp_path}/{reason}\n"
