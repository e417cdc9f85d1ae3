"""The command line: every command has a parser, help is quick, and bad input gets one line."""

import argparse
import gc
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from rnnexp.cli import list as listing
from rnnexp.cli import runs
from rnnexp.cli.main import COMMANDS, main, parser
from rnnexp.core.errors import UsageError
from tests.helpers.logged_runs import write_logged_run


def test_a_parser_and_a_suggestion_for_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["--help"])
    listed = capsys.readouterr().out.partition("COMMAND\n")[2].partition("\n\n")[0]
    lines = [line for line in listed.splitlines() if line[4:5].strip()]  # others go on
    assert {line.split()[0] for line in lines} == set(COMMANDS)


def test_no_command_at_all_shows_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("usage: rnnexp ")
    assert all(name in printed for name in COMMANDS)


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_reader_that_stops_reading_is_no_error(more: list[str]) -> None:
    command = [sys.executable, "-m", "rnnexp", "list", "keys", *more]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 141


def test_help_starts_quickly(tmp_path: Path) -> None:
    slow = ("jax", "numpy", "xarray", "pandas", "matplotlib", "plotly", "rich", "ml_collections")
    code = f"""
import sys, rnnexp.cli.main
try:
    rnnexp.cli.main.main(["export", "--help"])
except SystemExit:
    print([name for name in {slow} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.endswith("\n[]\n"), done


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("inspect RUN --divergence", "has not diverged: its status is completed"),
        ("inspect RUN --divergence --plot x.png", "does not go with --divergence"),
        ("inspect RUN --data-dir x", "it goes with --divergence"),
        ("report", "DIR"),
        ("report nowhere", "nowhere holds no runs"),
        ("report RUN -o x.pdf", "its name must end in .html"),
        ("report RUN -o none/x.html", "there is no directory none"),
        ("export RUN", "--to"),
        ("export RUN --to tensorbord -o out", "Did you mean 'tensorboard'?"),
        ("export addin/lstm --to wandb -o out --runs-dir RUNS", "Did you mean 'adding/lstm'?"),
        ("exprot RUN", "Did you mean 'export'?"),
        ("compare RUN", "two runs or more"),
    ],
)
def test_bad_input_is_answered_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    words: str,
) -> None:
    runs = tmp_path / "runs"
    path = write_logged_run(runs)
    monkeypatch.chdir(tmp_path)
    said = command.replace("RUNS", str(runs)).replace("RUN", str(path))
    assert main(said.split()) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("rnnexp: ")
    assert printed.err.count("\n") == 1
    assert words in printed.err
    assert [p.name for p in tmp_path.iterdir()] == ["runs"]


def test_brief_commands_do_not_look_for_cycles_and_leave_that_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []

    def look(known: argparse.Namespace, rest: Sequence[str]) -> int:
        seen.append(gc.isenabled())
        raise UsageError("seen")

    monkeypatch.setattr(listing, "list_command", look)
    monkeypatch.setattr(runs, "runs_command", look)
    assert main(["list", "cells"]) == 2
    assert main(["runs", "label", "x"]) == 2
    assert seen == [False, True]
    assert gc.isenabled()
