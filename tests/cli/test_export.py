"""The command `export`: which runs it writes, and what it says."""

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from rnnexp.cli.export import add_arguments, export_command
from rnnexp.cli.main import main
from tests.helpers.exported import needed
from tests.helpers.logged_runs import write_logged_run
from tests.helpers.synthetic_runs import write_plan


def test_the_command_exports_what_is_meant_by_its_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    needed("tensorboard")
    plan: list[tuple[str, dict[str, Any]]] = [("adding/lstm", {"seed": seed}) for seed in range(3)]
    write_plan(tmp_path / "runs" / "sweeps" / "one", plan)
    paths = [write_logged_run(tmp_path / "runs", *entry) for entry in plan[:2]]
    parser = argparse.ArgumentParser()
    add_arguments(parser)

    def call(*arguments: str) -> list[dict[str, str]]:
        line = [*arguments, "--to", "tensorboard", "-o", str(tmp_path / "out")]
        known = parser.parse_args(line)
        known.runs_dir, known.json = tmp_path / "runs", True
        assert export_command(known, []) == 0
        rows: list[dict[str, str]] = json.loads(capsys.readouterr().out)
        return rows

    (row,) = call(paths[1].name)
    assert (row["run"], row["export"]) == (str(paths[1]), "new")
    with caplog.at_level(logging.WARNING, "rnnexp"):
        rows = call(str(tmp_path / "runs" / "sweeps" / "one"))
    assert [row["export"] for row in rows] == ["new", "replaced"]
    assert "1 runs of" in caplog.text
    assert len(list((tmp_path / "out").rglob("events.out.tfevents.*"))) == 2


def test_an_export_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needed("tensorboard")
    path = write_logged_run(tmp_path / "runs")
    out = tmp_path / "out"
    assert main(["export", str(path), "--to", "tensorboard", "-o", str(out)]) == 0
    assert f"tensorboard --logdir {out}" in capsys.readouterr().out


def test_a_sweep_that_has_not_begun_exports_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = tmp_path / "sweeps" / "one"
    write_plan(sweep, [("adding/lstm", {"seed": 0})])
    assert main(["export", str(sweep), "--to", "tensorboard", "-o", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out == "exported to tensorboard\n"
