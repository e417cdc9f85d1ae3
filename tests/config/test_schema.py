"""Configurations have durations in one unit, a run id, and values that survive JSON."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ml_collections import FrozenConfigDict

from rnnexp.config.defaults import DURATIONS, LATER, LATER_OF_TASKS, UNITS, WORK
from rnnexp.config.schema import (
    duration_steps,
    experiment,
    finish,
    flat,
    from_saved,
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


@pytest.mark.parametrize("name", ["adding/rnn", EVERYTHING])  # EVERYTHING trains by epochs
@pytest.mark.parametrize("key", DURATIONS)
def test_one_unit_of_a_duration_replaces_the_default_in_another(key: str, name: str) -> None:
    for unit in UNITS:
        values = flat(read(f"{key}_{unit}=3", name=name))
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
        case tuple():
            return (*value, 3)
    return value + 1


def test_the_run_id_is_a_function_of_the_configuration() -> None:
    assert run_id(read(name=EVERYTHING)) == run_id(read(name=EVERYTHING))
    ids = {run_id(read(name=EVERYTHING))}
    keys = set(flat(experiment(EVERYTHING))) - {"seed", *WORK}
    for key in keys:
        config = experiment(EVERYTHING)
        config.update_from_flattened_dict({key: changed(flat(config)[key])})
        ids.add(run_id(FrozenConfigDict(config)))
    assert len(ids) == len(keys) + 1


def test_the_seed_is_in_the_name_only() -> None:
    ids = [run_id(read(f"seed={seed}")) for seed in (0, 41)]
    assert [name.rpartition("-")[2] for name in ids] == ["seed0", "seed41"]
    assert len({name.rpartition("-")[0] for name in ids}) == 1


def test_how_a_process_works_is_not_in_the_name() -> None:
    for key in WORK:
        other = changed(flat(read())[key])
        assert run_id(read(f"{key}={other}")) == run_id(read())


# made by the version before `LATER` had its first key
NAMES = {
    "adding/rnn": "91d9ad216f8f-seed0",
    "copy_memory/lstm": "40793395d850-seed0",
    "mnist/gru": "9882fe232e3d-seed0",
    "mackey_glass/narx": "f5381ebbfd23-seed0",
    "jsb_chorales/lstm": "4d3b0a6bef6a-seed0",
    "reverse/gru": "6f899e4e0cc5-seed0",
}


@pytest.mark.parametrize("name", NAMES)
def test_keys_that_came_later_leave_the_names_of_runs_as_they_were(name: str) -> None:
    assert run_id(finish(experiment(name))) == NAMES[name]


def test_keys_that_came_later_leave_the_names_of_changed_runs_as_they_were() -> None:
    changes = ("seed=3", "task.delay_steps=30", "eval.examples=64")
    assert run_id(read(*changes, name="copy_memory/lstm")) == "e0a83a1f0061-seed3"


@pytest.mark.parametrize(
    ("name", "run"),
    [("char_lm/lstm", "2e812dafb198-seed0"), ("word_lm/gru", "42e390431ea2-seed0")],
)
def test_options_that_came_later_leave_the_names_of_runs_as_they_were(name: str, run: str) -> None:
    config = experiment(name)
    assert run_id(finish(config)) == run
    later = LATER_OF_TASKS[name.partition("/")[0]]
    assert later.items() <= flat(config).items()
    for key, value in later.items():
        config.update_from_flattened_dict({key: True if value is False else "latin-1"})
        assert run_id(finish(config)) != run
        config.update_from_flattened_dict({key: value})


@pytest.mark.parametrize("key", LATER)
def test_a_configuration_without_a_later_key_has_its_value(key: str) -> None:
    config = read()
    assert flat(config)[key] == LATER[key]
    saved = json.loads(to_json(config.to_dict()))
    section, _, last = key.rpartition(".")
    del saved[section][last]
    assert from_saved(saved) == config


def test_every_value_survives_json() -> None:
    def listed(values: Any) -> Any:
        if isinstance(values, dict):
            return {key: listed(value) for key, value in values.items()}
        return list(values) if isinstance(values, tuple) else values

    for task, cell in pairs():
        values = finish(experiment(f"{task}/{cell}")).to_dict()
        assert json.loads(to_json(values)) == listed(values)
    lengths = read("eval.lengths=20,40")
    assert from_saved(json.loads(to_json(lengths.to_dict()))) == lengths


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("0", "from 1 to 1,000,000, such as 20,40; not 0"),
        ("20,-4", "not -4"),
        ("1000001", "not 1000001"),
        ("9" * 400, "not 9999"),
        ("20,40,20", "has 20 more than once"),
        ("1.5", "takes whole numbers with commas, such as 20,40; not '1.5'"),
        ("20 40", "not '20 40'"),
        ("true", "not 'true'"),
        ("20,,40", "not '20,,40'"),
        (",", "not ','"),
    ],
)
def test_lengths_are_different_whole_numbers(value: str, words: str) -> None:
    said = message(f"eval.lengths={value}")
    assert said.partition("config.")[2].startswith("eval.lengths")
    assert words in said


def test_the_source_reads_no_undeclared_key(root: Path) -> None:
    pattern = re.compile(r"\bconfig(\.\w+|\[[^\]]*\])*\.get\(")
    files = sorted((root / "rnnexp").rglob("*.py"))
    assert len(files) > 20
    assert [file.name for file in files if pattern.search(file.read_text())] == []
