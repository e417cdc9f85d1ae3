"""Groups of runs: their figures, what is counted, refused and printed."""

import logging
import os
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from rnnexp.cli.plain import plain_table
from rnnexp.core.errors import UsageError
from rnnexp.core.files import to_json
from rnnexp.report.compare_tables import comparison_tables, rank_table
from rnnexp.results.compare import as_data, compare, rank
from rnnexp.results.index import load_records, read_index
from rnnexp.results.metrics import default_metric
from rnnexp.results.summary import Record
from tests.helpers.synthetic_runs import protocol_runs, write_many, write_plan, write_run

RATE = "optimizer.learning_rate"


def test_means_are_over_the_completed_runs_of_a_group(tmp_path: Path) -> None:
    write_many(tmp_path, 280)
    records = read_index(tmp_path)
    for row in compare(records, ["cell", "task"], "test_loss"):
        group = row["group"]
        values = [
            record.test["loss"]
            for record in records
            if record.run.startswith(f"{group['task']}/{group['cell']}/") and record.test
        ]
        assert row["completed"] == len(values) > 20
        assert row["mean"] == pytest.approx(np.mean(values), rel=1e-12)
        assert row["median"] == pytest.approx(np.median(values), rel=1e-12)
        expected = stats.bootstrap((values,), np.mean, method="percentile", rng=1)
        np.testing.assert_allclose((row["low"], row["high"]), expected.confidence_interval, 0.02)


def test_every_run_is_counted_once_with_what_became_of_it(tmp_path: Path) -> None:
    ends = ["completed", "diverged", "failed", "pruned", "interrupted", "running", "damaged"]
    plan: list[tuple[str, dict[str, Any]]] = [
        ("adding/lstm", {"seed": seed}) for seed in range(len(ends) + 2)
    ]
    write_plan(tmp_path / "sweep", plan, runs_dir="..")
    for (name, changes), status in zip(plan, ends, strict=False):
        run = write_run(tmp_path, name, changes, status=status, test={"loss": 0.5}, valid=0.5)
        (tmp_path / run / "lock").touch()
        if status == "damaged":
            (tmp_path / run / "status.json").write_text("{")
    write_run(tmp_path, *plan[-2], test={"accuracy": 0.5})
    row = compare(load_records(tmp_path / "sweep"), ["cell"], "test_loss")[0]
    counts = {key: row[key] for key in ("runs", "completed", "diverged", "failed")}
    assert counts == {"runs": 9, "completed": 1, "diverged": 1, "failed": 1}
    assert row["other"] == {
        "damaged": 1, "interrupted": 1, "killed": 1, "pruned": 1, "waiting": 1,
        "without test_loss": 1,
    }  # fmt: skip
    assert sum(row["other"].values()) + 3 == row["runs"]
    (_, table), *_ = comparison_tables([row], "test_loss")
    assert table[0]["other"].startswith("1 damaged, 1 interrupted, 1 killed, 1 pruned")


def test_a_damaged_run_of_a_runs_directory_is_counted_in_its_cell(tmp_path: Path) -> None:
    runs = protocol_runs(tmp_path)
    (tmp_path / runs["chosen"][0] / "config.json").unlink()
    row = compare(read_index(tmp_path), ["task", "cell"], "test_loss")[0]
    assert (row["runs"], row["completed"], row["other"]) == (9, 7, {"damaged": 1})
    assert row["best_setting"]["seeds"] == 2
    rows = compare(read_index(tmp_path), [RATE], "test_loss")
    assert [row["group"][RATE] for row in rows] == [None, 1e-3, 1e-2, 1e-1]


def test_tasks_and_their_options_are_never_averaged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for task, key, values in (("adding", "length_steps", (50, 100)), ("parity", None, (0,))):
        for value in values:
            changes = {f"task.{key}": value} if key else {}
            write_run(tmp_path, f"{task}/lstm", changes, test={"loss": 0.1}, valid=0.1)
    with caplog.at_level(logging.INFO, "rnnexp"):
        rows = compare(read_index(tmp_path), ["cell"], "test_loss")
    assert [row["runs"] for row in rows] == [1, 1, 1]
    assert [list(row["group"]) for row in rows] == [["task", "task.length_steps", "cell"]] * 3
    assert "grouped by task, task.length_steps as well" in caplog.text
    caplog.clear()
    compare([r for r in read_index(tmp_path) if "parity" in r.run], ["cell"], "test_loss")
    assert caplog.text == ""


def test_rows_are_in_the_order_of_their_values(tmp_path: Path) -> None:
    for rate in (1e-5, 2.0, 3e-2, 10.0):
        for cell in ("lstm", "gru"):
            write_run(tmp_path, f"adding/{cell}", {RATE: rate}, test={"loss": rate})
    rows = compare(read_index(tmp_path), ["cell", RATE], "test_loss")
    expected = [(c, r) for c in ("gru", "lstm") for r in (1e-5, 3e-2, 2.0, 10.0)]
    assert [tuple(row["group"].values()) for row in rows] == expected
    assert [row["mean"] for row in rows] == [r for _, r in expected]


def test_output_is_the_same_byte_for_byte_wherever_and_whenever_the_runs_are_read(
    tmp_path: Path,
) -> None:
    def output(records: list[Record]) -> str:
        rows = compare(records, ["cell"], "test_loss")
        ranking = rank(records, metric="test_loss")
        text = to_json(as_data(rows, "test_loss", ranking))
        tables = [*comparison_tables(rows, "test_loss"), ("rank", rank_table(ranking))]
        return text + "".join(plain_table(title, table) for title, table in tables)

    write_many(tmp_path / "runs", 300)
    for seed, loss in enumerate(np.random.default_rng(0).lognormal(-9, 1, 30).tolist()):
        write_run(tmp_path / "runs", changes={"seed": seed}, valid=loss, test={"loss": loss})
    first = output(read_index(tmp_path / "runs"))
    shuffled = read_index(tmp_path / "runs")  # now from the cache
    for turn in range(5):
        random.Random(turn).shuffle(shuffled)
        assert output(shuffled) == first
    shutil.copytree(tmp_path / "runs", tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / ".index.json").unlink()
    for file in (tmp_path / "elsewhere").rglob("status.json"):
        os.utime(file)
    assert output(read_index(tmp_path / "elsewhere")) == first


def test_wrong_keys_and_metrics_are_named_with_those_there_are(tmp_path: Path) -> None:
    protocol_runs(tmp_path)
    records = read_index(tmp_path)
    for by, metric, message in (
        ("optimizer.learning_rat", "test_loss", "Did you mean 'optimizer.learning_rate'"),
        ("cel", "test_loss", "unknown configuration key 'cel'. Did you mean 'cell'"),
        ("cell", "test_accuracy", "unknown metric 'test_accuracy'.*Known: test_loss, valid_loss"),
        ("cell", "valid_accuracy", "'valid_loss'.*Of validation only the headline is kept"),
        ("cell", "loss", "Did you mean 'test_loss'"),
    ):
        with pytest.raises(UsageError, match=message):
            compare(records, [by], metric)


def test_runs_of_one_task_with_two_headlines_are_not_judged_together(tmp_path: Path) -> None:
    write_run(tmp_path, changes={"seed": 0}, valid=0.1, test={"loss": 0.1})
    write_run(tmp_path, changes={"seed": 1}, valid=0.1, test={"loss": 0.1}, headline="nmse")
    with pytest.raises(UsageError, match=r"loss \(lower\), nmse \(lower\)"):
        compare(read_index(tmp_path), ["cell"], "test_loss")
    with pytest.raises(UsageError, match="choose a metric: these runs have the headlines loss"):
        default_metric(read_index(tmp_path))


def test_while_no_run_is_completed_there_are_counts_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_run(tmp_path, status="diverged", valid=0.3)
    row = compare(read_index(tmp_path), ["cell"], "test_loss")[0]
    assert (row["diverged"], row["mean"], row["best_setting"]) == (1, None, None)
    assert row["best_by_validation"] is None
    assert "no run is completed yet: there is no test_loss" in caplog.text
    assert [len(table) for _, table in comparison_tables([row], "test_loss")] == [1]
    with pytest.raises(UsageError, match="unknown metric 'loss'"):
        compare(read_index(tmp_path), ["cell"], "loss")


def test_the_best_validation_score_is_a_metric_itself(tmp_path: Path) -> None:
    protocol_runs(tmp_path)
    records = read_index(tmp_path)
    assert default_metric(records) == "test_loss"
    row = compare(records, ["cell"], "valid_loss")[0]
    assert row["best_setting"]["mean"] == row["best_setting"]["validation"]
    assert row["best_by_validation"]["value"] == row["best_by_validation"]["validation"] == 0.05


def test_a_metric_that_only_some_tasks_have_is_said_to_be_missing_in_the_others(
    tmp_path: Path,
) -> None:
    write_run(tmp_path, "adding/lstm", test={"loss": 0.1}, valid=0.1)
    write_run(
        tmp_path, "digits/lstm", test={"accuracy": 0.9}, valid=0.9, headline="accuracy",
        higher_is_better=True,
    )  # fmt: skip
    adding, digits = compare(read_index(tmp_path), ["task"], "test_accuracy")
    assert (adding["completed"], adding["other"]) == (0, {"without test_accuracy": 1})
    assert (adding["mean"], adding["best_setting"]["mean"]) == (None, None)
    assert (digits["completed"], digits["mean"]) == (1, 0.9)
    assert len(comparison_tables([adding, digits], "test_accuracy")[0][1]) == 2
    adding, digits = compare(read_index(tmp_path), ["task"], "valid_accuracy")
    assert (adding["mean"], digits["mean"]) == (None, 0.9)


def test_tables_have_like_columns_and_every_figure(tmp_path: Path) -> None:
    protocol_runs(tmp_path)
    write_run(tmp_path, "adding/gru", status="failed")
    rows = compare(read_index(tmp_path), ["cell"], "test_loss")
    tables = comparison_tables(rows, "test_loss")
    assert [len(table) for _, table in tables] == [2, 1, 1]
    for _, table in tables:
        assert len({tuple(row) for row in table}) == 1
    assert (tables[0][1][0]["cell"], tables[0][1][0]["mean"]) == ("gru", "-")
    chosen = tables[1][1][0]
    assert (chosen["setting"], chosen["of"], chosen["seeds"]) == (f"{RATE}=0.001", 3, "3")
    assert chosen["mean"] == pytest.approx(0.31)
    assert tables[2][1][0]["test_loss"] == 0.5
