"""One file over HTTP, by pooch: what broke off is continued, and a failure is one reason."""

from __future__ import annotations

import os
import re
import ssl
from contextlib import suppress
from email.utils import formatdate, parsedate_to_datetime
from typing import TYPE_CHECKING, BinaryIO

from mpirobust.errors import SetupFault
from mpirobust.meter import Meter

if TYPE_CHECKING:
    from requests import Response

_PATIENCE = (10.0, 60.0)  # seconds, to be connected and for the next bytes
_TRIES = 5  # one that brings nothing is the last
_PIECE = 2**16  # bytes


class Unreachable(Exception):
    """The file does not come; the message is the reason."""


def download(url: str, content: BinaryIO) -> None:
    """Append what is missing of the file at `url` to `content`, which is open for appending.

    Raises:
        Unreachable: it does not come, or not whole; a further call continues.
        OSError: it cannot be written.
        SetupFault: pooch is not installed.
    """
    for tries_left in reversed(range(_TRIES)):
        before = content.tell()
        try:
            _Transfer(url, content).run()
            break
        except Unreachable:
            if not tries_left or content.tell() == before:
                raise


def start_anew(content: BinaryIO) -> None:
    """Drop what there is of a file."""
    content.truncate(0)
    content.seek(0)


class _Transfer:
    """One request for a file, or for the rest of it; also the progress bar that pooch is given.

    The file here gets the time of last change of the file there. A server sends the rest only if its file has this
    time still (`If-Range`), and otherwise the whole.
    """

    total = 0  # bytes of the answer; pooch sets it

    def __init__(self, url: str, content: BinaryIO) -> None:
        self._url = url
        self._content = content
        self._have = content.tell()
        self._changed: float | None = None  # seconds since 1970; None before there is an answer
        self._meter: Meter | None = None

    def run(self) -> None:
        try:
            from pooch import HTTPDownloader
            from requests import RequestException
        except ImportError as error:
            raise SetupFault("downloads need pooch: pip install pooch") from error

        rest = {"Range": f"bytes={self._have}-", "If-Range": _http_date(self._content)} if self._have else {}
        load = HTTPDownloader(
            progressbar=self,
            chunk_size=_PIECE,
            headers={"Accept-Encoding": "identity", **rest},
            hooks={"response": self._answered},
            timeout=_PATIENCE,
        )
        try:
            load(self._url, self._content, None)
        except (RequestException, ValueError) as error:  # ValueError: of headers that make no sense
            raise Unreachable(_reason(error)) from error
        finally:
            self._end()
        if (missing := self._have + self.total - self._content.tell()) > 0:  # urllib3 before 2 takes it for the end
            raise Unreachable(f"broken off, {missing:,} bytes are missing")

    def _answered(self, response: Response, **_: object) -> None:
        """Look at an answer of the server before its content is read."""
        if response.status_code == 416:  # nothing is missing, or the file there is a shorter one
            start_anew(self._content)
        if response.status_code not in (200, 206):  # a redirection; or a refusal, which pooch raises
            return
        response.raw.headers.pop("Content-Encoding", None)  # a packed file is kept as it is
        start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        continued = response.status_code == 206 and start is not None and int(start[1]) == self._have
        if not continued:
            start_anew(self._content)
            self._have = 0
        if response.status_code == 206 and not continued:
            response.close()
            raise Unreachable("the server sends another part of the file than the one that is missing")
        self._changed = 0.0
        with suppress(KeyError, TypeError, ValueError):
            self._changed = parsedate_to_datetime(response.headers["Last-Modified"]).timestamp()

    def update(self, _: int) -> None:
        if self._meter is None:
            self._meter = Meter(f"fetching {self._url}", self._have + self.total if self.total else 0)
        self._meter.at(self._content.tell())

    def reset(self) -> None:
        pass

    def close(self) -> None:
        pass

    def _end(self) -> None:
        if self._meter is not None:
            self._meter.close()
        self._content.flush()
        if self._changed is not None:
            os.utime(self._content.fileno(), (self._changed, self._changed))


def _http_date(content: BinaryIO) -> str:
    return formatdate(os.fstat(content.fileno()).st_mtime, usegmt=True)


def _reason(error: Exception) -> str:
    """Return why a request failed, in a line."""
    from requests import exceptions as kinds

    cause: BaseException = error
    while inner := cause.__cause__ or cause.__context__:
        cause = inner
    why = getattr(cause, "strerror", None) or str(cause).partition("\n")[0]
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"the certificate is not accepted ({cause.verify_message}); $REQUESTS_CA_BUNDLE names other authorities"
    if isinstance(error, kinds.HTTPError) and error.response is not None:
        return f"{error.response.status_code} {error.response.reason}"
    if isinstance(error, kinds.ProxyError):
        return f"the proxy does not answer ({why})"
    if isinstance(error, kinds.ChunkedEncodingError):
        return f"broken off ({why})"
    if isinstance(error, kinds.Timeout):
        return "no answer in time"
    if isinstance(error, kinds.ConnectionError):
        return f"no connection ({why})"
    return str(error).partition("\n")[0]
