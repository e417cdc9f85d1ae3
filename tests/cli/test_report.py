"""The command `report` writes a page and tells its size."""

import argparse
import json
from pathlib import Path

import pytest

from rnnexp.cli.main import main
from rnnexp.cli.report import add_arguments, report_command
from tests.helpers.logged_runs import write_logged_run
from tests.helpers.report_runs import write_three_settings


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three settings of two tasks, made once."""
    return write_three_settings(tmp_path_factory.mktemp("runs"))


def test_the_command_writes_and_tells(
    runs_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    add_arguments(parser)
    file = tmp_path / "page.html"
    assert report_command(parser.parse_args([str(runs_dir), "-o", str(file)]), []) == 0
    size = file.stat().st_size
    assert capsys.readouterr().out == f"written: {file} ({size / 1e6:.1f} MB, 4 runs)\n"
    report_command(parser.parse_args([str(runs_dir), "-o", str(file), "--json"]), [])
    told = json.loads(capsys.readouterr().out)
    assert told == {"file": str(file), "size": size, "runs": 4, "notes": []}


def test_a_report_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_logged_run(tmp_path / "runs")
    page = tmp_path / "page.html"
    assert main(["report", str(tmp_path / "runs"), "-o", str(page)]) == 0
    assert capsys.readouterr().out.startswith(f"written: {page} (")
    assert path.name in page.read_text()
