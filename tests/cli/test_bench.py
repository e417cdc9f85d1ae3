"""The command `bench`: its arguments, its tables and its files."""

import json
from pathlib import Path

import pytest

from rnnexp.cli.main import main


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--workloads", "W9"], "unknown workload 'W9'"),
        (["--cells", "lstmm"], "Did you mean 'lstm'"),
        (["--rounds", "0"], "--rounds must be at least 1"),
    ],
)
def test_bad_arguments(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *arguments]) == 2
    assert text in capsys.readouterr().err


@pytest.mark.slow
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every contender in a process of its own, with data and a picture."""
    files = [str(tmp_path / "bench.json"), str(tmp_path / "bench.png")]
    short = ["--rounds", "1", "--seconds", "0.05", "-o", files[0], "--plot", files[1]]
    assert main(["bench", "--workloads", "tiny", "--cells", "lstm", *short]) == 0
    assert "summary" in capsys.readouterr().out
    (found,) = json.loads((tmp_path / "bench.json").read_text())["rows"]
    assert set(found["ms"]) >= {"rnnexp", "rnnexp, scan", "flax.linen.RNN", "flax.nnx.RNN"}
    assert not found["failed"]
    assert (tmp_path / "bench.png").stat().st_size > 1000
