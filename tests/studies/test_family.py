"""Whatever is wrong in a family is said with file and key; those of configs/ are sound."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from mpirobust.errors import SetupFault
from mpirobust.plan import load_plan
from mpirobust.studies.family import Variant, load_family, load_matrix, locate
from mpirobust.studies.matrix import planned
from mpirobust.studies.tuning import trials
from tests.support.launching import CONFIGS
from tests.support.small_studies import FAMILY, MATRIX, lay_out

FAMILIES = sorted(CONFIGS.glob("p*/figure-*.toml"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('title = "a family"', "", "title: missing"),
        ('metric = "distance"', 'metric = "speed"', "metric: "),
        ("seeds = [1, 2, 3]", "seeds = []", "seeds: "),
        ("seeds = [1, 2, 3]", "seeds = [1, 2, 1]", "two of the seeds are the same"),
        ('label = "hasty"', 'label = "trimmed"', "two of the curves are the same"),
        ('label = "hasty"', 'labell = "hasty"', "curves[3].labell: unknown key"),
        ('against = "averaged"', 'against = "nobody"', "a claim or race names the curve 'nobody'"),
        ("bound = 1e3", "", "claims[2].cases[1]: give against or bound"),
        ("factor = 0.5", "factor = 0.0", "claims[3].cases[1].factor: "),
        ("[[claims]]", "[claims]", "not TOML"),
        (
            "[[curves]]",
            '[[panels]]\nlabel = "a"\n[[panels]]\nlabel = "a"\n[[curves]]',
            "two of the panels are the same",
        ),
        ('says = "trimming helps"', 'says = "x"\npanels = ["w8a"]', "a claim names the panel 'w8a'; there are: none"),
        (
            "[[curves]]",
            '[[guides]]\nlabel = "1/T"\npower = -1.0\nthrough = "nobody"\n[[curves]]',
            "a guide names the curve 'nobody'; there are: trimmed, averaged, hasty",
        ),
        (
            "[[curves]]",
            '[[guides]]\nlabel = "1/T"\npower = -1.0\nthrough = "hasty"\n[[curves]]',
            'guides are drawn on logarithmic axes; set across = "log"',
        ),
        ("[[curves]]", '[[guides]]\nlabel = "1/T"\npower = "-1"\n[[curves]]', "guides[1].through: missing"),
    ],
)
def test_names_file_and_key(old: str, new: str, said: str, tmp_path: Path) -> None:
    assert old in FAMILY
    path = lay_out(tmp_path / "family", FAMILY.replace(old, new, 1)) / "figure-1.toml"
    with pytest.raises(SetupFault) as caught:
        load_family(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)


def test_a_table_where_an_array_of_tables_is_due(tmp_path: Path) -> None:
    path = tmp_path / "figure-1.toml"
    path.write_text(FAMILY.split("[[curves]]")[0] + '[curves]\nlabel = "one"\n')
    with pytest.raises(SetupFault, match=r"curves: expected tables, each beginning with \[\[curves\]\]"):
        load_family(path)


@pytest.mark.parametrize(("old", "new"), [('label = "noise"', 'label = "none"'), ("[1, 2]", "[2, 2]")])
def test_a_matrix_with_two_of_the_same(old: str, new: str, tmp_path: Path) -> None:
    path = tmp_path / "grid.toml"
    path.write_text(MATRIX.replace(old, new, 1))
    with pytest.raises(SetupFault, match="are the same"):
        load_matrix(path)


def test_says_where_it_looked_for_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SetupFault, match="no folder 'p99'; looked for p99, configs/p99, "):
        locate("p99")
    assert locate(str(tmp_path)) == tmp_path
    assert locate("p1") == Path("configs/p1") or locate("p1") == CONFIGS / "p1"


@pytest.mark.parametrize("path", FAMILIES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_curve_of_every_figure_is_a_sound_plan(path: Path) -> None:
    family = load_family(path)
    for panel, curve in product(family.panels or (Variant(label=""),), family.curves):
        plan, _ = load_plan(path.parent / family.plan, [*family.set, *panel.set, *curve.set])
        for case in (case for claim in family.claims for case in claim.cases if case.round is not None):
            assert case.round is not None
            assert case.round <= plan.algorithm.rounds
            assert case.round % plan.audit.every == 0


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("p2/figure-[2-5]*.toml")), ids=lambda path: path.stem)
def test_w8a_of_a_figure_is_the_plan_of_w8a(path: Path) -> None:
    family = load_family(path)
    a9a, w8a = family.panels
    assert (a9a.label, w8a.label) == ("a9a", "w8a")
    audit = [key for key in w8a.set if key.startswith("audit.")]  # of rows that are nearly all of one class
    assert load_plan(CONFIGS / "a9a-cubic.toml", w8a.set)[0] == load_plan(CONFIGS / "w8a-cubic.toml", audit)[0]
    assert all({*claim.panels} <= {"a9a", "w8a"} for claim in family.claims)


@pytest.mark.parametrize("name", ["cubic", "robust", "logistic"])
def test_the_plans_of_w8a_are_those_of_a9a_on_other_rows(name: str) -> None:
    """There is no file of test rows: the training file is split, as in P2."""
    keys = ["data.path=libsvm/w8a", "data.features=300", "data.split=0.7"]
    assert load_plan(CONFIGS / f"a9a-{name}.toml", keys)[0] == load_plan(CONFIGS / f"w8a-{name}.toml", [])[0]


@pytest.mark.parametrize(
    "path", [CONFIGS / "p1" / "robustness.toml", *sorted(CONFIGS.glob("rules/*.toml"))], ids=lambda path: path.stem
)
def test_every_cell_of_the_matrix_is_a_sound_plan(path: Path) -> None:
    grid = planned(path, Path("runs"), lambda _, seeds: seeds[:1], [])
    assert len({job.folder for job in grid.jobs()}) == len(grid.cells)
    if grid.matrix.tune is not None:
        assert trials(path, Path("runs"), [])
