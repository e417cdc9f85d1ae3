"""The line before JAX is imported: on a terminal, once, and nowhere else."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from rnnexp.cli.main import main
from rnnexp.cli.starting import LINE

NAME = "rnnexp.cli.starting"
STAND_IN = "import sys; sys.stderr.write(f'JAX {len(sys.meta_path)}\\n'); raise SystemExit(3)"


def started(arguments: list[str], folder: Path) -> tuple[str, str]:
    """What a command writes to standard output, and to a terminal as its standard error, with a
    module in the place of JAX that ends the process."""
    (folder / "jax.py").write_text(STAND_IN)
    ours, theirs = pty.openpty()
    paths = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "rnnexp", *arguments], stdout=subprocess.PIPE, stderr=theirs,
        text=True, cwd=folder, env=os.environ | {"PYTHONPATH": paths},
    )  # fmt: skip
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        written += part
    os.close(ours)
    return done.stdout, written.decode().replace("\r", "")


def test_the_line_comes_before_jax_and_once(tmp_path: Path) -> None:
    out, err = started(["run", "adding/rnn"], tmp_path)
    assert out == ""
    first, second = err.splitlines()
    assert first == LINE
    assert second.startswith("JAX ")


@pytest.mark.parametrize(
    "arguments", [["run", "adding/rnn", "--json"], ["list", "tasks"], ["run", "addin/rnn"]]
)
def test_there_is_no_line_for_scripts_nor_without_jax(arguments: list[str], tmp_path: Path) -> None:
    out, err = started(arguments, tmp_path)
    assert LINE not in out + err
    assert ("JAX" in err) == ("--json" in arguments)


def test_the_finder_is_gone_afterwards(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "cells", "--json"]) == 0
    assert main(["run", "addin/rnn"]) == 2
    assert not [finder for finder in sys.meta_path if type(finder).__module__ == NAME]
    assert LINE not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code"), [("list tasks --json", 0), ("run addin/rnn --json", 2)]
)
def test_a_closed_error_stream_leaves_the_output_pure(arguments: str, code: int) -> None:
    command = f"exec {sys.executable} -m rnnexp {arguments} 2>&-"
    done = subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, text=True)
    assert done.returncode == code
    assert done.stdout.startswith("[") if code == 0 else done.stdout == ""
