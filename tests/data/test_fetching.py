"""A download brings the right file, whole, or one message says how to get it; with a server on this machine."""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from unittest.mock import Mock

import pytest

from mpirobust import meter
from mpirobust.data import catalogue, transfer
from mpirobust.data.catalogue import CATALOGUE, DataSet, Remote
from mpirobust.data.fetching import fetch
from mpirobust.data.sources.base import Places
from mpirobust.errors import DataFault, SetupFault, StorageFault
from tests.support.unprivileged import unprivileged
from tests.support.web import Page, Web, serving

ROWS = b"".join(b"%d 1:0.%d 3:%d\n" % (row % 2, row, row) for row in range(20_000))
OTHERS = ROWS.replace(b"1 1:", b"0 1:")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with serving() as web:
        web.pages["/a/rows"] = Page(ROWS)
        web.pages["/b/rows"] = Page(ROWS, changed=2e9)
        yield web


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path, tmp_path / "data", tmp_path / "cache")


@pytest.fixture
def wanted(web: Web) -> DataSet:
    file = Remote("rows", len(ROWS), f"sha256:{sha256(ROWS)}")
    return DataSet("rows", "libsvm", (file,), 20_000, 0, 3, 2, "none", "here", (f"{web.url}/a", f"{web.url}/b"))


@pytest.fixture
def unknown(wanted: DataSet) -> DataSet:
    """The same without a checksum."""
    return replace(wanted, files=(Remote("rows"),), mirrors=wanted.mirrors[:1])


@pytest.fixture
def path(places: Places) -> Path:
    return places.cache.parent / "data" / "libsvm" / "rows"


def left(path: Path) -> set[str]:
    return {each.name for each in path.parent.iterdir()} if path.parent.is_dir() else set()


def test_what_is_there_is_not_fetched_again(
    wanted: DataSet, places: Places, path: Path, web: Web, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch(wanted, places) == [path]
    assert path.read_bytes() == ROWS
    assert path.stat().st_mode & 0o777 == 0o644
    assert left(path) == {"rows"}
    said = capsys.readouterr().err
    assert f"fetching {web.url}/a/rows\nwrote {path} (" in said
    assert fetch(wanted, places) == [path]
    assert len(web.asked) == 1
    assert "is there already (sha256 " in capsys.readouterr().err
    assert fetch(wanted, replace(places, data=None)) == [places.cache / "libsvm" / "rows"]
    assert fetch(wanted, Places(places.plan, places.cache, places.cache)) == [places.cache / "libsvm" / "rows"]
    assert len(web.asked) == 2


# What the first mirror does, and which requests bring the file all the same: the mirror, and from which byte.
_PIECE = 2**16  # bytes that are written at a time
_HALF = 2 * _PIECE
_ROUNDABOUT: dict[str, tuple[Page, list[str]]] = {
    "no such file": (Page(status=404), ["a", "b"]),
    "a fault of the server": (Page(status=503), ["a", "b"]),
    "another file": (Page(OTHERS), ["a", "b"]),
    "a redirection": (Page(status=302, headers={"Location": "/b/rows"}), ["a", "b"]),
    "redirections for ever": (Page(status=302, headers={"Location": "/a/rows"}), ["a"] * 31 + ["b"]),
    "broken off": (Page(ROWS, broken_after=[_HALF]), ["a", f"a{_HALF}"]),
    "broken off again and again": (
        Page(ROWS, broken_after=[_HALF, _PIECE, _PIECE]),
        ["a", f"a{_HALF}", f"a{3 * _PIECE}", f"a{4 * _PIECE}"],
    ),
    "broken off at once": (Page(ROWS, broken_after=[0] * 9), ["a", "b"]),
    "broken off without a gain": (Page(ROWS, broken_after=[_HALF, 0]), ["a", f"a{_HALF}", f"b{_HALF}"]),
    "broken off, no ranges": (Page(ROWS, ranges=False, broken_after=[_HALF]), ["a", f"a{_HALF}"]),
    "broken off, no time": (Page(ROWS, changed=None, broken_after=[_HALF]), ["a", f"a{_HALF}"]),
    "a length that is none": (Page(ROWS, headers={"Content-Length": "long"}), ["a", "b"]),
    "no length": (Page(ROWS, headers={"Content-Length": None}), ["a"]),
    "a strange time": (Page(ROWS, headers={"Last-Modified": "yesterday"}, broken_after=[_HALF]), ["a", f"a{_HALF}"]),
    "another part": (
        Page(ROWS, headers={"Content-Range": "bytes 7-9/10"}, broken_after=[_HALF]),
        ["a", f"a{_HALF}", "a"],
    ),
}


@pytest.mark.parametrize("case", _ROUNDABOUT)
def test_the_file_comes_in_the_end(case: str, wanted: DataSet, places: Places, path: Path, web: Web) -> None:
    page, requests = _ROUNDABOUT[case]
    web.pages["/a/rows"] = replace(page, broken_after=[*page.broken_after])
    fetch(wanted, places)
    assert path.read_bytes() == ROWS
    assert left(path) == {"rows"}
    starts = [re.sub(r"\D", "", part or "") for _, part in web.asked]
    assert [at[1] + start for (at, _), start in zip(web.asked, starts, strict=True)] == requests


def test_the_next_call_continues(wanted: DataSet, places: Places, path: Path, web: Web) -> None:
    web.pages["/a/rows"].broken_after = [_HALF, 0]
    web.pages["/b/rows"].status = 404
    with pytest.raises(DataFault, match=r"broken off"):
        fetch(wanted, places)
    assert left(path) == {".rows.part"}
    fetch(wanted, places)
    assert web.asked[-1] == ("/a/rows", f"bytes={_HALF}-")
    assert path.read_bytes() == ROWS
    assert left(path) == {"rows"}


def test_a_part_whose_time_is_not_told_is_never_continued(
    wanted: DataSet, places: Places, path: Path, web: Web
) -> None:
    """It must not look like one of now: the file may be made anew on the server at this moment."""
    web.pages["/a/rows"] = Page(OTHERS, changed=None, broken_after=[_HALF, _HALF])
    web.pages["/b/rows"].status = 404
    with pytest.raises(DataFault):
        fetch(wanted, places)
    assert path.with_name(".rows.part").stat().st_mtime == 0


@pytest.mark.parametrize(
    ("part", "changed"),
    [(OTHERS[:_HALF], 2e9), (OTHERS[:_HALF], 0), (2 * OTHERS, 1e9), (ROWS, 1e9)],
    ids=["it has changed there", "of an unknown time", "longer than the whole", "the whole"],
)
def test_a_part_that_does_not_fit_is_dropped(
    part: bytes, changed: float, wanted: DataSet, places: Places, path: Path
) -> None:
    path.parent.mkdir(parents=True)
    path.with_name(".rows.part").write_bytes(part)
    os.utime(path.with_name(".rows.part"), (changed, changed))
    fetch(replace(wanted, mirrors=wanted.mirrors[:1]), places)
    assert path.read_bytes() == ROWS
    assert left(path) == {"rows"}


def test_what_is_interrupted_is_kept(
    wanted: DataSet,
    places: Places,
    path: Path,
    web: Web,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(meter.Meter, "at", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fetch(wanted, places)
    assert capsys.readouterr().err.endswith("/.rows.part is kept: the same command continues\n")
    fetch(wanted, places)
    assert web.asked[-1] == ("/a/rows", "bytes=65536-")
    assert path.read_bytes() == ROWS


def test_a_slow_server_is_waited_for_and_told_of(
    wanted: DataSet, places: Places, path: Path, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is sent when the first half has been told of."""
    told, said = Event(), list[str]()

    def hear(text: str) -> None:
        said.append(text)
        told.set()

    monkeypatch.setattr(meter, "tell", hear)
    for seconds in ("_FIRST", "_EVERY"):
        monkeypatch.setattr(meter, seconds, -1.0)
    web.pages["/a/rows"].before_rest = lambda: told.wait(30)
    fetch(wanted, places)
    assert path.read_bytes() == ROWS
    assert re.fullmatch(rf"fetching {web.url}/a/rows: \d\d %", said[0])
    assert re.fullmatch(rf"fetching {web.url}/a/rows: \d+ %, \d\d:\d\d left", said[1])


def _broken_host() -> str:
    """An address where nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


# What the only mirror does, and the reason that is given.
_REFUSED: dict[str, tuple[Page, str]] = {
    "no such file": (Page(status=404), "404 Not Found"),
    "broken off": (Page(ROWS, broken_after=[9] * 9), "broken off.*"),
    "another file": (Page(OTHERS), r"another file than expected \(sha256 \w{16}, expected sha256 \w{16}\)"),
    "a page": (Page(b"<!DOCTYPE html>\n<html>"), "another file than expected .*"),
    "redirections for ever": (Page(status=302, headers={"Location": "/a/rows"}), "Exceeded 30 redirects."),
    "an answer that is none": (Page(status=302, headers={"Location": "gopher://x/"}), "No connection adapters were .*"),
}


@pytest.mark.parametrize("case", _REFUSED)
def test_what_does_not_come_is_one_message_with_a_way_out(
    case: str, wanted: DataSet, places: Places, path: Path, web: Web
) -> None:
    page, reason = _REFUSED[case]
    web.pages["/a/rows"] = replace(page, broken_after=[*page.broken_after])
    wanted = replace(wanted, mirrors=wanted.mirrors[:1])
    with pytest.raises(DataFault) as caught:
        fetch(wanted, places)
    url = f"{web.url}/a/rows"
    [what, why, *way_out] = str(caught.value).splitlines()
    assert what == "rows cannot be fetched"
    assert re.fullmatch(f"  {url}: {reason}", why)
    assert way_out == [
        "Without network, copy by hand",
        f"  {url}",
        f"    to {path}",
        "and give this command again: it checks them.",
    ]
    assert left(path) <= {".rows.part"}
    assert case == "broken off" or not left(path)


def test_without_a_network_all_files_are_named(wanted: DataSet, places: Places, path: Path) -> None:
    host = _broken_host()
    files = (*wanted.files, Remote("rows.t"))
    with pytest.raises(DataFault) as caught:
        fetch(replace(wanted, files=files, mirrors=(host, f"{host}/other")), places)
    said = str(caught.value)
    assert said.count("no connection (Connection refused)") == 2
    for name in ("rows", "rows.t"):
        assert f"  {host}/{name}\n    to {path.with_name(name)}\n" in said


def test_no_answer_in_time(wanted: DataSet, places: Places, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    end = Event()
    monkeypatch.setattr(transfer, "_PATIENCE", (10.0, 0.05))
    web.pages["/a/rows"] = Page(ROWS, before_rest=lambda: end.wait(5))
    try:
        with pytest.raises(DataFault, match=r"a/rows: no (answer in time|connection \(.*timed out\))"):
            fetch(replace(wanted, mirrors=wanted.mirrors[:1]), places)
    finally:
        end.set()


@pytest.mark.parametrize("excluded", [False, True])
def test_the_proxy_of_the_environment_is_asked(
    excluded: bool, wanted: DataSet, places: Places, path: Path, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", web.url)
    monkeypatch.setenv("no_proxy", "data.invalid" if excluded else "localhost")
    web.pages["http://data.invalid/rows"] = Page(ROWS)
    wanted = replace(wanted, mirrors=("http://data.invalid",))
    if excluded:
        with pytest.raises(DataFault, match="no connection"):
            fetch(wanted, places)
        assert not web.asked
    else:
        fetch(wanted, places)
        assert path.read_bytes() == ROWS


def test_a_proxy_that_is_not_there(wanted: DataSet, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", _broken_host())
    wanted = replace(wanted, mirrors=("http://data.invalid",))
    with pytest.raises(DataFault, match=r"/rows: the proxy does not answer \(Connection refused\)\n"):
        fetch(wanted, places)


def test_a_certificate_that_nobody_vouches_for(
    wanted: DataSet, places: Places, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=x"
    both = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "certificate.pem"]
    try:
        subprocess.run([*made.split(), *both], cwd=tmp_path, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl to make a certificate with")
    certificate = tmp_path / "certificate.pem"
    with (tmp_path / "both.pem").open("wb") as file:
        file.write(certificate.read_bytes() + (tmp_path / "key.pem").read_bytes())
    with serving(tmp_path / "both.pem") as sealed:
        sealed.pages["/rows"] = Page(ROWS)
        wanted = replace(wanted, mirrors=(sealed.url,))
        with pytest.raises(DataFault, match=r"the certificate is not accepted \(self.signed certificate\); ") as caught:
            fetch(wanted, places)
        assert "$REQUESTS_CA_BUNDLE names other authorities" in str(caught.value)
        assert not path.exists()
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        fetch(wanted, places)
    assert path.read_bytes() == ROWS


def test_a_packed_file_stays_as_it_is(unknown: DataSet, places: Places, path: Path, web: Web) -> None:
    """Some servers say of a .gz that its content is packed; clients then unpack it."""
    packed = gzip.compress(ROWS)
    web.pages["/a/rows"] = Page(packed, headers={"Content-Encoding": "gzip"})
    fetch(unknown, places)
    assert path.read_bytes() == packed


def test_a_wrong_file_is_not_overwritten_silently(wanted: DataSet, places: Places, path: Path, web: Web) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(OTHERS)
    with pytest.raises(DataFault, match=rf"^{path} is not the right file \(sha256 .*\); --overwrite replaces it$"):
        fetch(wanted, places)
    assert path.read_bytes() == OTHERS
    assert not web.asked
    with pytest.raises(DataFault, match=f"\n    to {path}\n"):
        fetch(replace(wanted, mirrors=(f"{web.url}/none",)), places, overwrite=True)
    assert path.read_bytes() == OTHERS
    fetch(wanted, places, overwrite=True)
    assert path.read_bytes() == ROWS
    fetch(wanted, places, overwrite=True)
    assert len(web.asked) == 2


@pytest.mark.parametrize("there", ["folder", "pipe"])
def test_what_is_no_file_is_named(there: str, wanted: DataSet, places: Places, path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.mkdir() if there == "folder" else os.mkfifo(path)
    with pytest.raises(DataFault, match=f"^{path}: cannot be read"):
        fetch(wanted, places)


class TestTrustOnFirstUse:
    def test_the_first_checksum_is_kept_as_sha256sum_does(
        self, unknown: DataSet, places: Places, path: Path, web: Web, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fetch(unknown, places)
        assert path.with_name("rows.sha256").read_text() == f"{sha256(ROWS)}  rows\n"
        assert "the catalogue has no checksum: trusted" in capsys.readouterr().err
        fetch(unknown, places)
        assert "as when it was first seen" in capsys.readouterr().err
        assert len(web.asked) == 1

    def test_a_file_that_changes_here_is_noticed(self, unknown: DataSet, places: Places, path: Path) -> None:
        fetch(unknown, places)
        path.write_bytes(OTHERS)
        with pytest.raises(DataFault, match="is not the right file"):
            fetch(unknown, places)
        fetch(unknown, places, overwrite=True)
        assert path.read_bytes() == ROWS

    def test_a_file_that_changes_there_is_noticed(self, unknown: DataSet, places: Places, path: Path, web: Web) -> None:
        fetch(unknown, places)
        path.unlink()
        web.pages["/a/rows"] = Page(OTHERS)
        with pytest.raises(DataFault, match="another file than expected"):
            fetch(unknown, places)
        path.with_name("rows.sha256").unlink()
        fetch(unknown, places)
        assert path.read_bytes() == OTHERS

    def test_a_file_that_a_user_has_put_there(self, unknown: DataSet, places: Places, path: Path, web: Web) -> None:
        path.parent.mkdir(parents=True)
        path.write_bytes(ROWS)
        fetch(unknown, places)
        assert not web.asked
        assert path.with_name("rows.sha256").read_text().startswith(sha256(ROWS))

    def test_a_page_in_place_of_the_file_is_not_trusted(
        self, unknown: DataSet, places: Places, path: Path, web: Web
    ) -> None:
        web.pages["/a/rows"] = Page(b"<!DOCTYPE html>\n<html><body>Log in, 1 of 2</body></html>\n")
        with pytest.raises(DataFault, match="no kind of data file"):
            fetch(unknown, places)
        web.pages["/a/rows"] = Page(b"1,2\n3,4\n")
        with pytest.raises(DataFault, match="not a file of the kind libsvm, but csv"):
            fetch(unknown, places)
        assert not left(path)

    def test_a_record_that_is_none_is_named(self, unknown: DataSet, places: Places, path: Path) -> None:
        path.parent.mkdir(parents=True)
        path.with_name("rows.sha256").write_text("abc")
        with pytest.raises(DataFault, match=r"rows.sha256: not a SHA-256; remove the file"):
            fetch(unknown, places)


def test_a_folder_that_cannot_be_written_to_is_named_before_anything_is_fetched(
    wanted: DataSet, unknown: DataSet, places: Places, path: Path, web: Web
) -> None:
    path.parent.mkdir(parents=True)
    path.parent.chmod(0o555)
    with unprivileged(), pytest.raises(StorageFault, match=rf"{path.parent}.*; \$MPIROBUST_DATA names another folder"):
        fetch(wanted, places)
    assert not web.asked
    path.parent.chmod(0o755)
    path.write_bytes(ROWS)
    path.parent.chmod(0o555)
    with unprivileged():
        assert fetch(wanted, places) == fetch(unknown, places) == [path]
    assert left(path) == {"rows"}


def test_two_downloads_of_one_file_do_not_meet(wanted: DataSet, places: Places, path: Path, web: Web) -> None:
    path.parent.mkdir(parents=True)
    with path.with_name(".rows.part").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(StorageFault, match=r"\.rows\.part: another process is downloading it"):
            fetch(wanted, places)
    assert not web.asked


def test_a_mirror_of_the_user_is_tried_first(wanted: DataSet, places: Places, web: Web) -> None:
    web.pages["/mine/rows"] = Page(ROWS)
    fetch(wanted, places, mirror=f"{web.url}/mine/")
    assert [at for at, _ in web.asked] == ["/mine/rows"]


@pytest.mark.parametrize(
    "mirror",
    ["nonsense", "/a/folder", "http://", "ftp://127.0.0.1/x", "http://[::1", "http://.", "http://127.0.0.1:99999"],
)
def test_an_address_that_is_none_is_a_reason(mirror: str, wanted: DataSet, places: Places, path: Path) -> None:
    fetch(wanted, places, mirror)
    path.unlink()
    with pytest.raises(DataFault, match=re.escape(f"  {mirror.rstrip('/')}/rows: ")):
        fetch(replace(wanted, mirrors=("nowhere",)), places, mirror)


def test_pooch_is_asked_for_where_it_is_needed(
    wanted: DataSet, places: Places, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(SetupFault, match="downloads need pooch: pip install pooch"):
        fetch(wanted, places)
    path.write_bytes(ROWS)
    assert fetch(wanted, places) == [path]


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_catalogue_is_sound(name: str) -> None:
    each = CATALOGUE[name]
    assert each.name == name
    assert each.files
    assert each.mirrors
    for file in each.files:
        assert re.fullmatch(r"(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})?", file.checksum)
        assert catalogue.with_file(f"{each.folder}/{file.name}") == name
    for mirror in each.mirrors:
        assert mirror.startswith("https://") or all(file.checksum for file in each.files)
        assert not mirror.endswith("/")
