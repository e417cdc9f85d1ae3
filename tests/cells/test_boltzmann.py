"""General machines as cells: the likelihood by enumeration, its gradient, and the chain."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.base import CONTEXT
from rnnexp.cells.boltzmann import boltzmann
from rnnexp.cells.free_energy import couplings
from rnnexp.cells.gibbs import sweep_kernel
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Params
from rnnexp.scan.unroll import unroll
from tests.helpers.bits import all_bits, assert_drawn
from tests.helpers.noisy_params import with_noise

N, H = 3, 2


def test_the_loss_is_the_likelihood_and_its_gradient_the_difference_of_correlations(
    x64: None,
) -> None:
    """Ackley, Hinton & Sejnowski 1985: <s_i s_j> clamped minus free, with the sign of a loss."""
    cell = boltzmann(N, H)
    params = with_noise(cell.init(jax.random.key(0)), 1.0, jax.random.key(1))
    states = all_bits(N + H)
    l_MxM, b = np.asarray(couplings(params["w"], N + H)), np.asarray(params["b"])
    weight = np.exp(states @ b + np.einsum("si,ij,sj->s", states, l_MxM, states) / 2)
    p = weight / weight.sum()
    visible = all_bits(N)
    own = (states[:, None, :N] == visible[None]).all(-1)  # (states, patterns)
    p_of_v = p @ own
    assert cell.scores is not None
    every = jnp.asarray(visible)

    def mean_loss(params: Params) -> Array:
        return jnp.mean(cell.scores(params, every, every, jax.random.key(0))["loss"])  # type: ignore[misc]

    found = cell.scores(params, every, every, jax.random.key(0))["loss"]
    np.testing.assert_allclose(found, -np.log(p_of_v), rtol=1e-12)
    slope = jax.grad(mean_loss)(params)
    clamped = (p[:, None] * own / p_of_v[None]).mean(1)
    pairs = np.triu_indices(N + H, 1)
    for name, statistic in (("w", states[:, pairs[0]] * states[:, pairs[1]]), ("b", states)):
        np.testing.assert_allclose(slope[name], (p - clamped) @ statistic, atol=1e-12)


def test_the_chain_starts_at_the_pattern_and_sweeps(x64: None) -> None:
    cell, count = boltzmann(N, H, gibbs_steps=2), 40_000
    params = with_noise(cell.init(jax.random.key(0)), 1.0, jax.random.key(1))
    seeds = jax.random.key_data(jax.random.split(jax.random.key(2), count))
    pattern = jnp.broadcast_to(jnp.asarray(all_bits(N)[5]), (count, N))
    context = {"pattern": pattern, "seed": seeds}
    assert cell.context is not None
    assert cell.start is not None
    one = cell.context(params, {name: leaf[0] for name, leaf in context.items()})
    start = cell.start({**params, CONTEXT: one})["s"]
    np.testing.assert_array_equal(start, [1, 0, 1, 0, 0])
    after = unroll(cell, params, jnp.zeros((2, count, N)), context=context, keep_states=True)
    assert after.states is not None
    ends = np.asarray(after.states["s"][-1])
    np.testing.assert_array_equal(ends[:, :N], after.final_BxH)
    kernel = np.asarray(sweep_kernel(couplings(params["w"], N + H), params["b"]))
    p = np.linalg.matrix_power(kernel, 2)[5]
    assert_drawn(ends, p)


def test_too_many_units_and_too_few_steps() -> None:
    text = "16 visible and 5 hidden units enumerates the states of 21 units"
    with pytest.raises(UsageError, match=text):
        boltzmann(16, 5)
    with pytest.raises(UsageError, match="gibbs_steps must be at least 1, not 0"):
        boltzmann(4, 2, gibbs_steps=0)
