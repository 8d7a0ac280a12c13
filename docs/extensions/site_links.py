"""Links of the site: those that lead out of docs/, and a check of the finished pages.

On GitHub a page may link to any file of the repository. The site has a page of some of them, copies single files (MyST
does this), and names folders without a link. A link whose text is the name of a page gets the title of this page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from sphinx.util import logging

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

_log = logging.getLogger(__name__)
_PAGES = {"CHANGELOG.md": "CHANGELOG.md", "README.md": "index.md"}  # of the root, and what the site has in their place
_BY_FILE = re.compile(r"\[[A-Z]+\.md\]\((?=[\w/.]+\.md)")  # [PLANS.md](PLANS.md): on the site, the title of the page
_OUTWARDS = re.compile(r"\[([^\]]*)\]\(((?:\.\./)+)([^)#\s]*)(#[^)\s]*)?\)")


def inside(text: str, page: Path, docs: Path) -> str:
    """Return the text of a page with links as the site has them.

    Args:
        page: the file of the text, below `docs`.
    """

    def replaced(link: re.Match[str]) -> str:
        shown, up, target, anchor = link.groups()
        place = (page.parent / up / target).resolve()
        if place.parent == docs.parent and place.name in _PAGES:
            return f"[{shown}]({'../' * (len(page.relative_to(docs).parts) - 1)}{_PAGES[place.name]}{anchor or ''})"
        return shown if place.is_dir() else link[0]

    return _BY_FILE.sub(r"[](", _OUTWARDS.sub(replaced, text))


class _Page(HTMLParser):
    """The content of one page: anchors, links, and what a browser loads without being asked."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(file.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                (self.links if tag == "a" else self.loaded).append(value)


def faults(site: Path) -> Iterator[str]:
    """Yield a sentence for each link of the pages below `site` that leads nowhere, and each file from the network."""
    pages = {file: _Page(file) for file in sorted(site.rglob("*.html"))}
    for file, page in pages.items():
        where = file.relative_to(site)
        yield from (f"{where}: loads {url} from the network" for url in page.loaded if urlsplit(url).netloc)
        for url in [*page.links, *page.loaded]:
            scheme, host, path, _, anchor = urlsplit(url)
            if scheme or host:
                continue
            target = (file.parent / unquote(path)).resolve() if path else file
            if not target.is_file():
                yield f"{where}: there is no {url}"
            elif anchor and target in pages and unquote(anchor) not in pages[target].anchors:
                yield f"{where}: {url} has no such anchor"


def _replace(app: Sphinx, docname: str, source: list[str]) -> None:
    source[0] = inside(source[0], Path(app.env.doc2path(docname)), Path(app.srcdir).resolve())


def _check(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        for fault in faults(Path(app.outdir).resolve()):
            _log.warning(fault)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Replace links before pages are parsed, and check all of them when they are written."""
    app.connect("source-read", _replace)
    app.connect("build-finished", _check)
    return {"parallel_read_safe": True}
