"""Breaks the code in every way of the list, one at a time, and reports whether the named tests notice.

    python -m tests.breaks.run [--only GLOB]... [--tier TIER]... [--sound] [--keep]

Everything happens in a copy of the tracked files. A break is caught if pytest ends with the code 1, that is, if a test
failed or its fixture did, or if pytest itself was ended. A test that cannot be collected, or of which there is none,
has caught nothing.
"""

from __future__ import annotations

import argparse
import compileall
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from py_compile import PycInvalidationMode
from time import perf_counter

from tests.breaks.catalogue import ROOT, TIERS, Break, load
from tests.support.elsewhere import environment_of

RESULTS = Path(__file__).with_name("RESULTS.md")
_HEAD = ("id", "tier", "what is broken", "verdict", "caught by", "seconds", "commit")
_SECONDS = 1800  # for the tests of one break; they have limits of their own
_FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - (.*))?$", re.MULTILINE)


@dataclass(frozen=True)
class Result:
    """What came of a break.

    Attributes:
        verdict: `caught`, `NOT CAUGHT`, `unseen` (as the list says), or why there is none.
        by: the test that failed; '' if none did.
        why: what it said, in one line.
    """

    verdict: str
    by: str = ""
    why: str = ""
    seconds: float = 0.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.breaks.run", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--only", action="append", metavar="GLOB", help="breaks with such an id; repeatable")
    parser.add_argument("--tier", action="append", choices=TIERS, help="breaks that this tier catches; repeatable")
    parser.add_argument("--sound", action="store_true", help="run the tests of each break without it, too: they pass")
    parser.add_argument("--keep", action="store_true", help=f"leave {RESULTS.name} as it is")
    options = parser.parse_args()
    breaks = [
        each
        for each in load()
        if any(fnmatch(each.id, only) for only in options.only or ["*"]) and each.tier in (options.tier or TIERS)
    ]
    results = carried_out(breaks, options.sound, write=not options.keep)
    wrong = [name for name, result in results.items() if result.verdict not in ("caught", "unseen")]
    print(f"{len(results)} breaks, {len(wrong)} not as they should be{': ' if wrong else ''}{', '.join(wrong)}")
    return bool(wrong)


def carried_out(breaks: Sequence[Break], sound: bool, write: bool) -> dict[str, Result]:
    """Return the result of each; write the table after each, so that none is lost where a long session ends."""
    results: dict[str, Result] = {}
    failing: dict[tuple[str, ...], str] = {}
    commit = _commit()
    with tempfile.TemporaryDirectory(prefix="breaks-") as folder:
        copy = copied(Path(folder) / "mpirobust")
        for each in breaks:
            if sound and each.tests not in failing:
                code, said = _pytest(copy, each)
                failing[each.tests] = "\n".join(said.splitlines()[-3:]) if code else ""
            without = failing.get(each.tests)
            result = Result("its tests fail without it", why=without) if without else tried(each, copy)
            results[each.id] = result
            print(f"{result.verdict:12} {each.id:36} {result.seconds:6.0f} s  {result.by} {result.why}", flush=True)
            if write:
                _write(results, commit)
    return results


def copied(folder: Path) -> Path:
    """Copy the tracked files, as they are here, into a new folder, and compile them."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    # By their hash: a break may leave a file as long and, within the resolution of the clock, as old as it was.
    compileall.compile_dir(folder, quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
    return folder


def tried(each: Break, copy: Path) -> Result:
    """Break the copy, run the tests, mend the copy."""
    file, broken = copy / each.file, each.applied(copy)
    if broken is None:
        return Result("text not found")
    whole = file.read_text()
    began = perf_counter()
    try:
        file.write_text(broken)  # in place, which leaves the mode of a script
        code, said = _pytest(copy, each)
    except subprocess.TimeoutExpired:
        return Result("no end", seconds=perf_counter() - began)
    finally:
        file.write_text(whole)
    seconds = perf_counter() - began
    if code == 0:
        return Result("unseen" if each.unseen else "NOT CAUGHT", seconds=seconds)
    found = _FAILED.search(said)
    by, why = (found[1], found[2] or "") if found else ("", (said.splitlines() or [""])[-1])
    if code not in range(6):  # of pytest: what was broken has ended it
        return Result("caught", f"pytest itself, ended with {code}", why, seconds)
    if code == 1 and "::" in by:
        return Result("caught", by, why, seconds)
    return Result(
        "not collected" if found else f"pytest: {code}", by, why, seconds
    )  # -x makes 1 of a failed collection


def _pytest(copy: Path, each: Break) -> tuple[int, str]:
    """Run the tests of a break in the copy up to the first that fails; return pytest's code and what it said."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "--tb=short",
        "-m",
        each.tier,
        *each.tests,
    ]
    environment = {**environment_of(copy), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "250"}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=_SECONDS)
    return done.returncode, done.stdout + done.stderr


def _write(results: dict[str, Result], commit: str) -> None:
    """Write the table: new rows for these breaks, and the rows of the others as they were."""
    rows = _rows_before() | {
        each.id: (
            each.tier,
            each.breaks,
            f"unseen: {each.unseen}" if results[each.id].verdict == "unseen" else results[each.id].verdict,
            f"`{results[each.id].by}`" if results[each.id].by else "",
            f"{results[each.id].seconds:.0f}",
            commit,
        )
        for each in load()
        if each.id in results
    }
    kept = [(each.id, *(cell.replace("|", "\\|") for cell in rows[each.id])) for each in load() if each.id in rows]
    lines = ["# Deliberate breaks", "", "Written by `python -m tests.breaks.run` (`make breaks`).", ""]
    for tier in TIERS:
        verdicts = [rows[each.id][2] if each.id in rows else "not run" for each in load() if each.tier == tier]
        counts = Counter(verdict.partition(":")[0] for verdict in verdicts)
        lines.append(f"- {tier}, {len(verdicts)}: " + ", ".join(f"{n} {verdict}" for verdict, n in counts.items()))
    lines += ["", *(f"| {' | '.join(row)} |" for row in (_HEAD, ["---"] * len(_HEAD), *kept))]
    RESULTS.write_text("\n".join(lines) + "\n")


def _rows_before() -> dict[str, tuple[str, ...]]:
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    cells = [re.split(r" (?<!\\)\| ", line[2:-2]) for line in lines if line.startswith("| ")]
    return {row[0]: tuple(cell.replace("\\|", "|") for cell in row[1:]) for row in cells if len(row) == len(_HEAD)}


def _commit() -> str:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return commit.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
