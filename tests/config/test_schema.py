"""Configurations have durations in one unit, a run id, and values that survive JSON."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ml_collections import FrozenConfigDict

from rnnexp.config.schema import (
    DURATIONS,
    UNITS,
    duration_steps,
    experiment,
    finish,
    flat,
    pairs,
    run_id,
)
from rnnexp.core.errors import UsageError
from rnnexp.core.files import to_json
from tests.helpers.read_config import EVERYTHING, message, read


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("addin/rnn", "task 'addin'. Did you mean 'adding'?"),
        ("adding/lstmm", "cell 'lstmm'. Did you mean 'lstm'?"),
        ("adding", "TASK/CELL"),
    ],
)
def test_an_unknown_experiment_is_refused(name: str, words: str) -> None:
    assert words in message(name=name)


@pytest.mark.parametrize("key", DURATIONS)
def test_one_unit_of_a_duration_replaces_the_default_in_another(key: str) -> None:
    for unit in UNITS:
        values = flat(read(f"{key}_{unit}=3"))
        expected = {u: 3 if u == unit else None for u in UNITS}
        assert {u: values[f"{key}_{u}"] for u in UNITS} == expected


@pytest.mark.parametrize("steps", [5, 2000], ids=["other", "the default"])
def test_a_duration_in_two_units_is_refused(steps: int) -> None:
    said = message(f"train.duration_steps={steps}", "train.duration_epochs=2")
    assert "exactly one of config.train.duration_steps, config.train.duration_epochs" in said


def test_durations_in_steps() -> None:
    def steps(override: str, epoch_steps: int | None = 19) -> int:
        config = read(override)
        return duration_steps(config, "train.duration", batch_size=64, epoch_steps=epoch_steps)

    assert steps("train.duration_steps=7") == 7
    assert steps("train.duration_epochs=3") == 57
    examples = {1: 1, 63: 1, 64: 1, 65: 2, 128: 2, 129: 3}
    assert {n: steps(f"train.duration_examples={n}") for n in examples} == examples
    assert steps("train.duration_examples=65", None) == 2
    with pytest.raises(UsageError, match=r"config\.train\.duration_epochs: adding draws endless"):
        steps("train.duration_epochs=3", None)
    warmup = read("optimizer.warmup_examples=0")
    assert duration_steps(warmup, "optimizer.warmup", batch_size=64, epoch_steps=None) == 0


def changed(value: Any) -> Any:
    """Another value of the same type."""
    match value:
        case None:
            return 7
        case bool():
            return not value
        case str():
            return f"{value}x"
    return value + 1


def test_the_run_id_is_a_function_of_the_configuration() -> None:
    assert run_id(read(name=EVERYTHING)) == run_id(read(name=EVERYTHING))
    ids = {run_id(read(name=EVERYTHING))}
    keys = set(flat(experiment(EVERYTHING))) - {"seed"}
    for key in keys:
        config = experiment(EVERYTHING)
        config.update_from_flattened_dict({key: changed(flat(config)[key])})
        ids.add(run_id(FrozenConfigDict(config)))
    assert len(ids) == len(keys) + 1


def test_the_seed_is_in_the_name_only() -> None:
    ids = [run_id(read(f"seed={seed}")) for seed in (0, 41)]
    assert [name.rpartition("-")[2] for name in ids] == ["seed0", "seed41"]
    assert len({name.rpartition("-")[0] for name in ids}) == 1


def test_every_value_survives_json() -> None:
    for task, cell in pairs():
        values = finish(experiment(f"{task}/{cell}")).to_dict()
        assert json.loads(to_json(values)) == values


def test_the_source_reads_no_undeclared_key(root: Path) -> None:
    pattern = re.compile(r"\bconfig(\.\w+|\[[^\]]*\])*\.get\(")
    files = sorted((root / "rnnexp").rglob("*.py"))
    assert len(files) > 20
    assert [file.name for file in files if pattern.search(file.read_text())] == []
