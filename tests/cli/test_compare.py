"""The command `compare`: single runs by any of their names, and directories by groups."""

import argparse
import json
import math
from pathlib import Path

import pytest

from rnnexp.cli.compare import add_arguments, compare_command
from rnnexp.core.errors import UsageError
from rnnexp.core.files import to_json
from rnnexp.results.index import read_index
from rnnexp.results.side_by_side import as_data
from tests.helpers.logged_runs import logged
from tests.helpers.synthetic_runs import write_lengths, write_run

RATE = "optimizer.learning_rate"


def call(runs_dir: Path, *arguments: str) -> int:
    """`rnnexp compare` without the process around it."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    parser.add_argument("--json", action="store_true")
    known = parser.parse_args(arguments)
    known.runs_dir = runs_dir
    return compare_command(known, [])


def test_the_command_takes_runs_by_any_of_their_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = logged(tmp_path, ("adding/lstm", {RATE: 0.1}), ("adding/gru", {}))
    assert call(tmp_path, "adding/lstm", two.path.name, "--json") == 0
    data = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert data == json.loads(to_json(as_data([one, two])))
    assert [run["run"] for run in data["runs"]] == [str(one.path), str(two.path)]
    assert data["profiles"][0]["runs"][0][1]["norms"]["T-1"] == pytest.approx(math.exp(-0.4 * 20))
    assert call(tmp_path, str(one.path), str(two.path), "-o", str(tmp_path / "fig.svg")) == 0
    out = capsys.readouterr().out
    for words in ("runs side by side", "lag T/4", "what differs", f"drawn: {tmp_path / 'fig.svg'}"):
        assert words in out
    assert (tmp_path / "fig.svg").read_text().startswith("<?xml")


def test_one_run_or_options_of_groups_with_runs_are_refused(tmp_path: Path) -> None:
    one, two = logged(tmp_path, ("adding/lstm", {}), ("adding/gru", {}))
    for name in (str(one.path), "adding/lstm", "nothing"):
        with pytest.raises(UsageError, match="or two runs or more"):
            call(tmp_path, name)
    with pytest.raises(UsageError, match="--by, --x: for the groups of a directory"):
        call(tmp_path, str(one.path), str(two.path), "--by", "cell", "--x", RATE)
    with pytest.raises(UsageError, match="Did you mean 'adding/gru'"):
        call(tmp_path, "adding/lstm", "adding/gr")


def test_a_directory_is_still_compared_by_groups(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logged(tmp_path, ("adding/lstm", {}), ("adding/gru", {}))
    for flag in ("-o", "--output", "--plot"):
        file = tmp_path / f"{flag.strip('-')}.png"
        assert call(tmp_path, str(tmp_path), flag, str(file)) == 0
        assert file.read_bytes().startswith(b"\x89PNG")
    assert "test_loss of all completed runs" in capsys.readouterr().out


def test_a_directory_of_runs_has_a_table_by_length(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_lengths(tmp_path)
    assert call(tmp_path, str(tmp_path), "--x", "length", "-o", str(tmp_path / "fig.svg")) == 0
    out = capsys.readouterr().out
    assert "test_loss by length (steps) of all completed runs" in out
    assert (tmp_path / "fig.svg").exists()
    assert call(tmp_path, str(tmp_path), "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert [row["group"]["length"] for row in data["by_length"]] == [20, 40]
    names = [record.path for record in read_index(tmp_path)]
    assert call(tmp_path, *names[:2]) == 0
    out = capsys.readouterr().out
    assert "test by length" in out
    assert call(tmp_path, *names[:2], "--json") == 0
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert [run["by_length"]["test"]["40"]["loss"] for run in runs] == [0.25, 0.5]


def test_a_picture_over_the_length_needs_tests_at_lengths(tmp_path: Path) -> None:
    write_run(tmp_path, valid=0.3, test={"loss": 0.4})
    with pytest.raises(UsageError, match="none of these runs was tested at other lengths"):
        call(tmp_path, str(tmp_path), "--x", "length", "-o", str(tmp_path / "fig.svg"))
