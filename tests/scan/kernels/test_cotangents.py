"""Cotangents that are zero are not handed over to the compiled kernels."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from rnnexp.core.types import Array, Params, State
from rnnexp.gradflow.adjoints import probes, tap
from rnnexp.scan.unroll import TimeLoop, unroll
from tests.helpers.kernel_cells import VARIANTS, T, arguments, assert_same, made, needs_compiler

pytestmark = needs_compiler


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("padded", [False, True])
def test_where_only_the_last_state_is_read_no_zeros_are_handed_over(
    name: str, padded: bool, x64: None
) -> None:
    cell, params = made(name, 21)
    _, x, start, slots = arguments(cell, params, 37)
    lengths = jnp.arange(37, dtype=jnp.int32) % T + 1 if padded else None

    def loss(kernel: bool, every: bool, params: Params, slots: State) -> Array:
        (probe,) = probes(tap, [slots])
        run = unroll(
            cell,
            params,
            x,
            lengths_B=lengths,
            state=start,
            probe=probe,
            time_loop=TimeLoop(kernel=kernel),
        )
        total = jnp.sum(run.final_BxH**3) + sum(jnp.sum(leaf) for leaf in run.final_state.values())
        return total + 0.0 * jnp.sum(run.outputs_TxBxH) if every else total

    def compiled(kernel: bool, every: bool = False) -> Any:
        return jax.jit(jax.grad(partial(loss, kernel, every), argnums=(0, 1)))

    def whole_operands(function: Any) -> int:
        """How many arrays (T, B, H) the call of the backward pass is given."""
        lines = function.lower(params, slots).as_text().splitlines()
        (call,) = (line for line in lines if "custom_call" in line and "norms =" in line)
        operands = call[call.rindex(" : (") : call.rindex("->")]
        return int(operands.count(f"tensor<{T}x37x21xf64>"))

    assert_same(compiled(True)(params, slots), compiled(False)(params, slots), 1e-12)
    assert (whole_operands(compiled(True)), whole_operands(compiled(True, every=True))) == (1, 2)
