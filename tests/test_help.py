"""The help of the commands, and their completion in a shell."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from mpirobust.cli import cli
from mpirobust.errors import Exit
from tests.support.alone import command_alone


def _commands(group: click.Group = cli, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield all commands, those of groups included, each with how one calls it."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        yield f"{before}{name}", command
        if isinstance(command, click.Group):
            yield from _commands(command, f"{before}{name} ")


_ALL = dict(_commands())


@pytest.mark.parametrize("name", _ALL)
def test_every_command_has_the_options_of_all(name: str) -> None:
    assert {"verbose", "quiet", "log"} <= {each.name for each in _ALL[name].params}


def _help(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert command_alone(*name.split(), "--help") == Exit.OK
    return capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_the_first_help_has_whole_sentences(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command_alone(*arguments) == Exit.OK
    said = capsys.readouterr()
    assert "..." not in said.out.partition("Commands:")[2]
    for name in cli.list_commands(click.Context(cli)):
        assert f"  {name} " in said.out
    assert said.err == ""


@pytest.mark.parametrize("name", _ALL)
def test_the_help_ends_with_examples_that_are_no_mistakes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    last = cleandoc(_help(name, capsys).rpartition("\n\n")[2]).splitlines()
    assert last[0] in ("Example:", "Examples:")
    for line in last[1:]:
        words = shlex.split(line.partition(" > ")[0])
        called, arguments = name.split(), words[words.index("mpirobust") + 1 :]
        called = [word for word in called if word != "PLAN"]  # `data PLAN` has no name of its own
        assert arguments[: len(called)] == called
        _ALL[name].make_context(name, arguments[len(called) :], parent=click.Context(cli)).close()


@pytest.mark.parametrize("name", _ALL)
def test_every_option_says_what_it_does_and_its_default(name: str) -> None:
    for each in _ALL[name].params:
        if isinstance(each, click.Option):
            assert each.help, each.name
            assert each.help.endswith((".", ")."))
            has_default = isinstance(each.default, str | int | float) and not each.is_flag and not each.multiple
            assert not has_default or each.show_default, each.name


# A command line that is not finished, and what may come next: some that must be offered, and some that must not.
_UNFINISHED: dict[str, tuple[set[str], set[str]]] = {
    "ex": ({"explain", "export"}, {"run"}),
    "list al": ({"algorithm", "algorithm.solver"}, {"attack"}),
    "explain algorithm.cubic-newton.mo": ({"algorithm.cubic-newton.momentum"}, {"algorithm.cubic-newton.M"}),
    "new --problem ph": ({"phase-retrieval"}, {"logistic"}),
    "new --attack al": ({"alie"}, {"zero"}),
    "run --set attack.kind=al": ({"attack.kind=alie"}, {"attack.kind=zero"}),
    "run --set algorithm.ro": ({"algorithm.rounds="}, {"algorithm.step="}),
    "run --set see": ({"seed="}, {"algorithm.step="}),
    "report --metric lo": ({"loss"}, {"distance"}),
    "matrix --se": ({"--seeds", "--set"}, {"--out"}),
}


@pytest.mark.parametrize("line", _UNFINISHED)
def test_a_shell_is_offered_what_may_come_next(line: str) -> None:
    *words, typed = line.split()
    offered = {each.value for each in ShellComplete(cli, {}, "mpirobust", "").get_completions(words, typed)}
    offers, offers_not = _UNFINISHED[line]
    assert offers <= offered
    assert not offers_not & offered


def test_bash_completes(tmp_path: Path) -> None:
    """The only test that asks through a shell: the script, and the answer that bypasses the streams of a command."""
    ask = 'COMP_WORDS=(mpirobust list al); COMP_CWORD=2; _mpirobust_completion mpirobust al; echo "${COMPREPLY[@]}"'
    program = f'mpirobust() {{ {shlex.quote(sys.executable)} -m mpirobust "$@"; }}; export -f mpirobust'
    script = f'{program}; eval "$(_MPIROBUST_COMPLETE=bash_source mpirobust)"; {ask}'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert done.stdout.split() == ["algorithm", "algorithm.solver"], done.stderr
