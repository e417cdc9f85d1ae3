"""Models that torch's modules compute as well, with weights that no symmetry hides."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.config.schema import experiment, finish
from rnnexp.models.forward import ForwardOptions
from rnnexp.models.sequence import SequenceModel
from rnnexp.run.sample import Trained
from rnnexp.train.compiled import initial_state
from rnnexp.train.plan import make_plan


class Case(NamedTuple):
    """An experiment with changed keys, and whether it reads numbers of symbols."""

    name: str
    changes: dict[str, Any]
    symbols: bool = False


CASES = {
    "lstm": Case("adding/lstm", {}),
    "lstm, 2 layers": Case("adding/lstm", {"model.num_layers": 2}),
    "lstm, bidirectional": Case("adding/lstm", {"model.bidirectional": True}),
    "lstm, both, a learned state": Case(
        "adding/lstm",
        {"model.num_layers": 2, "model.bidirectional": True, "model.learned_state": True},
    ),
    "lstm, coupled": Case("adding/lstm", {"cell.coupled": True}),
    "lstm, an output a step": Case("copy_memory/lstm", {"task.delay_steps": 3}),
    "lstm, embedding": Case("copy_memory/lstm", {"model.embedding_size": 3}, symbols=True),
    "lstm, tied": Case(
        "dynamic_ngrams/lstm", {"model.embedding_size": 5, "model.tied_output": True}, symbols=True
    ),
    "gru": Case("adding/gru", {}),
    "gru, 2 layers, a mean": Case("adding/gru", {"model.num_layers": 2, "model.pooling": "mean"}),
    "gru, bidirectional, a learned state": Case(
        "adding/gru", {"model.bidirectional": True, "model.learned_state": True}
    ),
    "rnn": Case("adding/rnn", {}),
    "rnn, relu, both, a maximum": Case(
        "adding/rnn",
        {
            "cell.activation": "relu", "model.num_layers": 2, "model.bidirectional": True,
            "model.pooling": "max", "model.dropout": 0.5,
        },
    ),
}  # fmt: skip
LENGTHS = (7, 3, 1, 6)
STEPS = max(LENGTHS)


def trained_case(case: Case) -> Trained:
    """The run's model with normal weights, the biases and initial states among them."""
    config = experiment(case.name)
    config.update_from_flattened_dict({"cell.hidden_size": 5, **case.changes})
    plan = make_plan(finish(config), data_dir=None, chunk_steps=1)
    shapes = jax.eval_shape(lambda: initial_state(plan))  # nothing is compiled
    rng = np.random.default_rng(0)

    def drawn(leaf: Any) -> Any:
        return jnp.asarray(0.5 * rng.normal(size=leaf.shape), leaf.dtype)

    return Trained(plan, shapes._replace(params=jax.tree.map(drawn, shapes.params)))


def inputs_of(case: Case, trained: Trained) -> np.ndarray:
    """Inputs (T, B, I), or numbers of symbols (T, B)."""
    rng, size = np.random.default_rng(1), trained.plan.recipe.task.input_size
    if case.symbols:
        return rng.integers(size, size=(STEPS, len(LENGTHS))).astype(np.int32)
    return rng.normal(size=(STEPS, len(LENGTHS), size)).astype(np.float32)


def our_outputs(trained: Trained, x: np.ndarray, lengths: Any = LENGTHS) -> np.ndarray:
    """The outputs of our own forward pass."""
    options = ForwardOptions(lengths_B=jnp.asarray(lengths, jnp.int32))
    model = trained.model
    assert isinstance(model, SequenceModel)
    return np.asarray(model(jnp.asarray(x), options).outputs)
