"""Figures of runs by their names: the headline, and which way scores point."""

from pathlib import Path

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.results.compare import compare
from rnnexp.results.index import read_index
from rnnexp.results.metrics import default_metric, direction
from tests.helpers.synthetic_runs import protocol_runs, write_run


def test_runs_of_one_task_with_two_headlines_are_not_judged_together(tmp_path: Path) -> None:
    write_run(tmp_path, changes={"seed": 0}, valid=0.1, test={"loss": 0.1})
    write_run(tmp_path, changes={"seed": 1}, valid=0.1, test={"loss": 0.1}, headline="nmse")
    with pytest.raises(UsageError, match=r"loss \(lower\), nmse \(lower\)"):
        compare(read_index(tmp_path), ["cell"], "test_loss")
    with pytest.raises(UsageError, match="choose a metric: these runs have the headlines loss"):
        default_metric(read_index(tmp_path))


def test_the_best_validation_score_is_a_metric_itself(tmp_path: Path) -> None:
    protocol_runs(tmp_path)
    records = read_index(tmp_path)
    assert default_metric(records) == "test_loss"
    row = compare(records, ["cell"], "valid_loss")[0]
    assert row["best_setting"]["mean"] == row["best_setting"]["validation"]
    assert row["best_by_validation"]["value"] == row["best_by_validation"]["validation"] == 0.05


def test_which_way_a_score_points(tmp_path: Path) -> None:
    write_run(tmp_path, valid=1.0, headline="speed", higher_is_better=False)
    records = read_index(tmp_path)
    names = ("speed", "loss", "bits_per_character", "free_nmse", "recall_accuracy", "exact")
    ways = [direction(records, f"test_{name}") for name in names]
    assert ways == [False, False, False, False, True, True]
    write_run(tmp_path, "parity/lstm", valid=1.0, headline="speed", higher_is_better=True)
    with pytest.raises(UsageError, match="the runs do not agree"):
        direction(read_index(tmp_path), "test_speed")
