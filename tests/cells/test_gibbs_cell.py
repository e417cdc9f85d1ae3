"""The random numbers of a chain: one row a step, the first again where a chain is continued."""

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.cells.base import CONTEXT
from rnnexp.cells.gibbs_cell import chain_context, first_state, next_state, noise_of_step


def test_every_step_has_its_own_numbers_and_a_continued_chain_begins_again(x64: None) -> None:
    seed = jax.random.key_data(jax.random.key(3))
    example = {"pattern": jnp.ones(2), "seed": seed}
    params = {CONTEXT: chain_context(example, 3, 4, jnp.float64)}
    expected = np.asarray(jax.random.uniform(jax.random.key(3), (3, 4), jnp.float64))
    state = first_state("v", params[CONTEXT]["pattern"])
    for row in (0, 1, 2, 0, 1):
        np.testing.assert_array_equal(noise_of_step(params, state), expected[row])
        state = next_state("v", 1 - state["v"], params, state)
    np.testing.assert_array_equal(state["v"], [0, 0])
