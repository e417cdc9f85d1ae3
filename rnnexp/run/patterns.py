"""Patterns drawn from a trained Boltzmann machine, by long Gibbs chains."""

import jax
import numpy as np

from rnnexp.core.errors import UsageError
from rnnexp.core.seeds import seed_key
from rnnexp.core.types import Key, State
from rnnexp.models.forward import ForwardOptions
from rnnexp.models.sequence import SequenceModel
from rnnexp.run.sample import Trained, require_range


def write_patterns(
    trained: Trained, *, count: int = 100, length: int = 500, seed: int = 0
) -> np.ndarray:
    """The ends of Gibbs chains from random bits, (count, N).

    Args:
      count: chains.
      length: steps of every chain; rounded up to whole numbers of the cell's own.

    Raises `UsageError` if the task is no distribution of patterns.
    """
    task, model = trained.plan.recipe.task, trained.model
    if task.mode != "density" or not isinstance(model, SequenceModel):
        raise UsageError(f"{task.name} is no distribution of patterns")
    require_range(length=length - 1, count=count - 1)
    layer = model.units()[0].layer
    key_bits, key_seeds = jax.random.split(seed_key(seed, "the seed of the draws"))
    pattern = jax.random.bernoulli(key_bits, shape=(count, task.input_size)).astype(float)
    rounds = -(-length // layer.cell.steps)

    def on(states: list[State], key: Key) -> tuple[list[State], None]:
        seeds = jax.random.key_data(jax.random.split(key, count))
        context = {"pattern": pattern, "seed": seeds}
        got = model(pattern[None], ForwardOptions(context=context, states=states))
        return got.states, None

    @jax.jit
    def ends(key: Key) -> jax.Array:
        keys = jax.random.split(key, rounds + 1)
        seeds = jax.random.key_data(jax.random.split(keys[0], count))
        context = {"pattern": pattern, "seed": seeds}
        first: list[State] = [layer.start(count, context)]
        states = jax.lax.scan(on, first, keys[1:])[0]
        bits: jax.Array = states[0][layer.cell.hidden]
        return bits[:, : task.output_size]

    return np.asarray(ends(key_seeds))
