"""Mistakes on the command line: one message that says it, a code of RUNNING.md, and no traceback.

What is wrong inside of a plan is in `test_toml.py` and `docs/test_troubleshooting.py`.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import numpy as np
import pytest

from mpirobust.cli import cli
from mpirobust.errors import Exit
from tests.support.alone import command_alone, run_alone
from tests.support.small_studies import PLAN, lay_out

# A command line in the folder below, and what is said. The code is SETUP; others are in `_CODES`.
_WRONG: dict[str, str] = {
    "frobnicate": "No such command 'frobnicate'; mpirobust --help lists the commands",
    "rum plan.toml": "No such command 'rum'; did you mean 'run'?",
    "--frob": "No such option",
    "--log no/log check plan.toml": "no/log: No such file or directory",
    "run": "Missing argument 'PLAN'. mpirobust run --help says more",
    "run absent.toml": "absent.toml: no such plan",
    "run plan.toml more": "unexpected extra argument (more)",
    "run run": "run is a run and no plan; mpirobust resume run continues it",
    "run run/run.h5": "run/run.h5 is a run and no plan",
    "run study": "study: cannot be read: Is a directory",
    "run study/figure-1.toml": "this is a family and no plan: `mpirobust figures` takes the folder",
    "run study/grid.toml": "this is a matrix and no plan: `mpirobust matrix` takes it",
    "run plan.toml --rounds 9": "A key of the plan is changed by --set algorithm.rounds=...",
    "run plan.toml --step 0.1": "A key of the plan is changed by --set algorithm.step=...",
    "run plan.toml --set": "Option '--set' requires an argument",
    "run plan.toml --set workers": "--set workers: expected key=value",
    "run plan.toml --set workers=many": "plan.toml: workers: expected a whole number greater than 0",
    "run plan.toml --set wrkers=9": "wrkers: unknown key; the keys here are: seed, workers,",
    "run plan.toml --set rounds=9": "records, observers (did you mean 'algorithm.rounds'?)",
    "run plan.toml --set beta=0.3": "(did you mean 'aggregator.beta'?)",
    "run plan.toml --set attack.kind=none": "for honest workers leave out [attack], or set alpha to 0",
    "run plan.toml --set aggregator.kind=centered-clipping": "radius: missing; mpirobust explain aggregator.radius",
    "run plan.toml --set aggregator.beta=0.1": "0.1 is below attack.alpha = 0.2; choose 0.2 <= beta < 1/2",
    "run plan.toml --set redundancy=3": "plan.toml: redundancy: the 10 workers cannot be divided into groups of 3",
    "run plan.toml --set redundancy=0": "redundancy: expected a whole number greater than 0",
    "run plan.toml --set redundancy=2 --set attack.workers=[0,1,2]": "in 3 of the 5 groups the honest workers are no",
    "run plan.toml --set attack.workers=[0,0]": "attack.workers: expected different numbers from 0 to 9, not [0, 0]",
    "run plan.toml --set attack.workers=[10]": "attack.workers: expected different numbers from 0 to 9, not [10]",
    "run plan.toml --set attack.workers=[-1]": "attack.workers: expected a list, each a whole number at least 0",
    "run plan.toml --set attack.workers=[0,1,2,3]": "aggregator.beta: 4 of the 10 workers are Byzantine, and the rule",
    "run plan.toml --set attack.workers=[0,1,2,3,4] --set aggregator.kind=median": "attack: 5 of the 10 workers are",
    "run plan.toml --set workers=500": "plan.toml: workers: 500 workers for 120 training rows",
    "run plan.toml --set compressor.kind=topk --set compressor.k=7": "plan.toml: compressor.k: ",
    "run plan.toml --set problem.kind=logistic": "plan.toml: problem",
    "run plan.toml --set data.kind=libsvm --set data.path=absent.svm": "no file 'absent.svm'; looked for",
    "run plan.toml --set data.kind=libsvm --set data.path=broken.svm": "broken.svm, line 2",
    "run study/plan.toml --set data.kind=libsvm --set data.path=broken.svm": "it is in the working directory: give /",
    "run plan.toml --set data.kind=libsvm --set data.path=rows.csv": 'of kind csv, say data.kind = "csv"',
    "run plan.toml --set data.kind=libsvm --set data.path=rows.npz": 'of kind npz, say data.kind = "npz"',
    "run plan.toml --set data.kind=npz --set data.path=rows.csv": 'of kind csv, say data.kind = "csv"',
    "run plan.toml --set start=absent": "plan.toml: start: ",
    "run plan.toml --out ''": "expected a path, not an empty text",
    "run plan.toml --out plan.toml": "plan.toml is a file or below one; give a folder",
    "run plan.toml --out run": "run holds a run; ",
    "run plan.toml --out run --resume --overwrite": "--resume and --overwrite exclude each other",
    "run plan.toml --out run --resume --set algorithm.step=0.2": "another plan: algorithm.step was 0.1, is 0.2",
    "run plan.toml --time-limit soon": "'soon' is no time limit: write 4h, 30m",
    "run plan.toml --round-timeout -1s": "'-1s' is no time limit",
    "run plan.toml --threads 0": "0 is not in the range x>=1",
    "run plan.toml --threads two": "'two' is not a valid integer",
    "resume": "Missing argument 'FOLDER'",
    "resume absent": "absent holds no run to resume",
    "resume empty": "empty holds no run to resume",
    "resume plan.toml": "holds no run to resume",
    "resume run --set seed=9": "another plan: seed was 0, is 9",
    "resume run --overwrite": "No such option",
    "check": "Missing argument 'PLAN'",
    "check absent.toml": "absent.toml: no such plan",
    "check plan.toml --set workers=500": "plan.toml: workers: 500 workers for 120 training rows",
    "check run/run.h5": "run/run.h5: not TOML",
    "check plan.toml --set problem.hidden=64,32 --set problem.kind=network": "problem.hidden: expected a list",
    "check plan.toml --out x": "No such option",
    "list solvers": "mpirobust: solvers: no such table; choose one of: data, problem",
    "list data problem": "unexpected extra argument (problem)",
    "explain l1-qsdg": "did you mean compressor.l1-qsgd, downlink.l1-qsgd?",
    "explain step": "did you mean algorithm.step",
    "run plan.toml -n 4": "The ranks are started by mpirun -n N",
    "explain algorithm.first-order.stp": "did you mean algorithm.first-order.step",
    "schema plan.toml": "unexpected extra argument (plan.toml)",
    "new plan.toml": "unexpected extra argument (plan.toml)",
    "new --problem logistik": "mpirobust: problem.kind: unknown kind 'logistik'; choose one of: ",
    "new --out plan.toml": "plan.toml exists already; choose another --out",
    "data frob": "no command and no plan 'frob'; the commands are: list, fetch, prepare, show",
    "data list frob": "frob",
    "data list -k": "No such option",
    "data list --log absent/log": "absent/log: No such file or directory",
    "data fetch": "Missing argument 'NAME...'",
    "data fetch frob": "frob",
    "data prepare absent.csv": "absent.csv",
    "data prepare rows.csv": "rows.csv: data.label: missing; mpirobust explain data.label says what it is (--set data",
    "data show rows.csv --set data.labl=y": "rows.csv: data.labl: unknown key",
    "data show absent": "absent",
    "data show broken.svm": "broken.svm",
    "watch": "Missing argument 'PATH'",
    "watch absent": "no run at absent",
    "data absent.toml": "absent.toml: no such plan",
    "data plan.toml --set data.kind=libsvm --set data.path=broken.svm": "broken.svm, line 2",
    "inspect": "Missing argument 'PATH'",
    "inspect absent": "no run at absent",
    "inspect empty": "no run at empty",
    "inspect plan.toml": "plan.toml",
    "inspect cut.h5": "cut.h5",
    "inspect run --yaml": "No such option",
    "export absent": "no run at absent",
    "export run --to onnx": "'onnx' is not one of 'npz', 'pt'",
    "export run --out plan.toml": "plan.toml",
    "report": "Missing argument 'PATHS...'",
    "report absent": "no run at absent",
    "report run --metric accuracy": "'accuracy' is not one of",
    "report run --against time": "'time' is not one of 'round', 'bytes', 'bytes_up', 'bytes_down', 'seconds'",
    "report run --out x.doc": "choose .html (a page), .csv (a table), .png, .pdf or .svg (a figure)",
    "report run --out plan.toml/x.csv": "cannot write plan.toml/x.csv",
    "sweep": "Missing argument 'PLAN'",
    "sweep plan.toml": "Missing option '--over'",
    "sweep plan.toml --over alpha=0.1,0.2": "(did you mean 'attack.alpha'?)",
    "sweep plan.toml --over algorithm.stp=1,2": "algorithm.stp: unknown key",
    "sweep plan.toml --over seed=0..4 --set seed=1": "seed",
    "scaling": "Missing argument 'PATHS...'",
    "scaling absent": "no run at absent",
    "scaling run run": "run",
    "figures": "Missing argument 'NAME'",
    "figures absent": "no folder 'absent'; looked for",
    "figures empty": "there are no figure-*.toml in empty",
    "figures plan.toml": "plan.toml is a file; figures takes the folder of families",
    "figures study --run-missing": "--run-missing is for --check",
    "figures study --seeds 0": "0 is not in the range x>=1",
    "figures study --set algorithm.stp=1": "algorithm.stp: unknown key",
    "matrix": "Missing argument 'PATH'",
    "matrix absent.toml": "absent.toml: no such plan",
    "matrix plan.toml": "this is a plan and no matrix: `mpirobust run` takes it",
    "matrix study/figure-1.toml": "this is a family and no matrix",
    "matrix study/grid.toml --time-limit soon": "is no time limit",
    "doctor now": "unexpected extra argument (now)",
    "doctor --out": "Option '--out' requires an argument",
}
_CODES = {"report run --out plan.toml/x.csv": Exit.STORAGE}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a plan, a finished run of it, a study, and files that are damaged."""
    folder = tmp_path_factory.mktemp("errors")
    (folder / "plan.toml").write_text(PLAN)
    run_alone(folder / "plan.toml", folder / "run")
    (folder / "empty").mkdir()
    lay_out(folder / "study")
    (folder / "broken.svm").write_text("1 1:0.5\nmany 1:0.5\n")
    (folder / "rows.csv").write_text("y,x\n1,0.5\n")
    np.savez(folder / "rows.npz", X=np.ones((2, 1)), y=np.ones(2))
    (folder / "cut.h5").write_bytes((folder / "run" / "run.h5").read_bytes()[:1000])
    return folder


@pytest.mark.parametrize("line", _WRONG)
def test_one_message_and_a_documented_code(
    line: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    assert command_alone(*shlex.split(line)) == _CODES.get(line, Exit.SETUP)
    said = capsys.readouterr()
    faults = [each for each in said.err.splitlines() if not each.startswith("note: ")]
    assert len(faults) == 1, said.err
    assert faults[0].startswith("mpirobust: ")
    assert _WRONG[line] in faults[0]
    assert "Traceback" not in said.err


def test_every_command_is_in_the_table() -> None:
    assert {*cli.list_commands(click.Context(cli))} <= {line.split()[0] for line in _WRONG}
