"""What the padding holds never matters: outputs, gradients and adjoints are the same to the bit."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.base import Cell
from rnnexp.core.types import Array, Params, State
from rnnexp.gradflow.adjoints import perturb, tap, zero_slot
from rnnexp.scan.unroll import Probe, initial_state, unroll
from tests.helpers.noisy_params import with_noise
from tests.helpers.time_paths import WAYS, cases
from tests.helpers.variants import Variant, build

T, B, I, H = 5, 3, 2, 4  # noqa: E741
LENGTHS = (5, 2, 0)
WORST = (np.nan, np.inf, -np.inf, 1e38)


def everything(cell: Cell, way: str) -> Any:
    """The compiled function of parameters, inputs, state and slots: a loss of all that comes out,
    its gradients, and what comes out."""
    additive = way == "associative"

    def loss(params: Params, x: Array, state: State, slots: State) -> tuple[Array, Any]:
        probe = Probe(perturb if additive else tap, slots, additive=additive, silent=not additive)
        run = unroll(
            cell, params, x, lengths_B=jnp.array(LENGTHS, jnp.int32), state=state,
            probe=probe, time_loop=WAYS[way],
        )  # fmt: skip
        total = jnp.sum(jnp.sin(run.outputs_TxBxH)) + jnp.sum(jnp.cos(run.final_BxH))
        total += sum(jnp.sum(jnp.sin(leaf)) for leaf in run.final_state.values())
        return total, run._replace(newton_stats=None)

    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2, 3), has_aux=True))


@pytest.mark.parametrize(("variant", "way"), cases(I, H))
def test_what_the_padding_holds_never_matters(variant: Variant, way: str) -> None:
    cell = build(variant, I, H)
    params = with_noise(jax.jit(cell.init)(jax.random.key(0)), 0.1, jax.random.key(1))
    x = np.array(jax.random.normal(jax.random.key(2), (T, B, I)))
    padded = np.arange(T)[:, None] >= np.array(LENGTHS)
    state = {k: jnp.array(v) for k, v in initial_state(cell, params, B).items()}
    run, slots = everything(cell, way), zero_slot(cell, params, T, B)
    x[padded] = 0
    plain = run(params, jnp.array(x), state, slots)
    for leaf in jax.tree.leaves(plain):
        assert np.isfinite(leaf).all()
    for worst in WORST:
        x[padded] = worst
        got = run(params, jnp.array(x), state, slots)
        jax.tree.map(np.testing.assert_array_equal, got, plain)
    assert np.all(np.asarray(plain[1][1])[padded] == 0)
