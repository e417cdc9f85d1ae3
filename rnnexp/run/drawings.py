"""Sequences that a trained network draws, given a vector: mode one_to_many."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.core.errors import UsageError
from rnnexp.core.seeds import seed_key
from rnnexp.core.types import Array, Key
from rnnexp.models.generate import generate, symbol_draw
from rnnexp.models.sequence import SequenceModel
from rnnexp.run.sample import Trained, require_range
from rnnexp.tasks.one_to_many import inputs_of


def draw_sequences(
    trained: Trained,
    classes: Sequence[int],
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    seed: int = 0,
) -> np.ndarray:
    """Symbols (N, T), each sequence given the one-hot vector of a class.

    Args:
      classes: of every sequence.
      temperature: divides the logits; 0 takes the most likely symbol.
      top_k: draw among so many most likely symbols; 0: all.

    Raises `UsageError` if the task is not one_to_many, or has no such class.
    """
    task, model = trained.plan.recipe.task, trained.model
    if task.mode != "one_to_many" or not isinstance(model, SequenceModel):
        raise UsageError(f"{task.name} has no vector to begin a sequence with")
    require_range(temperature=temperature, top_k=top_k)
    kinds, width = task.output_size, class_count(trained)
    for number in classes:
        if not 0 <= number < width:
            raise UsageError(f"{task.name} has the classes 0 to {width - 1}, not {number}")
    vector_BxC = jax.nn.one_hot(jnp.asarray(classes, jnp.int32), width, dtype=float)
    none_1xB = jnp.zeros((1, len(vector_BxC)), jnp.int32)
    draw = symbol_draw(temperature, top_k)

    def draw_inputs(key: Key, logits_BxO: Array) -> Array:
        return jnp.concatenate([jnp.zeros_like(vector_BxC), draw(key, logits_BxO)], -1)

    drawn_TxBxI = generate(
        model, inputs_of(vector_BxC, none_1xB, kinds), draw_inputs, steps=task.num_steps,
        key=seed_key(seed, "the seed of the draws"),
    )  # fmt: skip
    symbols_TxB: np.ndarray = np.argmax(np.asarray(drawn_TxBxI)[..., width:], -1)
    return symbols_TxB.T


def class_count(trained: Trained) -> int:
    """How many numbers the vector of a one_to_many task has."""
    task = trained.plan.recipe.task
    return task.input_size - task.output_size
