"""Groups: runs share a program exactly where the program is the same."""

from typing import Any

import pytest
from ml_collections import FrozenConfigDict

from rnnexp.config.schema import experiment, finish
from rnnexp.sweep.program_groups import group_runs


def configured(name: str, **changes: Any) -> FrozenConfigDict:
    """An experiment with changed keys."""
    config = experiment(name)
    config.update_from_flattened_dict({k.replace("__", "."): v for k, v in changes.items()})
    return finish(config)


VALUES: list[dict[str, Any]] = [
    {"seed": 1},
    {"optimizer__learning_rate": 0.5},
    {"optimizer__momentum": 0.5},
    {"optimizer__weight_decay": 0.5},
    {"clip__threshold": 0.5},
    {"model__dropout": 0.4},
    {"model__recurrent_dropout": 0.4},
]
BRANCHES: list[dict[str, Any]] = [
    {"model__dropout": 0.0},
    {"model__recurrent_dropout": 0.0},
    {"model__zoneout": 0.1},
    {"train__batch_size": 16},
    {"cell__hidden_size": 16},
    {"optimizer__name": "sgd"},
    {"clip__name": "value"},
    {"task__length_steps": 20},
    {"train__duration_steps": 300},
]
BASE = {"model__num_layers": 2, "model__dropout": 0.2, "model__recurrent_dropout": 0.2}


@pytest.mark.parametrize("change", VALUES, ids=str)
def test_a_value_shares_the_program(change: dict[str, Any]) -> None:
    pair = [configured("adding/lstm", **BASE), configured("adding/lstm", **{**BASE, **change})]
    assert group_runs(pair) == [0, 0]


@pytest.mark.parametrize("change", BRANCHES, ids=str)
def test_a_shape_or_a_branch_opens_a_group(change: dict[str, Any]) -> None:
    pair = [configured("adding/lstm", **BASE), configured("adding/lstm", **{**BASE, **change})]
    assert group_runs([*pair, *pair]) == [0, 1, 0, 1]


def test_seeds_share_no_program_where_the_path_depends_on_their_weights() -> None:
    """Each seed's network has exponents of its own, which decide on Newton's iteration."""
    small = {"model__newton": "full", "cell__hidden_size": 4, "task__length_steps": 20}
    runs = [configured("adding/gru", seed=seed, **small) for seed in (0, 1, 0)]
    assert group_runs(runs) == [0, 1, 0]


@pytest.mark.parametrize(
    ("name", "one", "two", "groups"),
    [
        ("adding/lstm", {"cell__forget_bias": 0.0}, {"cell__forget_bias": 3.0}, [0, 0]),
        ("adding/rnn", {"cell__recurrent_scale": 0.5}, {"cell__recurrent_scale": 1.0}, [0, 0]),
        ("adding/lstm", {"cell__peepholes": False}, {"cell__peepholes": True}, [0, 1]),
        ("adding/unitary", {"cell__permutation_seed": 0}, {"cell__permutation_seed": 1}, [0, 1]),
    ],
)
def test_an_option_of_the_cell_shares_the_program_if_it_only_draws_weights(
    name: str, one: dict[str, Any], two: dict[str, Any], groups: list[int]
) -> None:
    small = {"task__length_steps": 6, "cell__hidden_size": 4}
    pair = [configured(name, **small, **one), configured(name, **small, **two)]
    assert group_runs(pair) == groups
