"""Flax cells of the user's own as cells, and our layers inside the user's own modules."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnexp.cells.base import Cell
from rnnexp.cells.lstm import lstm
from rnnexp.core.errors import UsageError
from rnnexp.core.tree import tree_size
from rnnexp.core.types import Array, Params, State
from rnnexp.gradflow.adjoints import mean_norms, perturb, tap, zero_slot
from rnnexp.models.recurrent import Recurrent
from rnnexp.models.wrap import from_linen, from_nnx
from rnnexp.scan.unroll import Probe, unroll

T, B, I, H = 6, 2, 3, 4  # noqa: E741
WRAPPED: dict[str, Cell] = {
    "linen LSTM": from_linen(nn.OptimizedLSTMCell(H), I),
    "linen GRU": from_linen(nn.GRUCell(H), I),
    "nnx GRU": from_nnx(lambda rngs: nnx.GRUCell(I, H, rngs=rngs), I),
    "nnx LSTM": from_nnx(lambda rngs: nnx.LSTMCell(I, H, rngs=rngs), I),
}
each = pytest.mark.parametrize("name", WRAPPED)


def inputs() -> Array:
    """A batch."""
    return jax.random.normal(jax.random.key(1), (T, B, I))


@each
def test_outputs_are_those_of_flax(name: str) -> None:
    cell = WRAPPED[name]
    params = cell.init(jax.random.key(0))
    assert tree_size(params) == cell.parameter_count
    got = unroll(cell, params, inputs()).outputs_TxBxH
    if name.startswith("linen"):
        module = nn.OptimizedLSTMCell(H) if "LSTM" in name else nn.GRUCell(H)
        key_init, key_carry = jax.random.split(jax.random.key(0))
        carry = module.initialize_carry(key_carry, (I,))
        variables = module.init(key_init, carry, jnp.zeros(I))
        rnn = nn.RNN(module, time_major=True)
        expected: Any = rnn.apply({"params": {"cell": variables["params"]}}, inputs())
    else:
        kind: Any = nnx.LSTMCell if "LSTM" in name else nnx.GRUCell
        layer = kind(I, H, rngs=nnx.Rngs(jax.random.key(0)))
        carry = layer.initialize_carry((B, I), nnx.Rngs(0))
        rows = []
        for x in inputs():
            carry, y = layer(carry, x)
            rows.append(y)
        expected = jnp.stack(rows)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@each
def test_adjoints_of_a_wrapped_cell(name: str) -> None:
    cell = WRAPPED[name]
    params, x = cell.init(jax.random.key(0)), inputs()
    slot = zero_slot(cell, params, T, B)

    def adjoints(apply: object) -> State:
        def loss(slot: State) -> Array:
            got = unroll(cell, params, x, probe=Probe(apply, slot))  # type: ignore[arg-type]
            return jnp.sum(jnp.sin(got.final_BxH))

        found: State = jax.grad(loss)(slot)
        return found

    by_tap, by_definition = adjoints(tap), adjoints(perturb)
    for leaf in cell.probed:
        np.testing.assert_allclose(by_tap[leaf], by_definition[leaf], rtol=1e-5, atol=1e-7)
    norms = mean_norms(by_tap)["h"]
    assert bool(jnp.all(norms > 0))


class Three(nn.RNNCellBase):
    """A cell whose carry is three vectors."""

    @nn.nowrap
    def initialize_carry(self, rng: Array, input_shape: tuple[int, ...]) -> Any:
        return (jnp.zeros(H),) * 3

    @property
    def num_feature_axes(self) -> int:
        return 1


def test_what_cannot_be_wrapped_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot wrap Three: its carry"):
        from_linen(Three(), I)


class Mine(nnx.Module):
    """A user's own NNX module around one of our layers."""

    def __init__(self, rngs: nnx.Rngs):
        self.recurrent = Recurrent(lstm(I, H), rngs.params())
        self.head = nnx.Linear(H, 2, rngs=rngs)

    def __call__(self, x_TxBxI: Array, probe: Probe | None = None) -> Array:
        top = self.recurrent(x_TxBxI, probe=probe)
        return jnp.asarray(self.head(top.final_BxH))


def test_a_layer_inside_an_nnx_module() -> None:
    model = Mine(nnx.Rngs(0))
    layer = model.recurrent
    slot = zero_slot(layer.cell, layer.params(), T, B)
    graphdef, params = nnx.split(model, nnx.Param)

    def loss(params: nnx.State, slot: State) -> Array:
        return jnp.mean(jnp.square(nnx.merge(graphdef, params)(inputs(), Probe(tap, slot))))

    grads, adjoint = jax.jit(jax.grad(loss, argnums=(0, 1)))(params, slot)
    assert tree_size(grads) == layer.cell.parameter_count + (H + 1) * 2
    assert mean_norms(adjoint)["h"].shape == (T,)


class MineLinen(nn.Module):
    """A user's own Linen module around one of our cells."""

    @nn.compact
    def __call__(self, x_TxBxI: Array, probe: Probe | None = None) -> Array:
        cell = lstm(I, H)
        params: Params = self.param("lstm", cell.init)
        return jnp.asarray(nn.Dense(2)(unroll(cell, params, x_TxBxI, probe=probe).final_BxH))


def test_a_cell_inside_a_linen_module() -> None:
    model = MineLinen()
    variables = model.init(jax.random.key(0), inputs())
    cell = lstm(I, H)
    slot = zero_slot(cell, variables["params"]["lstm"], T, B)

    def loss(variables: dict, slot: State) -> Array:
        outputs: Any = model.apply(variables, inputs(), Probe(tap, slot))
        return jnp.mean(jnp.square(outputs))

    grads, adjoint = jax.jit(jax.grad(loss, argnums=(0, 1)))(variables, slot)
    assert tree_size(grads) == cell.parameter_count + (H + 1) * 2
    assert bool(jnp.all(mean_norms(adjoint)["h"] > 0))
