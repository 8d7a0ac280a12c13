"""The rooms and who may look into whom; docs/ARCHITECTURE.md draws them."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mpirobust import catalog
from mpirobust.toml import read_table
from tests.support.launching import REPOSITORY

_PACKAGE = REPOSITORY / "mpirobust"
_FILES = sorted(_PACKAGE.rglob("*.py"))

# From the bottom up; a room may import from rooms below it, and from the bases of any room.
_LAYERS = [
    ["types", "errors", "components", "files", "hdf5"],
    ["renames", "round_times", "stop_rules", "terminal", "time_limit", "toml"],
    ["meter"],
    ["outside"],
    ["streams", "comm"],
    ["kernels", "numerics"],
    ["shard"],
    ["problems", "compressors"],
    ["cubic", "data", "answers"],
    ["aggregators", "attacks", "feedback"],
    ["algorithms"],
    ["cluster"],
    ["records"],
    ["observers"],
    ["catalog"],
    ["plan", "plan_checks", "reducer"],
    ["guide"],
    ["running"],
    ["reports", "doctor"],
    ["studies"],
    ["api"],
    ["commands"],
    ["cli"],
    ["testing"],
    ["__main__"],
]
_LEVEL = {room: level for level, rooms in enumerate(_LAYERS) for room in rooms}
_KIND_ROOMS = [
    *("problems", "compressors", "cubic", "aggregators", "attacks", "feedback", "algorithms", "observers"),
    *("data/sources", "data/partitions"),
]

_ALLOWED = {("mpirobust/data/sources/base.py", "mpirobust.data.partitions.iid")}  # the default of a key


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            for each in node.names:
                full = f"{node.module}.{each.name}"
                yield full if (REPOSITORY / Path(*full.split("."))).with_suffix(".py").exists() else str(node.module)


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("file", _FILES, ids=lambda file: str(file.relative_to(REPOSITORY)))
def test_imports_run_one_way(file: Path) -> None:
    inside = file.relative_to(_PACKAGE)
    room = inside.parts[0].removesuffix(".py")
    if room == "__init__":
        return
    for module in _imports(file):
        if not module.startswith("mpirobust.") or (str(file.relative_to(REPOSITORY)), module) in _ALLOWED:
            continue
        below = _LEVEL[_room(module)] <= _LEVEL[room]
        assert below or module.endswith(".base"), f"{inside} imports {module}, which is above it"


@pytest.mark.parametrize("room", _KIND_ROOMS)
def test_kinds_of_a_room_do_not_import_each_other(room: str) -> None:
    package = "mpirobust." + room.replace("/", ".")
    for file in (_PACKAGE / room).glob("*.py"):
        for module in _imports(file):
            leaf = module.removeprefix(package + ".")
            own = module.startswith(package + ".") and leaf != "base" and not leaf.startswith("_")
            assert not own, f"{file.name} imports its neighbour {module}"


def test_the_round_loop_sees_only_bases() -> None:
    for module in _imports(_PACKAGE / "running" / "rounds.py"):
        if module.startswith("mpirobust."):
            assert module.endswith(".base") or module == "mpirobust.streams", module


def test_mpi4py_is_imported_in_one_room() -> None:
    importing = {file.relative_to(_PACKAGE).parts[0] for file in _FILES for name in _imports(file) if "mpi4py" in name}
    assert importing == {"comm"}


def test_comm_is_a_leaf() -> None:
    for file in (_PACKAGE / "comm").glob("*.py"):
        for module in _imports(file):
            inside = module.startswith("mpirobust.")
            assert not inside or module.startswith("mpirobust.comm.") or module == "mpirobust.errors", (
                f"{file}: {module}"
            )


def test_one_file_prints() -> None:
    """Ruff's T20 refuses `print`. The end of a process flushes what other libraries have printed."""
    printing = {
        str(file.relative_to(_PACKAGE))
        for file in _FILES
        for node in ast.walk(ast.parse(file.read_text()))
        if ast.unparse(node) in ("sys.stdout", "sys.stderr", "click.echo")
    }
    assert printing == {"terminal.py", "cli.py", "comm/mpi.py"}


def test_csv_is_written_in_one_place_and_read_in_another() -> None:
    found = [str(file.relative_to(_PACKAGE)) for file in _FILES if "csv" in _imports(file)]
    assert found == ["data/sources/csv.py", "files.py"]


@pytest.mark.parametrize("room", ["records", "comm", "numerics"])
def test_what_knows_of_no_cluster(room: str) -> None:
    for file in (_PACKAGE / room).glob("*.py"):
        assert not [module for module in _imports(file) if module.startswith("mpirobust.cluster")], file


_NAMES_OF_KINDS = {kind for room in [*catalog.ROOMS.values(), *catalog.NESTED.values()] for kind in catalog.kinds(room)}
_PHASES = {"audit", "checkpoint"}  # of a round, and so columns of the trace, as well as names of observers


@pytest.mark.parametrize("room", ["reports", "running", "cluster"])
def test_no_kind_is_known_by_name(room: str) -> None:
    """Law 6: what these rooms have to know of a kind, the kind says."""
    packages = tuple(f"{each.package}." for each in [*catalog.ROOMS.values(), *catalog.NESTED.values()])
    for file in (_PACKAGE / room).rglob("*.py"):
        texts = {node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)}
        assert not texts & (_NAMES_OF_KINDS - _PHASES), file
        for module in _imports(file):
            assert not module.startswith(packages) or module.endswith(".base"), f"{file} imports {module}"


# A rank of workers of the quickstart, from its imports to its workers, without MPI.
_RANK_OF_WORKERS = """
import sys, numpy
before = set(sys.modules)
import mpirobust.cli, mpirobust.commands.running, mpirobust.running.experiment, mpirobust.running.watchdog
from mpirobust.running.setup import RunSetup, build_rank
build_rank(RunSetup(table, [], "", False, "", "", {}, True, None, ""), [3, 4], False)
print(*(name for name in set(sys.modules) - before if getattr(sys.modules[name], "__spec__", None)))
"""
_OTHERS = {"click", "msgspec", "threadpoolctl", "typing_extensions"}  # packages, beside numpy and mpi4py
_OF_A_RANK = {
    *("answers", "catalog", "cli", "components", "errors", "files", "outside", "plan", "plan_checks", "renames"),
    *("round_times", "shard", "stop_rules", "streams", "terminal", "time_limit", "types"),
    *("kernels", "numerics", "comm"),
    *("commands", "commands.job", "commands.options", "commands.running"),
    *("observers.audit", "observers.checkpoint"),
    *("compressors.identity", "feedback.none", "data.partitions.iid"),  # defaults of a plan
    *("cluster.connect", "cluster.downlink", "cluster.groups", "cluster.placement"),
    *("cluster.protocol", "cluster.row_metrics"),
    *("cluster.wire", "cluster.worker", "cluster.worker_group", "cluster.worker_loop"),
    *("records.plan_record", "records.provenance"),
    *("running.experiment", "running.ranks", "running.setup", "running.starting", "running.stop_signals"),
    "running.watchdog",
    *("data.sources.regression", "problems.least_squares", "algorithms.first_order"),  # the kinds of the quickstart
    *("compressors._signs", "compressors.l1_qsgd", "aggregators.norm_trim", "attacks.gaussian"),
}
_SLOW = {"asyncio", "csv", "difflib", "email", "importlib.metadata", "logging", "subprocess", "tempfile", "tomllib"}


def test_what_every_rank_imports_is_little() -> None:
    """The start of many ranks is CPU time: what only some runs or only the center need waits until it is needed."""
    table = f"table = {read_table(REPOSITORY / 'configs' / 'quickstart.toml')!r}"
    done = subprocess.run(
        [sys.executable, "-c", table + _RANK_OF_WORKERS], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    loaded = set(done.stdout.split())
    own = {each.removeprefix("mpirobust.") for each in loaded if each.startswith("mpirobust.")}
    files = {each for each in own if not (_PACKAGE / each.replace(".", "/")).is_dir() and not each.endswith(".base")}
    assert not {each for each in files if each not in _OF_A_RANK and each.partition(".")[0] not in _OF_A_RANK}
    others = {each.partition(".")[0] for each in loaded} - sys.stdlib_module_names - {"mpirobust", "numpy"}
    assert others <= _OTHERS
    assert not loaded & _SLOW


def test_only_rooms_of_processes_know_of_ranks() -> None:
    for file in _FILES:
        inside = file.relative_to(_PACKAGE)
        if inside.parts[0] in ("comm", "cluster", "doctor", "reducer", "running"):
            continue
        names = {node.id for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Name)}
        names |= {node.attr for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Attribute)}
        assert not names & {"rank", "ranks"}, inside


_UNPICKLING = {"pickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml", "runpy", "code"}
_RUNNING = {"eval", "exec", "compile", "__import__"}
_OF_OBJECTS = {"bcast", "recv", "irecv", "sendrecv", "allgather", "alltoall"}  # mpi4py unpickles in lower case
_OBJECT_TYPES = {"vlen_dtype", "special_dtype", "ref_dtype", "regionref_dtype", "object_"}


def test_nothing_is_unpickled() -> None:
    """Files and messages are data, never code."""
    for file in _FILES:
        assert not {name.partition(".")[0] for name in _imports(file)} & _UNPICKLING, file
        for node in ast.walk(ast.parse(file.read_text())):
            where = f"{file}, line {getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in _RUNNING, where
            elif isinstance(node, ast.Attribute):
                numpys = isinstance(node.value, ast.Name) and node.value.id == "np"
                assert node.attr not in _OF_OBJECTS | _OBJECT_TYPES, where
                assert not (numpys and node.attr in {"load", "fromfile"}), where
            elif isinstance(node, ast.keyword):
                assert node.arg != "allow_pickle", where
                assert not (node.arg == "dtype" and ast.unparse(node.value) in {"object", "'O'", "'object'"}), where


def test_files_and_functions_stay_short() -> None:
    for file in _FILES:
        source = file.read_text()
        assert source.count("\n") <= 400, file
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 60, f"{file}: {node.name}"
