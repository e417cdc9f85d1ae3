"""What a step records survives its row, which says what it holds."""

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.core.types import Array
from rnnexp.train.step_metrics import RecordRows, as_row, contents_of, from_rows


def test_what_a_step_records_survives_the_row() -> None:
    trees = [
        {
            "flag": jnp.asarray(i > 0),
            "count": jnp.asarray(i, jnp.int32),
            "norms": i + jnp.ones((2, 3)),
        }
        for i in range(3)
    ]
    contents = contents_of(jax.eval_shape(lambda: trees[0]))
    got = from_rows(np.stack([np.asarray(as_row(tree)) for tree in trees]), contents)
    wanted = jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
    assert jax.tree.map(lambda x: x.dtype, got) == jax.tree.map(lambda x: x.dtype, wanted)
    jax.tree.map(np.testing.assert_array_equal, got, wanted)


def test_rows_say_what_they_hold_through_compiled_functions_and_lanes() -> None:
    def found(x: Array) -> dict[str, Array]:
        return {"b": x * jnp.ones((2, 2)), "a": x > 1}

    @jax.jit
    def rows(x_L: Array) -> RecordRows:
        values = jax.vmap(lambda x: as_row(found(x))[None])(x_L)
        contents = contents_of(jax.eval_shape(found, x_L[0]))
        return RecordRows(jnp.zeros((2, 1)), jnp.ones((2, 1), bool), values, contents)

    lane = jax.tree.map(lambda leaf: leaf[1], jax.device_get(rows(jnp.array([1.0, 2.0]))))
    assert lane.contents.size == 5
    got = from_rows(lane.values, lane.contents)
    np.testing.assert_array_equal(got["b"], np.full((1, 2, 2), 2.0))
    np.testing.assert_array_equal(got["a"], [True])
