"""Ways of a cell through time against the plain scan."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.base import Cell
from rnnexp.core.types import Array, State, Tree
from rnnexp.gradflow.adjoints import perturb, tap, zero_slot
from rnnexp.scan.kernels import build as kernels
from rnnexp.scan.unroll import Probe, TimeLoop, unroll
from tests.helpers.structured_models import B, T, inputs
from tests.helpers.variants import VARIANTS, build, variant_id

WAYS: dict[str, TimeLoop] = {
    "scan": TimeLoop(),
    "cut": TimeLoop(cut_steps=2),
    "remat": TimeLoop(remat_steps=2),
    "kernel": TimeLoop(kernel=True),
    "kernel_remat": TimeLoop(kernel=True, remat_steps=2),
    "associative": TimeLoop(associative=True),
    "full": TimeLoop(newton="full"),
    "diagonal": TimeLoop(newton="diagonal"),
}
QUICK = {
    "feedforward": ("scan",),  # no state
    "lstm": ("scan", "kernel", "kernel_remat", "full"),
    "lru": ("scan", "associative"),
    "narx": ("scan", "full"),  # feedback, delay lines
}


def has(cell: Cell, way: str) -> bool:
    """Whether a cell can go through time in this way."""
    if "kernel" in way:
        return cell.kernel is not None and kernels.problem("lstm", "float32") == ""
    return way != "associative" or cell.states is not None


def cases(input_size: int, hidden_size: int) -> list[Any]:
    """Every cell in every way that it has, the parameters of a test; the quick ones of few."""
    found = []
    for variant in VARIANTS:
        cell, name = build(variant, input_size, hidden_size), variant_id(variant)
        for way in WAYS:
            if has(cell, way):
                marks = () if way in QUICK.get(name, ()) else pytest.mark.slow
                found.append(pytest.param(variant, way, id=f"{name}-{way}", marks=marks))
    return found


def same_everywhere(cell: Cell, time_loop: TimeLoop, lengths: Array | None, probe: Any) -> None:
    """Outputs, final states, gradients and adjoints are those of the plain scan."""
    params = jax.jit(cell.init)(jax.random.key(0))
    weights = jax.random.normal(jax.random.key(2), (T, B, cell.output_size))

    def run(params: Tree, slot: State, time_loop: TimeLoop, probe: Any) -> tuple[Array, Any]:
        probed = Probe(probe, slot, additive=probe is perturb)
        got = unroll(cell, params, inputs(), lengths_B=lengths, probe=probed, time_loop=time_loop)
        return jnp.sum(weights * jnp.sin(got.outputs_TxBxH)) + jnp.sum(got.final_BxH), got

    slot = zero_slot(cell, params, T, B)
    differentiated = jax.value_and_grad(run, argnums=(0, 1), has_aux=True)
    grad = jax.jit(differentiated, static_argnums=(2, 3))
    plain = grad(params, slot, TimeLoop(), tap)
    other = grad(params, slot, time_loop, probe)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), plain, other)
