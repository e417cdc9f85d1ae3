"""The LSTM couples its gates when asked to, and starts with the stated biases."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.lstm import lstm
from rnnexp.core.errors import UsageError
from rnnexp.scan.unroll import unroll
from tests.helpers.distributions import assert_uniform
from tests.helpers.noisy_cells import H, I, inputs, noisy
from tests.helpers.variants import build


@pytest.mark.parametrize("peepholes", [False, True])
def test_coupled_gates_sum_to_one(peepholes: bool, x64: None) -> None:
    cell = lstm(I, H, coupled=True, peepholes=peepholes)
    state = {"c": jnp.linspace(-2.0, 2.0, H), "h": jnp.linspace(1.0, -1.0, H)}
    gates = cell.gates(noisy(cell), state, inputs()[0, 0])
    assert set(gates) == {"input", "forget", "output"}
    np.testing.assert_allclose(gates["input"] + gates["forget"], 1.0, rtol=1e-15)
    # a convex combination of c and tanh: no state leaves [-1, 1] once it is inside
    x = 10 * inputs()
    assert float(jnp.abs(unroll(cell, noisy(cell), x).final_state["c"]).max()) <= 1


def test_coupled_equals_an_lstm_whose_input_gate_mirrors_the_forget_gate(x64: None) -> None:
    # 1 - s(a) = s(-a): an input block that is minus the forget block couples them
    coupled, free = lstm(I, H, coupled=True, peepholes=True), lstm(I, H, peepholes=True)
    params = noisy(coupled)
    mirrored = {
        k: jnp.concatenate([-v[..., :H], v], axis=-1) for k, v in params.items() if k != "p"
    }
    mirrored["p"] = jnp.concatenate([-params["p"][:1], params["p"]])
    np.testing.assert_allclose(
        unroll(coupled, params, inputs()).outputs_TxBxH,
        unroll(free, mirrored, inputs()).outputs_TxBxH,
        rtol=1e-12,
    )


@pytest.mark.parametrize("coupled", [False, True])
def test_chrono_starts_both_gates_at_the_same_time_constants(coupled: bool, x64: None) -> None:
    cell = lstm(I, 100, coupled=coupled, chrono_steps=40)
    params = cell.init(jax.random.key(3))
    gates = cell.gates(params, cell.init_state(params), jnp.zeros(I))
    np.testing.assert_allclose(gates["input"], 1 - gates["forget"], rtol=1e-12)
    # f = s(ln u) = u / (1 + u), so 1 / (1 - f) = 1 + u: a time constant from U(2, 40)
    assert_uniform(1 / (1 - gates["forget"]), 2.0, 40.0)


def test_lstm_biases() -> None:
    b = build(("lstm", {}), 3, 8).init(jax.random.key(0))["b"].reshape(4, 8)
    np.testing.assert_array_equal(b, np.array([[0.0], [1.0], [0.0], [0.0]]) * np.ones((1, 8)))
    chrono = build(("lstm", {"chrono_steps": 100}), 3, 1000).init(jax.random.key(0))["b"]
    b_i, b_f, b_g, b_o = chrono.reshape(4, 1000)
    np.testing.assert_array_equal(b_i, -b_f)
    assert float(jnp.abs(b_g).max()) == float(jnp.abs(b_o).max()) == 0
    u = np.exp(b_f)  # U(1, 99): mean 50, deviation 28.3, of the mean of 1,000 draws 0.9
    assert 0.999 <= u.min() < u.max() <= 99.001
    np.testing.assert_allclose(u.mean(), 50, atol=4.5)


def test_without_the_forget_gate_the_state_only_adds_up(x64: None) -> None:
    cell = lstm(I, H, without="forget_gate")
    params = dict(noisy(cell)) | {"w_h": jnp.zeros((H, 3 * H))}
    state = dict(cell.init_state(params))
    gradient = jax.jacobian(
        lambda c: cell.transition(params, state | {"c": c}, inputs()[0, 0])["c"]
    )
    np.testing.assert_array_equal(gradient(state["c"]), np.eye(H))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"without": "forget"}, "Did you mean 'forget_gate'"),
        ({"without": "input_gate", "coupled": True}, "coupled gates need both"),
        ({"without": "forget_gate", "chrono_steps": 9}, "chrono_steps starts"),
    ],
)
def test_parts_that_cannot_be_left_out(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        lstm(I, H, **options)
