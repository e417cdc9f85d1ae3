"""Keys are found by what other programs call them; none is ever taken in place of another."""

import pytest

from rnnexp.config.aliases import ALIASES, meant_key
from rnnexp.config.defaults import KEYS
from rnnexp.config.schema import experiment, flat
from tests.helpers.read_config import message


def test_aliases_name_keys_and_are_none() -> None:
    assert set(ALIASES.values()) <= set(KEYS)
    assert not set(ALIASES) & set(KEYS)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("lr", "optimizer.learning_rate"),
        ("optimizer.lr", "optimizer.learning_rate"),
        ("learning_rate", "optimizer.learning_rate"),
        ("hidden", "cell.hidden_size"),
        ("model.hidden_size", "cell.hidden_size"),
        ("train.epochs", "train.duration_epochs"),
        ("peepholes", "cell.peepholes"),
        ("peephole", "cell.peepholes"),
        ("train.seed", "seed"),
        ("clip.treshold", "clip.threshold"),
        ("optimizer", "optimizer.name"),
        ("zzzz", None),
    ],
)
def test_a_key_is_found_by_what_is_meant(typed: str, meant: str | None) -> None:
    assert meant_key(typed, flat(experiment("adding/lstm"))) == meant
    said = message(f"{typed}=1", name="adding/lstm")
    assert said.startswith(f"unknown configuration key 'config.{typed}'.")
    assert ("Did you mean" in said) == (meant is not None)
    assert meant is None or f"Did you mean 'config.{meant}'?" in said


def test_an_alias_of_a_key_that_is_missing_is_no_answer() -> None:
    assert meant_key("lr", ["seed", "devices"]) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lstm/adding", "named TASK/CELL. Did you mean 'adding/lstm'?"),
        ("adding/elman", "unknown cell 'elman'. Did you mean 'rnn'?"),
        ("adding/MGU", "Did you mean 'minimal_gated'?"),
        ("adding/lstmm", "unknown cell 'lstmm'. Did you mean 'lstm'?"),
        ("adding/", "unknown cell ''. Known: antisymmetric,"),
        ("lstm/gru", "unknown task 'lstm'."),
    ],
)
def test_an_experiment_is_found_by_what_is_meant(name: str, words: str) -> None:
    assert words in message(name=name)
