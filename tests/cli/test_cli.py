"""The command line, in this process and in others; a user's own cell and task from a file."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from rnnexp.cells import CELLS
from rnnexp.cli.main import main
from rnnexp.core.registry import MODES, Entry
from rnnexp.tasks import TASKS

USER_FILE = '''
import jax
import jax.numpy as jnp

import rnnexp
from rnnexp.tasks.base import Endless, Score
from rnnexp.core.types import Batch


@rnnexp.task("mytask", modes=("synchronous",))
def mytask(*, length_steps: int = 7):
    """Say again what was just said."""

    def draw(key, batch_size):
        x = jax.random.normal(key, (length_steps, batch_size, 2))
        return Batch(x, x)

    def scores(outputs, batch):
        error_B = jnp.sum(jnp.square(outputs - batch.targets), (0, 2))
        return {"loss": Score(error_B, jnp.full(error_B.shape, 2.0 * length_steps))}

    source = Endless(draw)
    return rnnexp.Task(
        name="mytask", mode="synchronous", input_size=2, output_size=2, num_steps=length_steps,
        train=source, valid=source, test=source, scores=scores, baseline={"loss": 1.0},
        headline="loss", higher_is_better=False,
    )


@rnnexp.cell("mycell")
def mycell(input_size, hidden_size, *, leak: float = 0.5):
    """Leaky integrator."""
    return rnnexp.Cell(
        name="mycell", input_size=input_size, output_size=hidden_size,
        init=lambda key: {"w": jax.random.normal(key, (input_size, hidden_size))},
        init_state=lambda params: {"h": jnp.zeros(hidden_size)},
        transition=lambda params, state, x: {"h": leak * state["h"] + x @ params["w"]},
        parameter_count=input_size * hidden_size,
    )
'''
CHANGES = {
    "cell.leak": "0.9",
    "cell.hidden_size": "4",
    "train.duration_steps": "3",
    "record.every_steps": "1",
    "eval.examples": "64",
}


class UserRun(NamedTuple):
    """A run of the user's own cell on the user's own task, made by another process."""

    file: Path
    runs_dir: Path
    path: Path
    stdout: str


def run_user_file(file: Path, runs_dir: Path) -> str:
    """`rnnexp run mytask/mycell` in another process; returns what it prints."""
    command = [sys.executable, "-m", "rnnexp", "run", "mytask/mycell", "--import", str(file)]
    command += ["--runs-dir", str(runs_dir), *(f"--config.{k}={v}" for k, v in CHANGES.items())]
    done = subprocess.run(command, capture_output=True, text=True, cwd=runs_dir.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def user_run(tmp_path_factory: pytest.TempPathFactory) -> UserRun:
    """The run, made once."""
    folder = tmp_path_factory.mktemp("user")
    file, runs_dir = folder / "mine.py", folder / "runs"
    file.write_text(USER_FILE)
    stdout = run_user_file(file, runs_dir)
    (path,) = (runs_dir / "mytask" / "mycell").iterdir()
    return UserRun(file, runs_dir, path, stdout)


def test_a_run_leaves_the_files_of_the_design(user_run: UserRun) -> None:
    assert "completed after 3 steps" in user_run.stdout
    assert f"rnnexp inspect {user_run.path}" in user_run.stdout
    names = {"config.json", "environment.json", "status.json", "metrics.jsonl", "gradients.zarr"}
    assert {p.name for p in user_run.path.iterdir()} == {*names, "checkpoints", "lock"}
    config = json.loads((user_run.path / "config.json").read_text())
    assert (config["cell"]["leak"], config["task"]["length_steps"]) == (0.9, 7)
    environment = json.loads((user_run.path / "environment.json").read_text())
    checksum = hashlib.sha256(user_run.file.read_bytes()).hexdigest()
    assert environment["imported"] == [{"path": str(user_run.file), "sha256": checksum}]
    status = json.loads((user_run.path / "status.json").read_text())
    assert (status["status"], status["step"], set(status["test"])) == ("completed", 3, {"loss"})


def test_the_same_command_again_returns_at_once(user_run: UserRun) -> None:
    before = {p: p.stat().st_mtime_ns for p in user_run.path.rglob("*")}
    stdout = run_user_file(user_run.file, user_run.runs_dir)
    assert "completed after 3 steps" in stdout
    assert "start" not in stdout
    assert {p: p.stat().st_mtime_ns for p in user_run.path.rglob("*")} == before


def test_inspect_prints_a_table(user_run: UserRun, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("mytask/mycell", str(user_run.path), user_run.path.name):
        assert main(["inspect", name, "--runs-dir", str(user_run.runs_dir)]) == 0
        out = capsys.readouterr().out
        assert out.startswith(f"mytask/mycell  {user_run.path}\ncompleted after 3 steps\n")
        for words in ("mean ||dL/dh_t||, layer_0", "lag 6", "(baseline 1)", "nats/step"):
            assert words in out
        assert len([line for line in out.splitlines() if line.startswith("│")]) == 3


def test_inspect_prints_data(user_run: UserRun, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(user_run.path), "--json"]) == 0
    data = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    kinds = [row["kind"] for row in data["metrics"]]
    assert kinds == ["baseline", "train", "train", "train", "valid", "test"]
    assert data["gradients"]["dimensions"] == ["step", "layer", "time"]
    assert data["gradients"]["step"] == [0, 1, 2]
    (profile,) = data["gradients"]["dL_dh"][0]
    assert len(profile) == 7
    assert min(profile) > 0
    assert (data["experiment"], data["baseline"]) == ("mytask/mycell", {"loss": 1.0})


def test_inspect_draws(
    user_run: UserRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import matplotlib.pyplot as plt

    assert main(["inspect", str(user_run.path), "--plot", str(tmp_path / "x.png")]) == 0
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert f"drawn: {tmp_path / 'x.png'}" in capsys.readouterr().out
    assert main(["inspect", str(user_run.path), "--plot", str(tmp_path / "x.foo")]) == 2
    assert "x.foo: its ending must be one of" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]
    assert plt.get_fignums() == []


def test_runs_are_listed(user_run: UserRun, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "runs", "--runs-dir", str(user_run.runs_dir), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["run"], row["status"], row["step"]) == (str(user_run.path), "completed", 3)
    assert row["test"].startswith("loss ")
    assert main(["inspect", "mytask/mycel", "--runs-dir", str(user_run.runs_dir)]) == 2
    assert "Did you mean 'mytask/mycell'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("experiments", ["adding", "all but narx", "all cells"]),
        ("cells", CELLS.builtin),
        ("tasks", TASKS.builtin),
    ],
)
def test_lists(what: str, names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", what]) == 0
    table = capsys.readouterr().out
    assert main(["list", what, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    values = {value for row in rows for value in row.values()}
    assert set(names) <= values
    for value in values:
        assert value in table


def test_no_runs_is_an_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "runs", "--runs-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"no runs in {tmp_path}\n"
    assert main(["list", "runs", "--runs-dir", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_brackets_in_a_summary_are_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = "Leaks [draft], see [/notes]."
    monkeypatch.setitem(CELLS._entries, "mine", Entry("nowhere:mine", summary, MODES))
    assert main(["list", "cells"]) == 0
    assert summary in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("", "COMMAND"),
        ("lst", "Did you mean 'list'?"),
        ("list experimnts", "Did you mean 'experiments'?"),
        ("list --jsno", "--jsno"),
        ("run", "TASK/CELL"),
        ("run addin/rnn", "unknown task 'addin'. Did you mean 'adding'?"),
        ("run adding/rnn --out=x --config.seed=1", "unexpected argument: --out=x;"),
        ("run adding/lstmm", "unknown cell 'lstmm'. Did you mean 'lstm'?"),
        ("run adding/rnn --config.clip.treshold=1", "Did you mean 'config.clip.threshold'?"),
        ("run adding/rnn --config.seed=x", "config.seed=x"),
        ("run adding/rnn --config.optimizer.name=rmspro", "Did you mean 'rmsprop'?"),
        ("run adding/rnn --config.cell.activation=tahn", "Did you mean 'tanh'?"),
        ("run adding/rnn --config.task.length_steps=1", "length_steps must be at least 2"),
        ("run adding/rnn --config.train.duration_epochs=1", "config.train.duration_epochs"),
        ("run digits/rnn --config.train.batch_size=5000", "config.train.batch_size 5000"),
        ("run adding/rnn --import missing.py", "no imported file 'missing.py'"),
        ("run adding/tdnn --config.cell.delay_steps=50", "delay line of tdnn (50 steps)"),
        ("run adding/narx --config.model.num_layers=2", "narx' is a whole network"),
        ("run adding/gru --config.model.associative=true", "not linear in its state"),
        ("run adding/gru --config.model.pooling=sum", "unknown config.model.pooling 'sum'"),
        ("run adding/gru --config.model.dropout=1.5", "config.model.dropout must be"),
        ("run adding/gru --config.model.attention=dot", "it has no decoder"),
        ("run copy_memory/gru --config.model.pooling=max", "nothing is pooled"),
        ("run reverse/narx", "does not fit task 'reverse'"),
        ("run char_lm/gru --config.task.file=missing.txt", "missing.txt"),
        ("sample nothing", "no runs in runs"),
        ("run --config=missing.py", "no config file 'missing.py'"),
        ("inspect", "RUN"),
        ("inspect nothing", "no runs in runs"),
    ],
)
def test_bad_input_is_answered_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(command.split()) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("rnnexp: ")
    assert printed.err.count("\n") == 1
    assert words in printed.err
    assert list(tmp_path.iterdir()) == []


def test_a_mistyped_name_is_answered_before_jax_is_imported(tmp_path: Path) -> None:
    code = "import sys, rnnexp.cli.main as c; print(c.main(sys.argv[1:]), 'jax' in sys.modules)"
    for name in ("addin/rnn", "adding/lstmm"):
        command = [sys.executable, "-c", code, "run", name]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.stdout == "2 False\n"
        assert "Did you mean" in done.stderr
        assert "Traceback" not in done.stderr
