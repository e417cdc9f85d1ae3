"""Our cells against other implementations: flax.linen, and NumPy written from the papers."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.gru import gru
from rnnexp.cells.lstm import lstm
from rnnexp.core.types import Array, Params, Tree
from rnnexp.scan.unroll import unroll

T, B, I, H = 9, 3, 4, 6  # noqa: E741


def inputs() -> tuple[Array, Array]:
    """Inputs (T, B, I), and weights of a loss over all outputs (T, B, H)."""
    key_x, key_w = jax.random.split(jax.random.key(5))
    return jax.random.normal(key_x, (T, B, I)), jax.random.normal(key_w, (T, B, H))


def noisy(params: Params) -> Params:
    """Weights away from zero everywhere, biases included."""
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(6), len(leaves))
    moved = [v + 0.2 * jax.random.normal(k, v.shape) for k, v in zip(keys, leaves, strict=True)]
    restored: Params = jax.tree.unflatten(structure, moved)
    return restored


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


def sigmoid(x: np.ndarray) -> np.ndarray:
    """The logistic function."""
    result: np.ndarray = 1 / (1 + np.exp(-x))
    return result


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


def test_gru_with_reset_before_equals_numpy(x64: None) -> None:
    cell = gru(I, H, reset="before")
    params = noisy(cell.init(jax.random.key(0)))
    x, _ = inputs()
    w_r, w_z, w_n = np.split(np.asarray(params["w_x"]), 3, 1)
    u_r, u_z, u_n = np.split(np.asarray(params["w_h"]), 3, 1)
    b_r, b_z, b_n = np.split(np.asarray(params["b"]), 3)
    h = np.zeros((B, H))
    for x_t in np.asarray(x):
        r, z = sigmoid(x_t @ w_r + h @ u_r + b_r), sigmoid(x_t @ w_z + h @ u_z + b_z)
        h = (1 - z) * np.tanh(x_t @ w_n + (r * h) @ u_n + b_n) + z * h
    np.testing.assert_allclose(unroll(cell, params, x).final_BxH, h, rtol=1e-12)
