"""`matrix --tune`: each rule is measured where its own worst attack does least, and the table says what that was."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from mpirobust.errors import Exit, SetupFault
from mpirobust.studies import tuning
from mpirobust.studies.campaign import Job
from mpirobust.studies.family import load_matrix
from mpirobust.studies.matrix_table import worst_attacks
from mpirobust.studies.tuning import Trial, Tried, chosen, judged, trials
from tests.support.alone import command_alone
from tests.support.small_studies import MATRIX, lay_out

TUNE = '[tune]\nover = ["algorithm.step=0.1,1e200", "algorithm.rounds=2,6"]\nseed = 9\n'


def laid_out(folder: Path, tune: str = TUNE, own: str = "") -> Path:
    path = lay_out(folder) / "grid.toml"
    path.write_text(MATRIX.replace('label = "trim"', f'label = "trim"\n{own}') + tune)
    return path


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ("", {"algorithm.step=0.1 algorithm.rounds=2", "algorithm.step=1e200 algorithm.rounds=6"}),
        ('tune = ["algorithm.step=0.3"]', {"algorithm.rounds=2 algorithm.step=0.3"}),
        ('tune = ["aggregator.beta=0.3"]', {"algorithm.step=0.1 algorithm.rounds=6 aggregator.beta=0.3"}),
    ],
    ids=["those for all", "its own in their place", "its own besides"],
)
def test_the_values_that_are_tried_for_a_rule(own: str, expected: set[str], tmp_path: Path) -> None:
    found = trials(laid_out(tmp_path / "study", own=own), tmp_path, [])
    of_rule = [" ".join(trial.point) for trial in found if (trial.code, trial.rule) == ("one bit", "trim")]
    assert expected < {*of_rule}
    assert len(of_rule) == (2 if "step" in own else 4)
    of_other = {" ".join(trial.point) for trial in found if (trial.code, trial.rule) == ("none", "mean")}
    assert of_other == {f"algorithm.step={step} algorithm.rounds={n}" for step in ("0.1", "1e200") for n in (2, 6)}


INF = float("inf")
FINALS = {  # over the attacks, by code, rule and value
    ("one bit", "trim"): {"a": [1.0, 5.0], "b": [3.0, 4.0], "c": [4.0, 0.0]},
    ("one bit", "mean"): {"a": [INF, 1.0], "b": [1.0, INF]},
    ("none", "trim"): {"a": [1.0, INF], "b": [9.0, 8.0], "c": [7.0, 8.5], "d": [7.0, 7.0]},
    ("none", "mean"): {"a": [2.0, 2.0]},
}


@pytest.mark.parametrize(
    ("code", "expected"),  # what is chosen for trim and mean under one bit, and under none
    [("", "bada"), ('code = "one bit"\n', "baba"), ('code = "none"\n', "dada")],
    ids=["each by itself", "one bit", "none"],
)
def test_the_point_whose_worst_attack_does_least_the_first_of_equals(code: str, expected: str, tmp_path: Path) -> None:
    matrix = load_matrix(laid_out(tmp_path / "study", TUNE + code))
    decided = matrix.tune.code if matrix.tune else None
    found = [
        Tried(Trial(*place, (point,), {}), "noise", max(finals))
        for place, tried in FINALS.items()
        for point, finals in tried.items()
        if decided in (None, place[0])
    ]
    assert chosen(matrix, found) == {place: (point,) for place, point in zip(FINALS, expected, strict=True)}


def test_the_worst_attack_is_that_of_the_largest_final(monkeypatch: pytest.MonkeyPatch) -> None:
    class Outcome:
        def __init__(self, value: float) -> None:
            self.final = [value]

    monkeypatch.setattr(tuning, "outcome", lambda folders, _: Outcome(float(folders[0].name)))
    jobs = {attack: Job(Path(), (), 1, Path(value)) for attack, value in {"x": "1", "y": "inf", "z": "2"}.items()}
    trial = Trial("c", "r", (), jobs)
    assert judged([trial], "distance") == [Tried(trial, "y", INF)]


def test_a_tuned_matrix_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Alone holds that what is chosen is what is measured, in all tables; 24 runs and a picture, drawn twice."""
    tune = TUNE.replace(', "algorithm.rounds=2,6"', "")
    path, out = laid_out(tmp_path / "study", tune, 'tune = ["aggregator.beta=0.3"]'), tmp_path / "out"
    command = ["matrix", str(path), "--tune", "--seeds", "1", "--out", str(out), "--runs", str(tmp_path / "runs")]
    assert command_alone(*command) == 0
    said = capsys.readouterr().out
    assert "tuning: 16 runs, " in said
    assert "measured: 8 runs, " in said
    with (out / "grid-tuning.csv").open() as file:
        tried = list(csv.DictReader(file))
    assert [row["chosen"] for row in tried] == ["1", "0"] * 4  # a step of 1e200 is too long for any rule
    with (out / "grid.csv").open() as file:
        measured = list(csv.DictReader(file))
    assert {row["set"] for row in measured} == {row["set"] for row in tried if row["chosen"] == "1"}
    assert {row["seed"] for row in measured} == {"1"}
    text = (out / "grid.md").read_text()
    assert text.count("| trim | algorithm.step=0.1, aggregator.beta=0.3 | **") == text.count("\n## ") == 2
    assert [line for line in said.splitlines() if line.startswith("wrote ")] == [
        f"wrote {out / name}"
        for name in ("grid.csv", "grid.md", "grid-origin.csv", "grid-tuning.csv", "grid.png", "grid.pdf")
    ]
    assert command_alone(*command) == 0
    assert "[1/" not in capsys.readouterr().err  # nothing is run again


def test_the_table_of_a_matrix_tells_the_strength_tuned_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mpirobust.studies.matrix.draw_heatmaps", lambda *_: None)
    path, out = laid_out(tmp_path / "study", ""), tmp_path / "out"
    attack = "set = ['attack={kind=\"ipm\", alpha=0.2, epsilon=0.25}']"
    path.write_text(path.read_text().replace('label = "noise"', f'label = "noise"\n{attack}'))
    assert command_alone("matrix", str(path), "--seeds", "1", "--out", str(out), "--runs", str(tmp_path / "runs")) == 0
    assert (out / "grid.md").read_text().count("noise, strength 0.25") >= 4
    assert (out / "grid.csv").read_text().splitlines()[0] == "code,rule,attack,seed,distance,blas,run"


@pytest.mark.parametrize(
    ("tune", "said"),
    [
        ("", "--tune needs a table [tune]"),
        ('[tune]\nover = ["algorithm.step="]\nseed = 1\n', "tune: algorithm.step=: a value is missing"),
        (
            '[tune]\nover = ["algorithm.step=0.1"]\nseed = 1\ncode = "two bits"\n',
            "'two bits'; there are: one bit, none",
        ),
        ('[tune]\nover = ["algorithm.stp=0.1"]\nseed = 1\n', "did you mean 'step'"),
        ('[tune]\nover = "algorithm.step=0.1"\nseed = 1\n', "tune.over"),
        ("[tune]\n", "tune.seed"),
    ],
    ids=["none", "no value", "no code", "no key", "no array", "no seed"],
)
def test_a_table_that_says_nothing_sensible(
    tune: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = laid_out(tmp_path / "study", tune)
    out, runs = tmp_path / "out", tmp_path / "runs"
    assert command_alone("matrix", str(path), "--tune", "--out", str(out), "--runs", str(runs)) == Exit.SETUP
    assert said in capsys.readouterr().err
    assert not runs.exists()


def test_a_key_in_both_of_tune_and_set(tmp_path: Path) -> None:
    with pytest.raises(SetupFault, match=r"tune: algorithm\.step is given"):
        trials(laid_out(tmp_path / "study"), tmp_path, ["algorithm.step=1.0"])


def test_the_table_ranks_the_rules_by_their_worst_attack() -> None:
    values = {
        ("weak", "shift"): ([3.0, 5.0, 40.0], 2.0),
        ("weak", "none"): ([1.0, 1.0, 1.0], None),
        ("strong", "shift"): ([0.2, 0.1, 0.3], 7.0),
        ("strong", "none"): ([0.4, 0.5, 0.6], None),
        ("broken", "shift"): ([1.0, float("inf"), float("inf")], 1.0),
        ("broken", "none"): ([0.1, 0.1, 0.1], None),
    }
    rows = [
        {"code": "c", "rule": rule, "attack": attack, "seed": seed, "distance": final, "strength": power, "set": "k=1"}
        for (rule, attack), (finals, power) in values.items()
        for seed, final in enumerate(finals)
    ]
    assert worst_attacks(rows, "distance", "Title").splitlines() == [
        "# Title",
        "",
        "The distance at the end, medians over 3 seeds and the range at worst.",
        "",
        "## c",
        "",
        "| rule | set | at worst | range | by | then by | at best |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| strong | k=1 | **0.5** | 0.4 to 0.6 | none | shift, strength 7: 0.2 | shift, strength 7: 0.2 |",
        "| weak | k=1 | **5** | 3 to 40 | shift, strength 2 | none: 1 | none: 1 |",
        "| broken | k=1 | **diverges** | 1 to diverges | shift, strength 1 | none: 0.1 | none: 0.1 |",
    ]
