"""Reads the pages of docs/."""

from __future__ import annotations

import re

from tests.support.launching import REPOSITORY

_FENCED = re.compile(r"^```\w+\n# (file|output): (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TAG = re.compile(r"# (file|output): (.+)\n")
_BACKTICKED = re.compile(r"`([^`\n]+)`")


def text(page: str) -> str:
    """Return the text of a page of docs/."""
    return (REPOSITORY / "docs" / page).read_text()


def complete_blocks(page: str) -> dict[str, str]:
    """Return the code blocks that begin with `# file: NAME`, by that name, without this line."""
    return _blocks(page, "file")


def outputs(page: str) -> dict[str, str]:
    """Return the blocks that begin with `# output: NAME`: what the block of this name prints."""
    return _blocks(page, "output")


def _blocks(page: str, what: str) -> dict[str, str]:
    found = [(name, content) for kind, name, content in _FENCED.findall(text(page)) if kind == what]
    assert len({name for name, _ in found}) == len(found), f"{page}: a file is given twice"
    return dict(found)


def steps(page: str) -> list[tuple[str, str]]:
    """Return what a reader of a tutorial does, in the order of the page: pairs of what and with what.

    ("file NAME", content), ("output OF", lines), or ("do", a line of the shell) for each line of a `sh` block.
    """
    found = []
    for language, content in _BLOCK.findall(text(page)):
        tag = _TAG.match(content)
        if tag:
            found.append((f"{tag[1]} {tag[2]}", content[tag.end() :]))
        elif language == "sh":
            found += [("do", line) for line in content.splitlines()]
    return found


def code_spans(page: str) -> list[str]:
    """Return what stands in backticks in the running text of a page."""
    return _BACKTICKED.findall(re.sub(r"^```.*?^```$", "", text(page), flags=re.MULTILINE | re.DOTALL))
