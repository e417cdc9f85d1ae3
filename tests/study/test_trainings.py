"""A study's trainings: planned once, chosen by validation, measured, and timed."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.results.summary import Best, Record
from rnnexp.study import trainings as module
from rnnexp.study.claims import Runs
from rnnexp.study.trainings import busy_seconds, collect, plan_study, trainings
from rnnexp.sweep.launch import train_all
from tests.helpers.small_study import QUICK, number, quick, small_study


def test_every_seed_and_setting_is_a_training_and_equal_ones_are_one_run() -> None:
    rates = [{"optimizer.learning_rate": 1e-3}, {"optimizer.learning_rate": 1e-2}]
    group = replace(quick("lstm", "lstm", 2), settings=rates)
    same = Runs("again", "adding/lstm", {**QUICK, "optimizer.learning_rate": 1e-2}, seeds=2)
    made = trainings(small_study(number(), groups=[group, same]))
    assert [(t.group, t.seed, t.setting) for t in made] == [
        ("lstm", 0, 0), ("lstm", 0, 1), ("lstm", 1, 0), ("lstm", 1, 1),
        ("again", 0, 0), ("again", 1, 0),
    ]  # fmt: skip
    assert [t.config.optimizer.learning_rate for t in made] == [1e-3, 1e-2, 1e-3, 1e-2, 1e-2, 1e-2]
    plan, names = plan_study(made)
    assert len(plan.runs) == 4
    assert names[4:] == [names[1], names[3]]


def test_settings_may_be_drawn_for_each_seed() -> None:
    def draw(seed: int) -> list[dict[str, float]]:
        return [{"optimizer.learning_rate": 0.1 / (seed + 1)}]

    made = trainings(
        small_study(number(), groups=[replace(quick("lstm", "lstm", 2), settings=draw)])
    )
    assert [t.config.optimizer.learning_rate for t in made] == [0.1, 0.05]


def test_bad_key_names_study_group_and_seed() -> None:
    group = Runs("lstm", "adding/lstm", {"cell.hiden_size": 3}, seeds=2)
    with pytest.raises(UsageError, match=r"study small, group 'lstm', seed 0: .*Did you mean"):
        trainings(small_study(number(), groups=[group]))


def test_best_by_validation_is_chosen() -> None:
    def record(run: str, value: float, status: str = "completed", higher: bool = False) -> Record:
        return Record(run, run, status, best=Best("loss", value, 1, higher))

    low, high = record("a", 1.0), record("b", 2.0)
    assert module._chosen([high, low]).run == "a"
    up = [record("a", 1.0, higher=True), record("b", 2.0, higher=True)]
    assert module._chosen(up).run == "b"
    lost = record("c", 0.1, "diverged")
    assert module._chosen([lost, high, record("d", math.nan)]).run == "b"
    assert module._chosen([lost]).run == "c"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[module.Training], list[str]]:
    runs_dir = tmp_path_factory.mktemp("runs")
    found = trainings(small_study())
    train_all([training.config for training in found], runs_dir, width=4)
    return runs_dir, found, plan_study(found)[1]


def test_measures_are_metrics_functions_and_computed(
    made: tuple[Path, list[module.Training], list[str]],
) -> None:
    runs_dir, found, names = made
    measured = collect(small_study(), found, names, runs_dir)
    assert {group: list(seeds) for group, seeds in measured.items()} == {
        "lstm": [0, 1, 2, 3], "rnn": [0, 1, 2, 3], "by hand": [0],
    }  # fmt: skip
    first = measured["lstm"][0]
    status = json.loads((runs_dir / first.run / "status.json").read_text())
    assert first.values["test_loss"] == status["test"]["loss"]
    assert first.values["solved after"] == 0  # the record before the first update
    assert measured["by hand"][0].values == {"value": 1.0}
    assert "solved after" not in measured["rnn"][0].values  # no claim needs it


def test_unknown_measure_and_missing_training_are_said(
    made: tuple[Path, list[module.Training], list[str]], tmp_path: Path
) -> None:
    runs_dir, found, names = made
    with pytest.raises(UsageError, match=r"unknown measure 'test_los'. Did you mean 'test_loss'"):
        collect(small_study(number(measure="test_los")), found, names, runs_dir)
    with pytest.raises(UsageError, match="8 of 8 trainings of study small have not ended"):
        collect(small_study(), found, names, tmp_path)


def test_time_counts_once_for_runs_side_by_side_and_not_between_stops(tmp_path: Path) -> None:
    def write(name: str, times: list[float]) -> Path:
        path = tmp_path / name
        path.mkdir()
        (path / "config.json").write_text("{}")
        (path / "status.json").write_text('{"status": "completed", "step": 1, "reason": ""}')
        rows = [{"kind": "train", "step": n, "loss": 1.0, "time": t} for n, t in enumerate(times)]
        (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    one, other = write("a", [0.0, 10, 20, 9000, 9010]), write("b", [5.0, 25])
    assert busy_seconds([one]) == 30
    assert busy_seconds([one, other, one]) == 35
    assert busy_seconds([]) == 0
