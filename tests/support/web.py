"""A web server on this machine, which behaves as well or as badly as a test wants."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar


@dataclass
class Page:
    """A file on the server, and how it is answered.

    Attributes:
        changed: the time of last change, in seconds since 1970; None: it is not told.
        ranges: whether the server sends parts.
        broken_after: the bytes after which the answers break off, one for each request; the following are whole.
        status, headers: in place of the usual ones; None: not sent.
        before_rest: called when half of the content is sent.
    """

    content: bytes = b""
    changed: float | None = 1e9
    ranges: bool = True
    broken_after: list[int] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str | None] = field(default_factory=dict)
    before_rest: Callable[[], object] = bool


@dataclass
class Web:
    """A server that runs.

    Attributes:
        pages: by their path.
        asked: the path and the range of each request; None for the whole.
    """

    url: str
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@contextmanager
def serving(certificate: Path | None = None) -> Iterator[Web]:
    """Run a server; with a certificate (and its key in the same file) over HTTPS."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    scheme = "http"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    _Handler.webs[server] = web = Web(f"{scheme}://127.0.0.1:{server.server_port}")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        del _Handler.webs[server]


class _Handler(SimpleHTTPRequestHandler):
    webs: ClassVar[dict[object, Web]] = {}

    def send_head(self) -> None:
        web, asked = self.webs[self.server], self.headers["Range"]
        web.asked.append((self.path, asked))
        page = web.pages.get(self.path, Page(status=404))
        changed = None if page.changed is None else formatdate(page.changed, usegmt=True)
        start, status = 0, page.status
        if asked and page.ranges and self.headers["If-Range"] in (None, changed):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            status = 206 if start < len(page.content) else 416
        rest = page.content[start:]
        part = f"bytes {start}-{len(page.content) - 1}/{len(page.content)}" if status == 206 else None
        usual = {"Content-Length": str(len(rest)), "Last-Modified": changed, "Content-Range": part}
        self.send_response(status)
        for name, value in {**usual, **page.headers}.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        if page.broken_after:
            rest = rest[: page.broken_after.pop(0)]
        half = len(rest) // 2
        self.wfile.write(rest[:half])
        page.before_rest()
        self.wfile.write(rest[half:])

    def log_message(self, format: str, *args: object) -> None:
        pass
