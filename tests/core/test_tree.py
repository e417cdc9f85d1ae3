"""Norms of trees neither overflow nor underflow, show what is not finite, and have names."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.tree import leaf_norms, stable_norm, tree_norm, tree_norms


@pytest.mark.parametrize("scale", [1e-36, 1e-20, 1.0, 1e20, 1e36])
def test_the_norm_neither_overflows_nor_underflows(scale: float) -> None:
    x = scale * jnp.array([[3.0, 4.0], [0.0, 0.0]], jnp.float32)
    np.testing.assert_allclose(stable_norm(x, axis=-1), [5 * scale, 0], rtol=1e-6)
    np.testing.assert_allclose(stable_norm(x), 5 * scale, rtol=1e-6)
    tree = {"a": x, "b": 0 * x}
    np.testing.assert_allclose(tree_norm(tree), 5 * scale, rtol=1e-6)
    np.testing.assert_allclose(list(leaf_norms(tree).values()), [5 * scale, 0], rtol=1e-6)
    halves = jax.tree.map(lambda leaf: leaf / 2, tree)
    np.testing.assert_allclose(tree_norms(tree, halves), [5 * scale, 2.5 * scale], rtol=1e-6)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_the_norm_of_a_non_finite_array_is_not_finite(bad: float) -> None:
    for norm in (stable_norm, jax.jit(stable_norm)):
        for others in (1.0, 0.0, bad):
            assert not np.isfinite(norm(jnp.array([others, bad, others])))
            assert not np.isfinite(norm(jnp.full((64, 33), bad).at[0].set(others)))
    tree = {"a": jnp.array([1.0, bad]), "b": jnp.ones(2)}
    for total in (tree_norm, jax.jit(tree_norm)):
        assert not np.isfinite(total(tree))
    for norms in (leaf_norms, jax.jit(leaf_norms)):
        assert np.isfinite(list(norms(tree).values())).tolist() == [False, True]


def test_norms_are_named_by_path() -> None:
    tree = {"layers": {0: {"w": 2 * jnp.ones(4)}}, "readout": {"bias": jnp.ones(9)}}
    norms = {name: float(value) for name, value in leaf_norms(tree).items()}
    assert norms == {"layers/0/w": 4.0, "readout/bias": 3.0}
