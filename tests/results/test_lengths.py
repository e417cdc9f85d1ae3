"""Runs by the length at which they were tested: means and intervals over seeds."""

import json
from pathlib import Path

import pytest
from scipy import stats  # type: ignore[import-untyped]

import rnnexp
from rnnexp.core.errors import UsageError
from rnnexp.results.index import INDEX, read_index
from rnnexp.results.lengths import LENGTH, at_lengths, compare_lengths, require_lengths
from tests.helpers.synthetic_runs import write_lengths, write_many, write_run


def test_a_run_has_a_record_for_each_length(tmp_path: Path) -> None:
    write_lengths(tmp_path)
    write_run(tmp_path, "adding/gru", valid=0.3, test={"loss": 0.4})
    found = at_lengths(read_index(tmp_path))
    assert [(r.keys["seed"], r.keys[LENGTH], r.test["loss"]) for r in found] == [
        (0, 20, 0.1), (0, 40, 0.25), (1, 20, 0.1), (1, 40, 0.5), (2, 20, 0.1), (2, 40, 0.75)
    ]  # fmt: skip
    assert require_lengths(read_index(tmp_path)) == found


def test_means_and_intervals_are_over_the_seeds(tmp_path: Path) -> None:
    write_lengths(tmp_path)
    rows = compare_lengths(read_index(tmp_path), ["cell"], "test_loss")
    assert [row["group"] for row in rows] == [
        {"cell": "lstm", LENGTH: 20}, {"cell": "lstm", LENGTH: 40}
    ]  # fmt: skip
    assert [row["unit"] for row in rows] == ["steps", "steps"]
    assert [row["completed"] for row in rows] == [3, 3]
    equal, longer = rows
    assert equal["low"] is None
    low, high = stats.t.interval(0.95, 2, loc=0.5, scale=0.25 / 3**0.5)
    figures = [longer[name] for name in ("mean", "least", "greatest", "low", "high")]
    assert figures == pytest.approx([0.5, 0.25, 0.75, low, high])


def test_there_are_no_rows_without_such_tests_or_for_another_score(tmp_path: Path) -> None:
    write_run(tmp_path, "adding/gru", valid=0.3, test={"loss": 0.4})
    records = read_index(tmp_path)
    assert compare_lengths(records, ["cell"], "test_loss") == []
    with pytest.raises(UsageError, match=r"config\.eval\.lengths=20,40"):
        require_lengths(records)
    write_lengths(tmp_path)
    records = read_index(tmp_path)
    assert compare_lengths(records, ["cell"], "valid_loss") == []
    assert compare_lengths(records, ["cell"], "test_accuracy") == []
    assert len(compare_lengths(records, ["cell"], "test_loss")) == 2


def test_the_index_keeps_the_scores_by_length(tmp_path: Path) -> None:
    write_many(tmp_path, 100)
    write_lengths(tmp_path, "adding/scrn")
    read = read_index(tmp_path)
    assert (tmp_path / INDEX).exists()
    assert read_index(tmp_path) == read
    assert len(at_lengths(read)) == 6


def test_a_table_of_runs_has_a_column_for_each_length(tmp_path: Path) -> None:
    write_lengths(tmp_path)
    table = rnnexp.load_runs(tmp_path).sort_values("config.seed")
    assert table["test_loss@40"].tolist() == [0.25, 0.5, 0.75]
    assert table["config.eval.lengths"].tolist() == ["", "", ""]


def test_runs_of_before_and_after_the_key_are_one_setting(tmp_path: Path) -> None:
    names = [
        write_run(tmp_path, changes={"seed": n}, valid=0.3, test={"loss": 0.4}) for n in (0, 1)
    ]
    file = tmp_path / names[0] / "config.json"
    config = json.loads(file.read_text())
    del config["eval"]["lengths"]
    file.write_text(json.dumps(config))
    one, two = (record.keys for record in read_index(tmp_path))
    assert one | {"seed": 1} == two | {"seed": 1}
