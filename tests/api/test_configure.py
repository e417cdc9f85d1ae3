"""The configuration of an experiment from Python is that of the same command line."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import rnnexp
from rnnexp.config.overrides import configuration, from_command_line
from rnnexp.config.schema import run_id

CHANGES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"optimizer.learning_rate": 1e-3}, ["optimizer.learning_rate=1e-3"]),
    ({"optimizer.learning_rate": 0.1 + 0.2}, [f"optimizer.learning_rate={0.1 + 0.2!r}"]),
    ({"optimizer.learning_rate": 1}, ["optimizer.learning_rate=1"]),
    ({"cell": {"hidden_size": np.int64(7)}}, ["cell.hidden_size=7"]),
    ({"cell.forget_bias": jnp.array(0.5)}, ["cell.forget_bias=0.5"]),
    ({"model.bidirectional": True, "seed": 3}, ["model.bidirectional=true", "seed=3"]),
    ({"train.duration_examples": 640}, ["train.duration_examples=640"]),
    ({"eval.lengths": [20, 40]}, ["eval.lengths=20,40"]),
    ({"eval.lengths": np.array([20, 40])}, ["eval.lengths=(20, 40)"]),
    ({"optimizer.name": "sgd"}, ["optimizer.name=sgd"]),
]


@pytest.mark.parametrize(("changes", "typed"), CHANGES)
def test_values_are_those_of_the_command_line(changes: dict[str, Any], typed: list[str]) -> None:
    from_python = rnnexp.finish(rnnexp.experiment("adding/lstm", changes))
    typed_in = from_command_line("adding/lstm", [f"--config.{text}" for text in typed])
    assert from_python == typed_in
    assert run_id(from_python) == run_id(typed_in)
    again = configuration(from_python)
    assert run_id(again) == run_id(typed_in)


def test_a_head_is_an_argument_or_a_change() -> None:
    one = rnnexp.experiment("jsb_chorales/lstm", head="nade")
    assert one == rnnexp.experiment("jsb_chorales/lstm", {"head.name": "nade"})
    assert one.head.name == "nade"


def test_a_configuration_that_is_given_stays_as_it_is() -> None:
    config = rnnexp.experiment("adding/lstm")
    before = config.to_dict()
    changed = configuration(config, {"cell.hidden_size": 5, "train.duration_examples": 64})
    assert changed.cell.hidden_size == 5
    assert config.to_dict() == before


def test_a_duration_may_be_set_in_another_unit_of_every_start(tmp_path: Path) -> None:
    config = rnnexp.experiment("adding/lstm")
    config.train.duration_examples = 640
    assert configuration(config) == configuration("adding/lstm", {"train.duration_examples": 640})
    finished = configuration("adding/lstm")
    assert configuration(finished, {"train.duration_examples": 640}) == configuration(config)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimizer.lr": 1}, "Did you mean 'config.optimizer.learning_rate'"),
        ({"hidden": 1}, "Did you mean 'config.cell.hidden_size'"),
        ({"optimizer": {"lerning_rate": 1}}, "Did you mean 'config.optimizer.learning_rate'"),
        ({"cell.hidden_size": "many"}, "config.cell.hidden_size=many"),
        ({"cell.hidden_size": 1.5}, "config.cell.hidden_size=1.5"),
        ({"seed": None}, "config.seed must have a value, not None"),
        ({"train.duration_steps": None}, "set the duration in another unit"),
        ({"seed": object()}, "config.seed takes a number or a text"),
        ({"eval.lengths": [1.5]}, "config.eval.lengths takes whole numbers"),
        ({3: 1}, "a configuration key is a text"),
        ({"task.name": "copy"}, "choose another TASK/CELL"),
        ("nade", "values by dotted key"),
    ],
)
def test_what_cannot_be_is_refused_by_name(changes: Any, words: str) -> None:
    with pytest.raises(rnnexp.UsageError, match=words):
        rnnexp.experiment("adding/lstm", changes)
    with pytest.raises(rnnexp.UsageError, match=words):
        rnnexp.run("adding/lstm", changes)


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ("adding/lstn", "Did you mean 'lstm'"),
        ("lstm", "an experiment is named TASK/CELL"),
        (Path("none.py"), "no config file 'none.py'"),
        (3, "not a int"),
    ],
)
def test_a_start_that_cannot_be_is_refused(start: Any, words: str) -> None:
    with pytest.raises(rnnexp.UsageError, match=words):
        configuration(start)
