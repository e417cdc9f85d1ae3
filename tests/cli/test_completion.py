"""Completion in shells: commands, experiments, runs, keys and their values, quickly."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rnnexp.cli.completion import SHELLS
from rnnexp.cli.main import COMMANDS, main
from rnnexp.config.defaults import KEYS
from rnnexp.config.schema import experiment, flat
from tests.helpers.logged_runs import write_logged_run

SLOW = ("jax", "xarray", "pandas", "matplotlib", "rich")


PROGRAM = f"""
import os, sys
import rnnexp.cli.main
leave = os._exit
def end(code):
    print([name for name in {SLOW} if name in sys.modules], flush=True)
    leave(code)
os._exit = end
rnnexp.cli.main.main([])
"""


def completions(line: str, folder: Path) -> list[str]:
    """What a shell is offered for the line, by a process of its own, which must not be slow."""
    answer = folder / "answer"
    given = {
        "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer), "COMP_LINE": line,
        "COMP_POINT": str(len(line)), "COMP_TYPE": "9",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=os.environ | given, capture_output=True, text=True,
        cwd=folder,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "[]\n"), done
    return answer.read_text().split("\n")


def test_words_are_completed(tmp_path: Path) -> None:
    write_logged_run(tmp_path / "runs")
    (name,) = (p.name for p in (tmp_path / "runs").glob("*/*/*"))
    own = [key for key in flat(experiment("adding/lstm")) if key.startswith("cell.")]
    for line, expected in {
        "rnnexp ": [*COMMANDS],
        "rnnexp list ke": ["keys"],
        "rnnexp list keys copy_memory/ls": ["copy_memory/lstm", "copy_memory/lstm_1997"],
        "rnnexp run lstm/": [],
        "rnnexp run adding/lstm --config.cell.": [
            f"--config.{key}" for key in own if key != "cell.name"
        ],
        "rnnexp run --config.optimizer.m": ["--config.optimizer.momentum"],
        "rnnexp run adding/lstm --config.model.residual=": ["true", "false"],
        "rnnexp sweep --sweep clip.t": ["clip.threshold="],
        "rnnexp export --to t": ["tensorboard"],
        "rnnexp inspect add": ["adding/lstm"],
        f"rnnexp inspect {name[:5]}": [name],
        f"rnnexp inspect runs/adding/lstm/{name[:5]}": [f"runs/adding/lstm/{name}/"],
    }.items():
        found = completions(line, tmp_path)
        shown = [word.strip().removeprefix("--config.model.residual=") for word in found if word]
        assert sorted(shown) == sorted(expected), line


def test_every_key_is_offered(tmp_path: Path) -> None:
    found = completions("rnnexp run --config.", tmp_path)
    assert {word.strip() for word in found} == {
        f"--config.{key}" for key in KEYS if key not in ("task.name", "cell.name")
    }


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_gets_its_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "rnnexp" in script
    assert {"bash": "complete ", "zsh": "compdef", "fish": "complete --command"}[shell] in script
    assert main(["completion", shell, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["script"] + "\n" == script
    assert main(["completion", "tcsh"]) == 2


def test_bash_completes(tmp_path: Path) -> None:
    program = tmp_path / "rnnexp"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m rnnexp "$@"\n')
    program.chmod(0o755)
    line = "rnnexp run copy_memory/gr"
    script = f"""
eval "$(rnnexp completion bash)"
COMP_LINE={line!r}; COMP_POINT={len(line)}; COMP_TYPE=9; COMP_WORDS=({line}); COMP_CWORD=2
_python_argcomplete rnnexp copy_memory/gr run
printf '%s' "${{COMPREPLY[@]}}"
"""
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], env=os.environ | {"PATH": path}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "copy_memory/gru", done
