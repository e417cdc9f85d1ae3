"""The command `run`: the files that it leaves, and the bad input that it answers in one line."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from rnnexp.cli.main import main
from tests.helpers.user_run import UserRun, run_user_file


def test_a_run_leaves_the_files_of_the_design(user_run: UserRun) -> None:
    assert "completed after 3 steps" in user_run.stdout
    assert f"rnnexp inspect {user_run.path}" in user_run.stdout
    names = {"config.json", "environment.json", "status.json", "metrics.jsonl", "gradients.zarr"}
    names |= {"checkpoints", "lock", "task.json", "sources.json", "sources"}
    assert {p.name for p in user_run.path.iterdir()} == names
    config = json.loads((user_run.path / "config.json").read_text())
    assert (config["cell"]["leak"], config["task"]["length_steps"]) == (0.9, 7)
    environment = json.loads((user_run.path / "environment.json").read_text())
    checksum = hashlib.sha256(user_run.file.read_bytes()).hexdigest()
    assert {"command", "host", "cores", "all_packages"} <= set(environment)
    assert environment["all_packages"]["jax"] == environment["packages"]["jax"]
    sources = json.loads((user_run.path / "sources.json").read_text())
    assert sources["code"] == {user_run.file.name: checksum}
    copy = user_run.path / "sources" / user_run.file.name
    assert copy.read_bytes() == user_run.file.read_bytes()
    status = json.loads((user_run.path / "status.json").read_text())
    assert (status["status"], status["step"], set(status["test"])) == ("completed", 3, {"loss"})


def test_the_same_command_again_returns_at_once(user_run: UserRun) -> None:
    before = {p: p.stat().st_mtime_ns for p in user_run.path.rglob("*")}
    stdout = run_user_file(user_run.file, user_run.runs_dir)
    assert "completed after 3 steps" in stdout
    assert "start" not in stdout
    assert {p: p.stat().st_mtime_ns for p in user_run.path.rglob("*")} == before


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("--json", "COMMAND"),
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
        ("run series/gru --config.task.path=missing.csv", "cannot read the text file missing.csv"),
        ("run series/gru --config.task.target=swimg", "Did you mean 'swing'?"),
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


def test_a_configuration_is_printed_and_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--config.seed", "4", "adding/lstm", "--print-config"]) == 0
    printed = capsys.readouterr().out
    (line,) = (line for line in printed.splitlines() if "learning_rate: " in line)
    assert "# the largest one, after the warmup" in line
    Path("mine.yaml").write_text(printed)
    assert main(["run", "--config", "mine.yaml", "--print-config", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert (values["seed"], values["task"]["name"], values["cell"]["name"]) == (4, "adding", "lstm")
    assert main(["run", "adding/lstm", "--config.seed=4", "--print-config", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == values
    assert [p.name for p in tmp_path.iterdir()] == ["mine.yaml"]
