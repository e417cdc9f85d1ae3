"""The LSTM equals NumPy with peepholes and Flax without; the GRU equals Flax."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.gru import gru
from rnnexp.cells.lstm import lstm
from rnnexp.core.types import Array, Params, Tree
from rnnexp.scan.unroll import unroll
from tests.helpers.by_numpy import sigmoid
from tests.helpers.oracle_inputs import B, H, I, T, inputs, noisy


def lstm_as_linen(params: Params) -> Tree:
    """Our LSTM's weights in the form of `nn.LSTMCell`."""
    tree = {}
    blocks = [jnp.split(params[name], 4, axis=-1) for name in ("w_x", "w_h", "b")]
    for gate, w_x, w_h, b in zip("ifgo", *blocks, strict=True):
        tree[f"i{gate}"] = {"kernel": w_x}
        tree[f"h{gate}"] = {"kernel": w_h, "bias": b}
    return {"params": tree}


def gru_as_linen(params: Params) -> Tree:
    """Our GRU's weights (reset after) in the form of `nn.GRUCell`."""
    tree = {}
    blocks = [jnp.split(params[name], 3, axis=-1) for name in ("w_x", "w_h", "b")]
    for gate, w_x, w_h, b in zip("rzn", *blocks, strict=True):
        tree[f"i{gate}"] = {"kernel": w_x, "bias": b}
        tree[f"h{gate}"] = {"kernel": w_h}
    tree["hn"]["bias"] = params["b_hn"]
    return {"params": tree}


def linen_outputs(cell: nn.RNNCellBase, variables: Tree, x_TxBxI: Array) -> Array:
    """Outputs (T, B, H) of a linen cell through linen's own scan."""
    rnn = nn.RNN(cell, time_major=True)
    outputs: Tree = rnn.apply({"params": {"cell": variables["params"]}}, x_TxBxI)
    return jnp.asarray(outputs)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_outputs_and_gradients_equal_linen(name: str, x64: None) -> None:
    ours, convert, theirs = {
        "lstm": (lstm(I, H), lstm_as_linen, nn.LSTMCell(H, param_dtype=jnp.float64)),
        "gru": (gru(I, H), gru_as_linen, nn.GRUCell(H, param_dtype=jnp.float64)),
    }[name]
    params = noisy(ours.init(jax.random.key(0)))
    x, weights = inputs()

    def our_loss(params: Params, x: Array) -> tuple[Array, Array]:
        outputs = unroll(ours, params, x).outputs_TxBxH
        return jnp.sum(weights * outputs), outputs

    def linen_loss(params: Params, x: Array) -> tuple[Array, Array]:
        outputs = linen_outputs(theirs, convert(params), x)
        return jnp.sum(weights * outputs), outputs

    grad = lambda f: jax.jit(jax.value_and_grad(f, argnums=(0, 1), has_aux=True))(params, x)  # noqa: E731
    (_, y_ours), grads_ours = grad(our_loss)
    (_, y_linen), grads_linen = grad(linen_loss)
    np.testing.assert_allclose(y_ours, y_linen, rtol=1e-10, atol=1e-12)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11),
        grads_ours,
        grads_linen,
    )


def test_peephole_lstm_equals_numpy(x64: None) -> None:
    cell = lstm(I, H, peepholes=True)
    params = noisy(cell.init(jax.random.key(0)))
    x, _ = inputs()
    p = {name: np.asarray(value) for name, value in params.items()}
    h = c = np.zeros((B, H))
    for t in range(T):
        z_i, z_f, z_g, z_o = np.split(np.asarray(x[t]) @ p["w_x"] + h @ p["w_h"] + p["b"], 4, 1)
        i, f = sigmoid(z_i + p["p"][0] * c), sigmoid(z_f + p["p"][1] * c)
        c = f * c + i * np.tanh(z_g)
        h = sigmoid(z_o + p["p"][2] * c) * np.tanh(c)
    np.testing.assert_allclose(unroll(cell, params, x).final_BxH, h, rtol=1e-12)
