"""The guide to sweeps: its commands run as written, in order, and its space file loads."""

import re
import shlex
from pathlib import Path

import pytest

from rnnexp.cli.main import main
from rnnexp.sweep.space import expand, load_space, read_base

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(root: Path, language: str) -> list[str]:
    """The fenced blocks of the guide in a language; commands have none."""
    text = (root / "rnnexp" / "sweep" / "README.md").read_text()
    return [body for name, body in FENCE.findall(text) if name == language]


@pytest.mark.slow
def test_its_commands_run_as_written(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(root))
    monkeypatch.chdir(tmp_path)
    printed = []
    for command in "".join(blocks(root, "")).splitlines():
        program, *words = shlex.split(command)
        assert program == "rnnexp"
        assert main(words) == 0, command
        printed.append(capfd.readouterr().out)
    plan, trained, compared, matched, searched, status, retried, cancelled = printed
    assert "12 runs in 2 compile groups" in plan
    assert "12 runs: 12 completed" in trained
    assert "test_loss of all completed runs" in compared
    assert matched.count("parameters (") == 3
    assert "8 trials: " in searched
    assert status == retried == "12 runs: 12 completed\nrnnexp compare runs/sweeps/NAME\n"
    assert "to stop" in cancelled


def test_its_space_file_has_the_points_that_it_should(root: Path, tmp_path: Path) -> None:
    (block,) = blocks(root, "python")
    file = tmp_path / "space.py"
    file.write_text(block)
    space, _ = load_space(str(file))
    found = expand(space, read_base(None))
    names = [point.config.cell.name for point in found]
    assert (names.count("lstm"), names.count("gru")) == (6, 3)
