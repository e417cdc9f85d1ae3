"""A layer's parameters: of any name, and a learned initial state among them."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rnnexp.cells.rnn import rnn
from rnnexp.core.tree import named_leaves
from rnnexp.models.recurrent import Recurrent, attribute
from tests.helpers.renamed import NAMES, renamed
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


def test_parameters_may_have_the_names_of_the_layers_own_attributes() -> None:
    key, x = jax.random.key(0), jnp.ones((4, 2, 3))
    plain, other = (Recurrent(cell, key) for cell in (rnn(3, H), renamed(rnn(3, H))))
    params = other.params()
    assert {*params} == {*NAMES}
    for name, before in NAMES.items():
        np.testing.assert_array_equal(params[name], plain.params()[before])
    np.testing.assert_array_equal(plain(x).final_BxH, other(x).final_BxH)


def test_a_free_name_stays() -> None:
    """So that stores and checkpoints have the names of the cell."""
    assert [attribute(name) for name in ("w_x", "b", "start", "own_b", "start_h")] == [
        "w_x", "b", "own_start", "own_own_b", "own_start_h"
    ]  # fmt: skip
