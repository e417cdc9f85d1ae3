"""Faults of a head are said in one line before anything is compiled."""

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import pytest
from flax import nnx

from rnnexp.cells import cell
from rnnexp.cells.rbm import rbm
from rnnexp.config.schema import experiment, finish
from rnnexp.core.errors import UsageError
from rnnexp.models.heads import head
from rnnexp.models.heads.linear import linear
from rnnexp.tasks.base import Score
from rnnexp.train.plan import make_plan
from tests.helpers.own_heads import broken
from tests.helpers.own_tables import own_tables  # noqa: F401


def scoring(**scores: Any) -> Any:
    """A factory of a head with these scores."""
    return broken(scores=lambda self, features, batch, key: scores)


SOUND = Score(jnp.zeros(7), jnp.ones(7))
FAULTS = {
    "no module": (lambda f, o, key: None, "the factory gives None, expected a flax.nnx.Module"),
    "another size": (
        lambda f, o, key: linear(f, o + 1, key),
        r"__call__ gives float32 \(7, 2\), expected floats of shape \(7, 1\): the outputs of task",
    ),
    "cannot be called": (lambda f, o, key: nnx.Dropout(0.5), "__call__ "),
    "no loss": (scoring(mse=SOUND), "scores gives mse, expected 'loss' among them"),
    "no score": (scoring(loss=jnp.zeros(7)), "scores gives loss as float32 .*, expected a Score"),
    "a mean": (
        scoring(loss=Score(jnp.zeros(()), jnp.ones(7))),
        r"scores gives total_B of loss as float32 \(\), expected floats of shape \(7,\), one an "
        "example",
    ),
    "an error": (broken(scores=lambda self, features, batch, key: features @ batch.targets), "sco"),
}


@pytest.mark.usefixtures("own_tables")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_said(fault: str) -> None:
    factory, text = FAULTS[fault]
    head("mine")(factory)
    config = experiment("adding/rnn", "mine")
    config.task.length_steps = 5
    with pytest.raises(UsageError, match=f"head 'mine': {text}") as said:
        make_plan(finish(config), data_dir=None, chunk_steps=2)
    assert "\n" not in str(said.value)


NETWORK_FAULTS = {
    "no loss": (lambda p, o, t, key: {"nats": jnp.zeros(7)}, "scores gives nats, expected 'loss'"),
    "a mean": (
        lambda p, o, t, key: {"loss": jnp.zeros(())},
        r"scores gives total_B of loss as float32 \(\), expected floats of shape \(7,\), one an",
    ),
    "an error": (lambda p, o, t, key: {"loss": o @ t}, "scores raises"),
}


@pytest.mark.usefixtures("own_tables")
@pytest.mark.parametrize("fault", NETWORK_FAULTS)
def test_a_fault_of_a_network_that_scores_itself_is_said(fault: str) -> None:
    scores, text = NETWORK_FAULTS[fault]

    def mine(input_size: int, hidden_size: int) -> Any:
        return replace(rbm(input_size, hidden_size), name="mine", scores=scores)

    cell("mine", modes=("density",))(mine)
    with pytest.raises(UsageError, match=f"cell 'mine': {text}") as said:
        make_plan(finish(experiment("bars_and_stripes/mine")), data_dir=None, chunk_steps=2)
    assert "\n" not in str(said.value)
