"""The tables and claims of a study as they are committed, against what the runs say."""

from __future__ import annotations

from pathlib import Path

import pytest

from mpirobust.studies import committed, comparison

ROWS = [
    {"panel": "a9a", "curve": "honest", "seed": seed, "final": "0.25", "status": "finished", "bytes_up": "400"}
    | {
        "byzantine_kept": "0.5",
        "kept": "12ab",
        "blas": "openblas 0.3.31 SkylakeX",
        "seconds": "1.5",
        "test_accuracy": "",
        "set": "seed=1",
        "run": f"r{seed}",
    }
    for seed in ("1", "2")
]


KEYS = ("panel", "curve", "seed")


TABLE = committed.Table(Path("values.csv"), list(ROWS[0]), ROWS)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("final", "0.25000001", "final is '0.25000001', and '0.25' by the run"),
        ("final", "nearly", "final is 'nearly'"),
        ("final", "inf", "final is 'inf'"),
        ("status", "converged", "status is 'converged'"),
        ("bytes_up", "400.0", "bytes_up is '400.0'"),
        ("byzantine_kept", "0.5000000000001", "byzantine_kept is"),
        ("kept", "12ac", "kept is '12ac'"),
        ("set", "seed=01", "set is 'seed=01'"),
        ("test_accuracy", "0.5", "test_accuracy is '0.5', and '' by the run"),
        ("run", "r9", "run is 'r9'"),
        ("seed", "3", "figure-1, a9a, honest, 1: not in the table that is committed"),
        ("curve", "honset", "a9a, honset, 1: in the table that is committed, and of no run"),
        ("panel", "w8a", "w8a, honest, 1: in the table that is committed, and of no run"),
        ("final", "0.2500000000001", None),
        ("seconds", "99", None),
        ("blas", "", None),
        ("blas", "openblas 0.3.31 Haswell", None),
    ],
)
def test_a_difference_of_a_row_is_said(column: str, value: str, said: str | None) -> None:
    own = [ROWS[0] | {column: value}, ROWS[1]]
    found = list(TABLE.of_rows("figure-1", KEYS, own, ROWS))
    assert [said in each for each in found].count(True) == 1 if said else found == []


@pytest.mark.parametrize(
    ("column", "value", "said", "told"),
    [
        ("final", "0.3", "1 of 2 runs on openblas 0.3.31 SkylakeX have other numbers", True),
        ("final", "0.3", "those on openblas 0.3.31 Haswell; final by up to 16.7% of the larger, figure-1, a9a,", True),
        ("final", "inf", "final by up to inf%", True),
        ("kept", "12ac", "1 of 2 runs on openblas 0.3.31 SkylakeX have other numbers", True),
        ("status", "diverged", "1 ended with another status", True),
        ("test_accuracy", "0.5", "1 of 2 runs", True),
        ("final", "0.2500000000001", "", False),
        ("set", "seed=01", "set is 'seed=01'", False),
        ("run", "r9", "run is 'r9'", False),
    ],
)
def test_a_row_of_other_kernels_is_one_of_the_same_plan(column: str, value: str, said: str, told: bool) -> None:
    """Rounding decides between workers whose norms tie, and what comes after it."""
    own = [ROWS[0] | {"blas": "openblas 0.3.31 Haswell", column: value}, ROWS[1]]
    found = list(TABLE.of_rows("figure-1", KEYS, own, ROWS))
    assert [said in each for each in found] == [True] * bool(said)
    assert all(isinstance(each, committed.Rounded) == told for each in found)
    plain = list(TABLE.of_rows("figure-1", KEYS, [ROWS[0] | {column: value}, ROWS[1]], ROWS))
    assert not any(isinstance(each, committed.Rounded) for each in plain)


def test_a_table_without_a_number_is_compared_on_other_kernels() -> None:
    old, new = ({"seed": "1", "kept": "12ab", "blas": f"openblas 0.3.31 {core}"} for core in ("Haswell", "SkylakeX"))
    table = committed.Table(Path("values.csv"), list(old), [old])
    (said,) = table.of_rows("figure-1", ["seed"], [old], [new | {"kept": "12ac", "final": "0.5"}])
    assert said.endswith(" than those on openblas 0.3.31 Haswell")


def test_a_verdict_is_the_same_on_other_kernels() -> None:
    row = "| trimming helps | **holds** | all: 0.25 [0.2, 0.3] against at most 1 (3 of 3 seeds) |"
    assert committed.judges_as(row, row.replace("0.25 [0.2, 0.3]", "0.26"))
    assert not committed.judges_as(row, row.replace("holds", "does not hold"))
    assert not committed.judges_as(row, row.replace("trimming", "averaging"))
    assert committed.judges_as("| a race | 30 |", "| a race | 31 |")
    assert not committed.judges_as("| a race | 30 | 2 |", "| a race | 31 |")
    assert not committed.judges_as("| the paper says | verdict |", "| the paper says | sentence |")
    assert not committed.judges_as("## P2 Figure 3", "## P2 Figure 4")
    assert not committed.judges_as("## P2 Figure 3", row)
    claims = committed.Claims(Path("claims.md"))
    lines = [row, "## P2 Figure 3"], [row.replace("0.25 [0.2, 0.3]", "0.26"), "## P2 Figure 4"]
    told = [isinstance(each, committed.Rounded) for each in claims.of_lines("figure-3", *lines, rounded=True)]
    assert told == [True, False]
    assert not any(isinstance(each, committed.Rounded) for each in claims.of_lines("figure-3", *lines))


def test_rows_that_are_not_there_or_there_twice() -> None:
    assert len(list(TABLE.of_rows("figure-1", KEYS, [], ROWS))) == 2
    assert len(list(TABLE.of_rows("figure-1", KEYS, ROWS, ROWS[:1]))) == 1
    gone = list(comparison._of_runs(TABLE, "figure-1", KEYS, ROWS, ROWS[:1], [Path("runs/r2")]))
    assert gone == ["figure-1: no finished run in runs/r2"]
    new = list(comparison._of_runs(TABLE, "figure-1", KEYS, [], [], []))  # of a family that was added since
    assert new == ["figure-1: the table that is committed has no row of it"]
    false = ROWS[1] | {"final": "9"}
    twice = list(TABLE.of_rows("figure-1", KEYS, [*ROWS[:1], false, ROWS[1]], ROWS))
    assert twice == ["figure-1, a9a, honest, 2: 2 times in the table that is committed"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n\n3,4\n", []),
        ("a,b,c\n1,2,3\n", ["has a column 'c' too many"]),
        ("a\n1\n", ["has no column 'b'"]),
        ("a,b\n1,2\n3,4,5\n", ["'3, 4, 5' has 3 cells, and the head 2"]),
        ("a,b\n1\n", ["'1' has 1 cell, and the head 2"]),
        ("a,b,b\n1,9,2\n", ["two columns are called 'b'"]),
        ("", ["is empty"]),
    ],
)
def test_a_fault_in_the_form_of_a_table_is_said(text: str, said: list[str], tmp_path: Path) -> None:
    path = tmp_path / "values.csv"
    path.write_text(text)
    table = committed.Table.read(path)
    found = [*table.faults, *table.of_columns([{"a": "1", "b": "2"}])]
    assert found == [f"{path}: {each}" for each in said]


@pytest.mark.parametrize(
    ("old", "said"),
    [
        (["## title", "| x | 0.2501 (3 of 3 seeds) |"], None),
        (["## title", "| x | 0.2511 (3 of 3 seeds) |"], "says '| x | 0.2511"),
        (["## title", "| x | 0.25 (2 of 3 seeds) |"], "says '| x | 0.25 (2"),
        (["## title", "| y | 0.25 (3 of 3 seeds) |"], "says '| y"),
        (["## title"], "its section in claims.md has 1 line, and 2 by the runs"),
        ([], "its section in claims.md has 0 lines, and 2 by the runs"),
    ],
)
def test_a_difference_of_a_section_is_said(old: list[str], said: str | None) -> None:
    claims = committed.Claims(Path("claims.md"))
    new = ["\n## title\n", "| x | 0.25 (3 of 3 seeds) |"]
    found = list(claims.of_lines("figure-1", old, new))
    assert [said in each for each in found] == [True] if said else found == []


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("0.05197 of 20 seeds", "0.05196 of 20 seeds", True),
        ("0.05197 of 20 seeds", "0.05199 of 20 seeds", False),
        ("0.052", "0.05201", True),  # as 0.05200
        ("0.052", "0.053", False),
        ("0.9999", "1", True),
        ("0.9998", "1", False),
        ("999.9", "1000", True),
        ("1.234e-05", "1.235e-05", True),
        ("1.234e-05", "1.236e-05", False),
        ("-0.5", "-0.5001", True),
        ("-0.5", "0.5", False),
        ("0", "1e-09", False),
        ("9 of 20 seeds", "10 of 20 seeds", False),
        ("1000 rounds", "1001 rounds", False),
        ("divergence", "1.2", False),
    ],
)
def test_counts_are_exact_and_measurements_are_rounded(one: str, other: str, same: bool) -> None:
    assert committed.reads_as(one, other) is same
