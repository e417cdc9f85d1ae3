"""Recurrent matrices of a user's own cell, and the spectral radius and norm of a matrix."""

from dataclasses import replace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.flatten_util import ravel_pytree

from rnnexp.cells.base import Cell
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Key, Params, State
from rnnexp.laboratory.recurrent_matrices import recurrent_matrices, spectral_norm, spectral_radius
from rnnexp.models.wrap import from_linen, from_nnx
from tests.helpers.variants import build

I, H = 3, 4  # noqa: E741


def drawn(cell: Cell) -> Params:
    """Parameters of which none is zero."""
    flat, unravel = ravel_pytree(jax.jit(cell.init)(jax.random.key(0)))
    params: Params = unravel(flat + 0.3 * jax.random.normal(jax.random.key(1), flat.shape))
    return params


def matrices(cell: Cell, params: Params) -> dict[str, Array]:
    """Compiled, as the laboratory does it."""
    found: dict[str, Array] = jax.jit(lambda p: recurrent_matrices(cell, p))(params)
    return found


def own_cell() -> Cell:
    """Two gates of [x, h, m] W with a memory m beside the hidden state, which alone is (H,)."""

    def transition(params: Params, state: State, x_I: Array) -> State:
        seen = jnp.concatenate([x_I, state["h"], state["m"]])
        gate, value = jnp.split(seen @ params["kernel"] + params["bias"], 2)
        h = jax.nn.sigmoid(gate) * state["h"] + jnp.tanh(value)
        return {"h": h, "m": 0.5 * state["m"] + h[:2] @ params["small"]}

    def init(key: Key) -> Params:
        shapes = {"kernel": (I + H + 2, 2 * H), "bias": (2 * H,), "small": (2, 2)}
        return {name: jax.random.normal(key, shape) for name, shape in shapes.items()}

    return Cell(
        name="own",
        input_size=I,
        output_size=H,
        init=init,
        init_state=lambda params: {"h": jnp.zeros(H), "m": jnp.zeros(2)},
        transition=transition,
        parameter_count=(I + H + 3) * 2 * H + 4,
    )


def test_the_rows_of_a_user_s_own_kernel_are_found() -> None:
    cell = own_cell()
    params = cell.init(jax.random.key(0))
    found = matrices(cell, params)
    assert list(found) == ["kernel/0", "kernel/1"]
    rows = params["kernel"][I : I + H]
    np.testing.assert_array_equal(found["kernel/0"], rows[:, :H])
    np.testing.assert_array_equal(found["kernel/1"], rows[:, H:])


def test_an_unknown_name_is_no_obstacle() -> None:
    cell = build(("rnn", {}), I, H)
    params = drawn(cell)
    renamed = replace(cell, name="mine")
    np.testing.assert_array_equal(recurrent_matrices(renamed, params)["w_h"], params["w_h"])


def test_kernels_of_flax_cells_are_found() -> None:
    linen = from_linen(nn.OptimizedLSTMCell(H), I)
    found = matrices(linen, drawn(linen))
    assert set(found) == {f"h{gate}_kernel" for gate in "ifgo"}
    nnx_cell = from_nnx(lambda rngs: nnx.GRUCell(I, H, rngs=rngs), I)
    params = drawn(nnx_cell)
    found = matrices(nnx_cell, params)
    assert set(found) == {f"dense_h_kernel/{k}" for k in range(3)}
    np.testing.assert_array_equal(found["dense_h_kernel/1"], params["dense_h_kernel"][:, H : 2 * H])


def test_radius_and_norm_equal_numpy(x64: None) -> None:
    matrix = np.random.default_rng(0).normal(size=(6, 6))
    radius = np.abs(np.linalg.eigvals(matrix)).max()
    np.testing.assert_allclose(spectral_radius(jnp.asarray(matrix)), radius, rtol=1e-12)
    norm = np.linalg.svd(matrix, compute_uv=False)[0]
    np.testing.assert_allclose(spectral_norm(jnp.asarray(matrix)), norm, rtol=1e-12)
    assert norm > 1.1 * radius


def test_radius_and_norm_of_a_shear_differ_most() -> None:
    shear = jnp.array([[0.5, 100.0], [0.0, 0.5]])
    assert spectral_radius(shear) == 0.5
    assert float(spectral_norm(shear)) > 100


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_matrix_that_is_not_finite_has_neither(bad: float) -> None:
    matrix = jnp.eye(3).at[0, 2].set(bad)
    assert np.isnan(spectral_radius(matrix))
    assert np.isnan(spectral_norm(matrix))


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 2, 2)])
def test_only_square_matrices_have_them(shape: tuple[int, ...]) -> None:
    for function in (spectral_radius, spectral_norm):
        with pytest.raises(UsageError, match="need a square matrix, not the shape"):
            function(jnp.zeros(shape))
