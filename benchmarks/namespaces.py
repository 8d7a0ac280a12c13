"""Several hosts on this machine: namespaces with a network link each to a common switch.

Nothing of it has a name or an address outside, so any number of these networks can be up at the same time. All that
runs in one is in a process namespace, the *site*: when its first process ends, the kernel ends all others and removes
links, mounts and names, also if this one is killed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

_PROGRAMS = ("ip", "mount", "nsenter", "setpriv", "tc", "unshare")
_IDLE = "while :; do sleep 3600; done"
_SITE = f"ip link add bridge type bridge && ip link set bridge up && echo up && {_IDLE}"
_SITE_SPACES = ("--mount", "--pid", "--net")
# Its own /dev/shm, as if there were no other host on this machine.
_HOST = """
hostname {name}
mount --bind {table} /etc/hosts
mount -t tmpfs tmpfs /dev/shm
ip link set lo up
echo $$
readlink /proc/self/ns/net
"""
_HOST_SPACES = ("--mount", "--uts", "--ipc", "--net")


@dataclass(frozen=True)
class Host:
    """A host that is up.

    Attributes:
        enter: what to put before a command to start it there, in the folder of the caller.
        enter_from_host: the same for a caller that is on another host.
        net: the kernel's name of its network namespace.
    """

    name: str
    enter: Sequence[str]
    enter_from_host: Sequence[str]
    net: str

    def processes(self, name: str = "") -> list[int]:
        """The numbers of the processes on this host, of all or of those called `name`."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                here = str((entry / "ns/net").readlink()) == self.net
                if here and name in ("", (entry / "comm").read_text().strip()):
                    found.append(int(entry.name))
            except OSError:
                continue  # has ended by now
        return found


class Network:
    """The hosts, by name, and the switch between them."""

    def __init__(self, hosts: Mapping[str, Host], enter_site: Sequence[str], agent: Path) -> None:
        self.hosts = hosts
        self._enter_site = enter_site
        self._agent = agent

    def env(self) -> Mapping[str, str]:
        """For an `mpirun` on one of the hosts: how it reaches the others, and a folder that each has for itself.

        Launcher daemons with a common folder for their sessions get in each other's way: every second start fails.
        """
        return {"PRTE_MCA_plm_ssh_agent": str(self._agent), "TMPDIR": "/dev/shm"}

    def shape(self, rate: int) -> None:
        """Let every link carry `rate` Mbit/s each way, headers of Ethernet included; with 0 what the machine can.

        The queue of a link takes 400 ms, as a switch with shallow buffers: what is sent beyond is lost and sent again.
        """
        for host in self.hosts.values():
            for enter, device in (host.enter, "eth0"), (self._enter_site, f"to-{host.name}"):
                qdisc = [*enter, "tc", "qdisc"]
                if rate:
                    burst = max(1600, 125 * rate)  # bytes of a millisecond, but a frame
                    tbf = f"tbf rate {rate}mbit burst {burst} latency 400ms"
                    _call([*qdisc, "replace", "dev", device, "root", *tbf.split()])
                elif "tbf" in _call([*qdisc, "show", "dev", device]):
                    _call([*qdisc, "delete", "dev", device, "root"])

    def cut(self, name: str) -> None:
        """Take the link of a host down: what is sent to it is lost, without a word to the sender."""
        _call([*self._enter_site, "ip", "link", "set", f"to-{name}", "down"])


def missing() -> str:
    """Why there can be no network here; empty if there can."""
    if os.geteuid() != 0:
        return "namespaces have to be made by root"
    absent = [program for program in _PROGRAMS if shutil.which(program) is None]
    if absent:
        return f"not on PATH: {', '.join(absent)} (apt-get install iproute2)"
    script = "ip link add type veth && ip link add type bridge && mount -t tmpfs tmpfs /dev/shm"
    spaces = {*_SITE_SPACES, *_HOST_SPACES}
    command = ["unshare", *sorted(spaces), "--fork", "--mount-proc", "sh", "-ec", script]
    tried = subprocess.run(command, capture_output=True, text=True, timeout=30)
    return f"no namespaces: {tried.stderr.strip()}" if tried.returncode else ""


@contextmanager
def network(folder: Path, names: Sequence[str]) -> Iterator[Network]:
    """A network of hosts called `names`; `folder` takes the two files that it needs."""
    addresses = {name: f"10.0.0.{i}" for i, name in enumerate(names, start=1)}
    table = folder / "hosts"
    table.write_text("127.0.0.1 localhost\n" + "".join(f"{at} {name}\n" for name, at in addresses.items()))
    with ExitStack() as stack:
        holder = stack.enter_context(_held("unshare", *_SITE_SPACES, "--fork", "--kill-child", "--mount-proc", _SITE))
        _hear(holder)  # up
        site = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().strip()
        enter_site = ["nsenter", f"--target={site}", *_SITE_SPACES, "--wd=."]
        hosts = {}
        for name, address in addresses.items():
            script = (_HOST + _IDLE).format(name=name, table=shlex.quote(str(table)))
            holder = stack.enter_context(_held(*enter_site, "unshare", *_HOST_SPACES, script))
            pid, net = _hear(holder), _hear(holder)
            enter = ["nsenter", f"--target={pid}", *_HOST_SPACES, "--wd=."]
            peer = ["type", "veth", "peer", "name", "eth0", "netns", pid]
            _call([*enter_site, "ip", "link", "add", f"to-{name}", "up", *peer])
            _call([*enter_site, "ip", "link", "set", f"to-{name}", "master", "bridge"])
            hosts[name] = Host(name, [*enter_site, *enter], enter, net)
            _call([*hosts[name].enter, "ip", "address", "add", f"{address}/24", "dev", "eth0"])
            _call([*hosts[name].enter, "ip", "link", "set", "eth0", "up"])
        yield Network(hosts, enter_site, _write_agent(folder, hosts.values()))


@contextmanager
def _held(*command: str) -> Iterator[subprocess.Popen[str]]:
    """A shell that runs the script at the end of `command` in new namespaces; the kernel ends it with this process."""
    *spaces, script = command
    child = ["setpriv", "--pdeathsig", "KILL", *spaces, "sh", "-ec", script]
    with subprocess.Popen(child, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as holder:
        try:
            yield holder
        finally:
            holder.kill()


def _hear(holder: subprocess.Popen[str]) -> str:
    assert holder.stdout is not None
    said = holder.stdout.readline().strip()
    assert said, f"{holder.args!r} does not come up"
    return said


def _write_agent(folder: Path, hosts: Iterable[Host]) -> Path:
    """What mpirun calls in place of ssh: `agent HOST COMMAND...`, the command in one or several words."""
    cases = "".join(f'{host.name}) exec {shlex.join(host.enter_from_host)} sh -c "$*" ;;\n' for host in hosts)
    agent = folder / "agent"
    agent.write_text(f'#!/bin/sh\nhost=$1\nshift\ncase $host in\n{cases}esac\necho "no host $host" >&2\nexit 1\n')
    agent.chmod(0o755)
    return agent


def _call(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, f"{shlex.join(command)}: {done.stderr}"
    return done.stdout
