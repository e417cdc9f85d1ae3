"""A learned initial state starts as the cell's and has a gradient."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rnnexp.core.tree import named_leaves
from tests.helpers.structured_models import H, inputs, model_of


def test_a_learned_initial_state_starts_as_the_cell_s_and_has_a_gradient() -> None:
    plain, learned = model_of(), model_of(learned_state=True)
    np.testing.assert_array_equal(plain(inputs()).outputs, learned(inputs()).outputs)
    graphdef, params = nnx.split(learned, nnx.Param)
    grads = jax.grad(lambda p: jnp.sum(nnx.merge(graphdef, p)(inputs()).outputs))(params)
    names = named_leaves(nnx.to_pure_dict(grads))
    [start] = [value for name, value in names.items() if "start_h" in name]
    assert start.shape == (H,)
    assert bool(jnp.all(start != 0))
