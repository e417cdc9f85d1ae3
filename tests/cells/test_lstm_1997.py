"""The LSTM of 1997 keeps what it has taken in, and its blocks open one after another."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.base import Cell
from rnnexp.cells.lstm_1997 import lstm_1997
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Params
from tests.helpers.distributions import assert_uniform
from tests.helpers.noisy_cells import H, I, inputs, jacobian, noisy


def test_error_carousel_is_exactly_one_where_nothing_else_carries(x64: None) -> None:
    cell = lstm_1997(I, H, block_size=4)
    params = noisy(cell)
    params = dict(params) | {name: jnp.zeros_like(params[name]) for name in ("w_h", "w_a")}
    state = dict(cell.init_state(params))
    rows = list(state)
    product = np.eye(sum(len(value) for value in state.values()))
    for x_I in inputs()[:, 0]:
        product = jacobian(cell, params, state, x_I) @ product
        state = dict(cell.transition(params, state, x_I))
    assert rows[0] == "c"
    np.testing.assert_array_equal(product[:H, :H], np.eye(H))
    np.testing.assert_array_equal(product[:, H:], 0)


def test_truncated_gradient_goes_back_through_the_carousel_alone(x64: None) -> None:
    """Values are the same; the Jacobian is that of the cell state, exactly 1, whatever the weights;
    and the slope in W_h is the sum over steps with h_{t-1} given."""
    whole, cut = lstm_1997(I, H), lstm_1997(I, H, truncated=True)
    params = noisy(cut)

    def last(params: Params, cell: Cell, given: list[dict[str, Array]] | None = None) -> Array:
        state = dict(cell.init_state(params))
        for t, x_I in enumerate(inputs()[:, 0]):
            if given is not None:
                state |= given[t]
            state = dict(cell.transition(params, state, x_I))
        return jnp.sum(jnp.sin(state["h"]))

    states = [dict(cut.init_state(params))]
    for x_I in inputs()[:, 0]:
        after = dict(cut.transition(params, states[-1], x_I))
        block = jacobian(cut, params, states[-1], x_I)[:H, :H]
        np.testing.assert_array_equal(block, np.eye(H))
        states.append(after)
    assert float(last(params, cut)) == float(last(params, whole))
    given = [{"h": state["h"], "a": state["a"]} for state in states]
    slopes = jax.grad(last)(params, cut)
    expected = jax.grad(last)(params, whole, given)
    for name, slope in slopes.items():
        np.testing.assert_allclose(slope, expected[name], rtol=1e-10, atol=1e-14)
    assert not np.allclose(slopes["w_h"], jax.grad(last)(params, whole)["w_h"])


def test_start() -> None:
    cell = lstm_1997(40, 90, block_size=30, input_bias=-2.0, output_bias=-0.5)
    params = cell.init(jax.random.key(0))
    for name in ("w_x", "w_h", "w_a"):
        assert_uniform(params[name], -0.1, 0.1)
    np.testing.assert_allclose(params["b"][:6], [-2, -4, -6, -0.5, -1, -1.5])
    assert float(jnp.abs(params["b"][6:]).max()) <= 0.1


def test_ranges_are_those_of_the_paper(x64: None) -> None:
    cell = lstm_1997(I, H)
    params, state = noisy(cell), cell.init_state(noisy(cell))
    before = state["c"]
    for x_I in 50 * inputs()[:, 0]:
        state = cell.transition(params, state, x_I)
        assert float(jnp.abs(state["c"] - before).max()) <= 2 + 1e-12
        assert float(jnp.abs(state["h"]).max()) <= 1
        before = state["c"]


@pytest.mark.parametrize("options", [{"block_size": 0}, {"start": -1.0}])
def test_options_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="of lstm_1997 must be at least"):
        lstm_1997(2, 4, **options)  # type: ignore[arg-type]
