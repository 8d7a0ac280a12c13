"""A run with status `running` may be alive, killed, or out of sight."""

from __future__ import annotations

import errno
import fcntl
import os
import platform
from collections.abc import Callable
from pathlib import Path

import pytest

from mpirobust.records.layout import LOCK
from mpirobust.records.run_folder import lock
from mpirobust.records.writer import Writer, shares_locks, writer_of

HERE, ELSEWHERE = platform.node(), "another-host"


def free(folder: Path) -> None:
    (folder / LOCK).touch()


def link(folder: Path) -> None:
    (folder / "precious").touch()
    (folder / LOCK).symlink_to("precious")


@pytest.mark.parametrize(
    ("lay", "host", "writer"),
    [
        (free, HERE, Writer.GONE),
        (free, ELSEWHERE, Writer.UNKNOWN),
        (free, "", Writer.UNKNOWN),  # a run whose hosts are not recorded
        (lambda _: None, HERE, Writer.UNKNOWN),  # copied without its lock
        (link, HERE, Writer.UNKNOWN),
    ],
)
def test_what_no_process_of_this_host_holds(
    lay: Callable[[Path], None], host: str, writer: Writer, tmp_path: Path
) -> None:
    lay(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert writer_of(tmp_path, host) is writer
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("host", [HERE, ELSEWHERE])
def test_what_a_process_holds_is_alive(host: str, tmp_path: Path) -> None:
    with lock(tmp_path):
        assert writer_of(tmp_path, host) is Writer.ALIVE
    assert (writer_of(tmp_path, host) is Writer.ALIVE) is False
    lock(tmp_path).close()  # looking at it has not kept it


@pytest.mark.parametrize("number", ["ENOLCK", "ENOSYS", "EOPNOTSUPP", "EINVAL", "EIO", "EACCES"])
def test_without_locks_it_is_unknown(number: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise OSError(getattr(errno, number), number)

    free(tmp_path)
    monkeypatch.setattr(fcntl, "flock", failing)
    assert writer_of(tmp_path, HERE) is Writer.UNKNOWN


@pytest.mark.parametrize(
    ("system", "shared"),
    [
        ("ext4 /dev/vda rw", False),
        ("nfs4 server:/home rw,vers=4.2,local_lock=none,addr=10.0.0.1", True),
        ("nfs server:/home rw,nolock,local_lock=all", False),
        ("nfs server:/home rw,local_lock=flock", False),
        ("lustre mds@tcp:/scratch rw,flock,lazystatfs", True),
        ("lustre mds@tcp:/scratch rw,localflock", False),
        ("ceph 10.0.0.1:/ rw,acl", True),
        ("beegfs beegfs_nodev rw,cfgFile=/etc/beegfs/beegfs-client.conf", False),
    ],
)
def test_whose_locks_all_hosts_see(system: str, shared: bool) -> None:
    mounts = f"21 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n35 21 0:50 / /scratch rw,relatime shared:2 - {system}\n"
    assert shares_locks(mounts, os.makedev(0, 50)) is shared
    assert not shares_locks(mounts, os.makedev(0, 51))
