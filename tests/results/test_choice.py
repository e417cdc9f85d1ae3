"""The choice of settings and runs: by validation, never by test."""

import math
from pathlib import Path
from typing import Any

import pytest

from rnnexp.results.compare import compare
from rnnexp.results.groups import settings
from rnnexp.results.index import load_records, read_index
from tests.helpers.synthetic_runs import protocol_runs, write_plan, write_run

RATE = "optimizer.learning_rate"


def test_the_setting_and_the_run_are_chosen_by_validation_and_not_by_test(tmp_path: Path) -> None:
    runs = protocol_runs(tmp_path)
    row = compare(read_index(tmp_path), ["cell"], "test_loss")[0]
    best = row["best_setting"]
    assert best["setting"] == {RATE: 1e-3}
    assert (best["settings"], best["runs"], best["seeds"]) == (3, 3, 3)
    assert best["validation"] == pytest.approx(0.101)
    assert (best["mean"], best["median"]) == pytest.approx((0.31, 0.31))
    assert 0.30 <= best["low"] < best["mean"] < best["high"] <= 0.32
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


def test_settings_are_told_apart_by_few_keys_and_by_all_that_are_swept(tmp_path: Path) -> None:
    plan: list[tuple[str, dict[str, Any]]] = [
        (f"adding/{cell}", {RATE: rate, "clip.threshold": 100 * rate, "seed": seed})
        for cell in ("lstm", "gru") for rate in (1e-2, 1e-3) for seed in (0, 1)
    ]  # fmt: skip
    write_plan(tmp_path / "sweep", plan, runs_dir="..")
    for name, changes in plan:
        write_run(tmp_path, name, changes, valid=0.1, test={"loss": 0.1})
    plain, swept = (settings(load_records(path)) for path in (tmp_path, tmp_path / "sweep"))
    assert [len(setting.records) for setting in plain] == [2] * 4
    assert {tuple(setting.values) for setting in plain} == {("cell.name", "clip.threshold")}
    assert {tuple(setting.values) for setting in swept} == {("cell.name", "clip.threshold", RATE)}
