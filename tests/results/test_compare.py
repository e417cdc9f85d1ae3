"""Groups of runs: their figures, the setting chosen by validation, and ranks over tasks."""

import math
import os
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from rnnexp.cli.output import plain_table
from rnnexp.core.errors import UsageError
from rnnexp.core.files import to_json
from rnnexp.report.compare_tables import comparison_tables, rank_table
from rnnexp.results.compare import as_data, compare, rank
from rnnexp.results.index import load_records, read_index
from rnnexp.results.summary import Record
from tests.helpers.synthetic_runs import protocol_runs, write_many, write_plan, write_run

RATE = "optimizer.learning_rate"
SCORES = {
    "adding": {"lstm": 0.1, "gru": 0.2, "rnn": 0.3},
    "parity": {"lstm": 0.5, "gru": 0.4, "rnn": 0.5},
    "temporal_order": {"lstm": 0.3, "rnn": 0.1},
}


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


def test_the_setting_and_the_run_are_chosen_by_validation_and_not_by_test(tmp_path: Path) -> None:
    runs = protocol_runs(tmp_path)
    row = compare(read_index(tmp_path), ["cell"], "test_loss")[0]
    best = row["best_setting"]
    assert best["setting"] == {RATE: 1e-3}
    assert (best["settings"], best["runs"], best["seeds"]) == (3, 3, 3)
    assert best["validation"] == pytest.approx(0.101)
    assert (best["mean"], best["median"]) == pytest.approx((0.31, 0.31))
    expected = stats.t.interval(0.95, 2, 0.31, 0.01 / math.sqrt(3))
    assert (best["low"], best["high"]) == pytest.approx(expected)
    assert (best["least"], best["greatest"], best["interval"]) == (0.30, 0.32, "Student's t")
    assert (row["settings"], row["pooled"]) == (3, [RATE])
    chosen = {"run": min(runs["lucky"][:2]), "validation": 0.05, "value": 0.5}
    assert row["best_by_validation"] == chosen
    by_test = min(read_index(tmp_path), key=lambda record: record.test.get("loss", math.inf))
    assert by_test.run == runs["tempting"][0] != chosen["run"]


def test_a_setting_that_diverged_is_chosen_only_if_all_did(tmp_path: Path) -> None:
    def chosen() -> float:
        row = compare(read_index(tmp_path), ["cell"], "test_loss")[0]
        return float(row["best_setting"]["setting"][RATE])

    protocol_runs(tmp_path)
    assert chosen() == 1e-3
    for rate, expected in ((1e-3, 1e-2), (1e-2, 1e-1)):
        ended = {"status": "diverged", "valid": 0.01}
        write_run(tmp_path, changes={RATE: rate, "seed": 9}, **ended)  # type: ignore[arg-type]
        assert chosen() == expected


def test_a_setting_with_a_pruned_run_comes_after_whole_ones_and_before_diverged_ones(
    tmp_path: Path,
) -> None:
    protocol_runs(tmp_path)
    for rate in (1e-3, 1e-2):
        write_run(tmp_path, changes={RATE: rate, "seed": 9}, status="pruned", valid=0.01)
    assert compare(read_index(tmp_path), [], "test_loss")[0]["best_setting"]["setting"] == {
        RATE: 1e-3
    }
    write_run(tmp_path, changes={RATE: 1e-4}, valid=0.9, test={"loss": 0.8})
    assert compare(read_index(tmp_path), [], "test_loss")[0]["best_setting"]["setting"] == {
        RATE: 1e-4
    }


def test_a_headline_that_should_be_high_is_chosen_high(tmp_path: Path) -> None:
    for rate, valid in ((1e-2, 0.7), (1e-3, 0.9)):
        for seed in (0, 1):
            write_run(
                tmp_path, "digits/lstm", {RATE: rate, "seed": seed}, valid=valid - 0.3 * seed,
                headline="accuracy", higher_is_better=True, test={"accuracy": 0.5, "loss": valid},
            )  # fmt: skip
    row = compare(read_index(tmp_path), ["cell"], "test_loss")[0]
    assert row["best_setting"]["setting"] == {RATE: 1e-3}
    assert row["best_by_validation"]["validation"] == 0.9
    assert row["best_setting"]["mean"] == 0.9


@pytest.mark.parametrize("rates", [(1e-1, 1e-2), (1e-2, 1e-1)])
def test_a_validation_score_that_is_no_number_is_never_chosen(
    tmp_path: Path, rates: tuple[float, float]
) -> None:
    write_run(tmp_path, changes={RATE: rates[0]}, valid=math.nan, test={"loss": 0.1})
    name = write_run(tmp_path, changes={RATE: rates[1]}, valid=5.0, test={"loss": 0.2})
    row = compare(read_index(tmp_path), ["cell"], "test_loss")[0]
    assert row["best_setting"]["setting"] == {RATE: rates[1]}
    assert row["best_by_validation"]["run"] == name


def test_a_seed_without_a_finite_validation_ranks_its_setting_last(tmp_path: Path) -> None:
    """As if that seed had diverged: the others are a selection."""
    for seed, valid in ((0, 0.1), (1, math.nan)):
        write_run(tmp_path, changes={RATE: 1e-1, "seed": seed}, valid=valid, test={"loss": 0.1})
    for seed in (0, 1):
        write_run(tmp_path, changes={RATE: 1e-2, "seed": seed}, valid=5.0, test={"loss": 0.2})
    row = compare(read_index(tmp_path), ["cell"], "test_loss")[0]
    assert row["best_setting"]["setting"] == {RATE: 1e-2}


def write_scores(runs_dir: Path) -> list[Record]:
    """Two seeds of each cell a task; the GRU diverged on the last one."""
    for task, cells in SCORES.items():
        for cell, loss in cells.items():
            for seed, shift in enumerate((-0.05, 0.05)):
                ended: dict[str, Any] = {"valid": loss, "test": {"loss": loss + shift, "x": 1.0}}
                write_run(runs_dir, f"{task}/{cell}", {"seed": seed}, **ended)
    write_run(runs_dir, "temporal_order/gru", status="diverged", valid=0.1)
    return read_index(runs_dir)


def test_ranks_over_tasks_are_those_of_the_mean_scores(tmp_path: Path) -> None:
    rows = rank(write_scores(tmp_path), metric="test_loss")
    expected: dict[str, dict[str, float]] = {}
    for task, cells in SCORES.items():
        for cell, value in zip(cells, stats.rankdata(list(cells.values())), strict=True):
            expected.setdefault(cell, {})[task] = value
    assert {row["cell"]: row["ranks"] for row in rows} == expected
    for row in rows:
        assert row["rank"] == pytest.approx(np.mean(list(expected[row["cell"]].values())))
    assert [row["rank"] for row in rows] == sorted(row["rank"] for row in rows)
    missing = {row["cell"]: (row["tasks"], row["missing"]) for row in rows}
    assert missing["gru"] == (2, {"temporal_order": "1 diverged"})
    assert missing["lstm"] == (3, {})
    table = {row["cell"]: row for row in rank_table(rows)}
    assert table["gru"]["temporal_order"] == "-"
    assert table["gru"]["missing"] == "temporal_order: 1 diverged"


def test_ranks_turn_round_where_more_is_better(tmp_path: Path) -> None:
    records = write_scores(tmp_path)
    down, up = (
        {row["cell"]: row["ranks"] for row in rank(records, metric="test_loss", higher_is_better=h)}
        for h in (False, True)
    )
    assert down["lstm"]["adding"] == up["rnn"]["adding"] == 1
    with pytest.raises(UsageError, match="cannot tell whether a higher test_x is better"):
        rank(records, metric="test_x")
