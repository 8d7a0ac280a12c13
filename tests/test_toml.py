"""What users write: one message and code 2 for what is no plan, in every file that is one, and in `--set`."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from mpirobust import catalog
from mpirobust.errors import Exit, PlanFault
from mpirobust.testing.examples import EXAMPLES, ROOMS
from tests.support.alone import command_alone
from tests.support.small_studies import PLAN

_MANY = 3000

# Bytes of a file, and what is said of it.
_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "missing"),
    "binary": (bytes(range(256)), "not TOML"),
    "latin-1": ("# Müller\n".encode("latin-1"), "line 1 is not UTF-8: byte 0xfc"),
    "latin-1-below": (f"# ok\r\n\r\n# é\r\n{PLAN}".encode("cp1252"), "line 3 is not UTF-8: byte 0xe9"),
    "utf-16-without-mark": (PLAN.encode("utf-16-le"), "not TOML"),
    "utf-16-cut": (codecs.BOM_UTF16_LE + b"a", "line 1 is not UTF-16-LE: byte 0x61"),
    "utf-32": (PLAN.encode("utf-32"), "not TOML"),
    "old-mac": (PLAN.replace("\n", "\r").encode(), "not TOML"),
    "large": (b"#" * (2**20 + 1), "larger than 1 MiB"),
    "json": (b'{"seed": 1}', "not TOML"),
    "dotted": (b"a." * _MANY + b"b = 1", "a key has at most 16 parts"),
    "dotted-table": (b"[data" + b".a" * _MANY + b"]\nb = 1", "a key has at most 16 parts"),
    "dotted-twice": (b"[data]\nx" + b".a" * _MANY + b" = 1", "a key has at most 16 parts"),
    "nested-arrays": (b"seed = " + b"[" * _MANY, "not TOML"),
    "nested-tables": (b"seed = " + b"{a=" * _MANY, "not TOML"),
    "deep-but-parsed": (b"seed = " + b"{a=" * 20 + b"1" + b"}" * 20, "a key has at most 16 parts"),
    "decimal": (b"seed = 1" + b"0" * 400, "seed: a whole number of TOML has 64 bits"),
    "decimal-too-long": (b"seed = 1" + b"0" * 5000, "not TOML"),
    "hexadecimal": (b"seed = 0x" + b"f" * 400_000, "seed: a whole number of TOML has 64 bits"),
    "negative": (b"seed = -9223372036854775809", "seed: a whole number of TOML has 64 bits"),
    "in-array": (b"seed = [[1], [9223372036854775808]]", "seed[2][1]: a whole number of TOML has 64 bits"),
    "in-tables": (b"[[a]]\nb = 1\n[[a]]\nb = 9223372036854775808", "a[2].b: a whole number of TOML has 64 bits"),
    "long-key": (b"k" * 10**6 + b" = 1", "unknown key"),
    "nul": (b"seed = 1\0", "not TOML"),
}


@pytest.mark.parametrize("command", ["check", "matrix"])
@pytest.mark.parametrize("name", _FILES)
def test_a_file_that_is_no_plan(name: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, reason = _FILES[name]
    (tmp_path / "a.toml").write_bytes(content)
    _expect_refused(capsys, reason, command, str(tmp_path / "a.toml"))


def test_a_family_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("latin-1", "dotted", "decimal"):
        content, reason = _FILES[name]
        (tmp_path / "figure-1.toml").write_bytes(content)
        _expect_refused(capsys, reason, "figures", str(tmp_path))


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (".", "cannot be read: Is a directory"),
        ("absent", "no such plan"),
        ("/dev/zero", "cannot be read: not a regular file"),
        ("/dev/null", "cannot be read: not a regular file"),
        ("/dev/null/in", "cannot be read: Not a directory"),
        ("x" * 300, "cannot be read: File name too long"),
    ],
)
def test_a_path_that_leads_to_no_plan(path: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    _expect_refused(capsys, reason, "check", path)


# Assignments to a key of a good plan, and what is said of them.
_ASSIGNMENTS = {
    "algorithm.rounds=1" + "0" * 400: "algorithm.rounds: a whole number of TOML has 64 bits",
    "algorithm.rounds=0x" + "f" * 5000: "algorithm.rounds: a whole number of TOML has 64 bits",
    "algorithm.rounds=1" + "0" * 5000: "algorithm.rounds: expected a whole number",
    "algorithm.rounds=1000000001": "at most 1000000000, not 1000000001",
    "checkpoint.every=1000000000000": "checkpoint.every: expected a whole number",
    "audit.every=1000000000000": "audit.every: expected a whole number",
    "data." + "a." * _MANY + "b=1": "a key has at most 16 parts",
    "algorithm.step=" + "[" * _MANY: "algorithm.step: expected a finite number",
    "algorithm.step=" + "{a=" * 20 + "1" + "}" * 20: "a key has at most 16 parts",
    "data.path=\udcff.svm": r"--set data.path=\xff.svm: not UTF-8",
    "\udcff=1": r"--set \xff=1: not UTF-8",
    "algorithm.st\x1bep=1": r"algorithm.st\x1bep: unknown key",
    "algorithm.step=1979-05-27": "algorithm.step: expected a finite number",
    "algorithm.step=": "algorithm.step: expected a finite number",
    "attack.kind=none": "unknown kind 'none'; for honest workers leave out [attack], or set alpha to 0; choose one of",
    "attack=none": "attack: for honest workers leave out [attack], or set alpha to 0",
    "compressor.kind=none": "'identity' sends vectors as they are",
    "aggregator.kind=" + "k" * 10**6: "unknown kind 'kkk",
    "=1": "expected key=value",
    "seed": "expected key=value",
    "a..b=1": "expected key=value",
    "seed=1\n2": "expected one line",
}


@pytest.mark.parametrize("assignment", _ASSIGNMENTS, ids=lambda text: text[:24].encode("unicode_escape").decode())
def test_an_assignment_that_is_none(assignment: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plan.toml").write_text(PLAN)
    _expect_refused(capsys, _ASSIGNMENTS[assignment], "check", str(tmp_path / "plan.toml"), "--set", assignment)


def _expect_refused(capsys: pytest.CaptureFixture[str], reason: str, *command: str) -> None:
    code = command_alone(*command)
    said = capsys.readouterr()
    assert (code, said.out) == (Exit.SETUP, "")
    assert said.err.startswith("mpirobust: ")
    assert said.err.count("\n") == 1
    assert reason in said.err
    assert len(said.err) < 11_000


@pytest.mark.parametrize(
    "content",
    [
        codecs.BOM_UTF8 + PLAN.encode(),
        PLAN.encode("utf-16"),
        codecs.BOM_UTF16_BE + PLAN.encode("utf-16-be"),
        PLAN.replace("\n", "\r\n").encode(),
        codecs.BOM_UTF16_LE + PLAN.replace("\n", "\r\n").encode("utf-16-le"),
        PLAN.replace("rounds = 12", "rounds = 0xC").encode(),
        f"# Müller ∇\n{PLAN}".encode(),
    ],
    ids=["mark", "utf-16", "utf-16-be", "crlf", "powershell", "hexadecimal", "letters"],
)
def test_a_plan_as_editors_write_it(content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plan.toml").write_bytes(content)
    assert command_alone("check", str(tmp_path / "plan.toml")) == Exit.OK
    assert "rounds      12" in capsys.readouterr().out


def _whole_numbers() -> Iterator[tuple[str, str, str]]:
    """Yield room, kind and key of all fields that hold whole numbers."""
    for room, kinds in EXAMPLES.items():
        for kind in kinds:
            cls = catalog.load(ROOMS[room], kind, room)
            for each in fields(cls) if not catalog.missing_package(cls) else ():
                if "int" in str(each.type) or "Count" in str(each.type):
                    yield room, kind, each.name


@pytest.mark.parametrize(("room", "kind", "key"), [*_whole_numbers()])
def test_every_whole_number_has_an_upper_bound(room: str, kind: str, key: str) -> None:
    for value in (2**62, [2**62]):
        with pytest.raises(PlanFault, match=key):
            catalog.build(ROOMS[room], {**EXAMPLES[room][kind][0], "kind": kind, key: value}, room)
