"""The list of deliberate breaks, as `breaks.toml` has it."""

from __future__ import annotations

import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).with_name("breaks.toml")
TIERS = ("unit", "mpi", "system")


@dataclass(frozen=True, kw_only=True)
class Break:
    """One protection that is taken out.

    Attributes:
        id: a name, once in the list.
        breaks: the law or contract that no longer holds, and how.
        file: relative to the repository.
        find: text that is in the file once.
        replace: what is put in its place; the file can still be compiled.
        tests: arguments of pytest; one of these tests must fail.
        tier: of these tests.
        unseen: why no test can see it; empty if one does.
    """

    id: str
    breaks: str
    file: str
    find: str
    replace: str
    tests: tuple[str, ...]
    tier: str
    unseen: str = ""

    def applied(self, root: Path) -> str | None:
        """Return the text of the file with the break in it; None if what is to be found is not there once."""
        text = (root / self.file).read_text()
        return text.replace(self.find, self.replace) if text.count(self.find) == 1 else None


def load() -> list[Break]:
    """Return the breaks in the order of the list."""
    tables = tomllib.loads(LIST.read_text())["break"]
    return [Break(**{**table, "tests": tuple(table["tests"])}) for table in tables]


def compiles(file: str, text: str) -> bool:
    """Return whether `text` can be what is in `file`: Python, or a script of the shell."""
    if not file.endswith(".py"):
        return subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0
    try:
        compile(text, file, "exec")
    except SyntaxError:
        return False
    return True
