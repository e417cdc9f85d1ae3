"""Recurrent matrices of every cell and of a user's own, by name; their radius and norm."""

from collections.abc import Callable
from dataclasses import replace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnexp.cells import CELLS
from rnnexp.cells.base import Cell
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Key, Params, State
from rnnexp.laboratory.recurrent_matrices import recurrent_matrices, spectral_norm, spectral_radius
from rnnexp.models.wrap import from_linen, from_nnx
from tests.helpers.noisy_params import noisy_params
from tests.helpers.variants import build, small

I, H = 3, 4  # noqa: E741
COMPLEX = ("lru", "unitary")
WITHOUT = (
    "feedforward", "tdnn", "narx", "min_gru", "min_lstm", "memory_network", "hopfield", "rbm",
    "boltzmann", "graph",
)  # fmt: skip


def logit(p: Array) -> Array:
    """What the logistic function was taken of."""
    return jnp.log(p) - jnp.log1p(-p)


def of_gates(**names: str) -> Callable[..., dict[str, Array]]:
    """What a cell's gates are the logistic functions of, by the name of its matrix."""

    def arguments(cell: Cell, params: Params, h: Array) -> dict[str, Array]:
        found = cell.gates(params, at(cell, params, h), jnp.zeros(I))
        return {f"w_h/{block}": logit(found[gate]) for block, gate in names.items()}

    return arguments


def at(cell: Cell, params: Params, h: Array) -> dict[str, Array]:
    """The initial state but for h."""
    return {**cell.init_state(params), "h": h}


def new(cell: Cell, params: Params, h: Array) -> dict[str, Array]:
    """The state after a step without input."""
    return dict(cell.transition(params, at(cell, params, h), jnp.zeros(I)))


def lstm(cell: Cell, params: Params, h: Array) -> dict[str, Array]:
    """c = 0 before, so that c = i g after."""
    gates = of_gates(i="input", f="forget", o="output")(cell, params, h)
    i = cell.gates(params, at(cell, params, h), jnp.zeros(I))["input"]
    return {**gates, "w_h/g": jnp.arctanh(new(cell, params, h)["c"] / i)}


def mixed(cell: Cell, params: Params, h: Array, gate: str, sign: int) -> Array:
    """n of h_t = (1 - z) n + z h (sign 1), or of (1 - z) h + z n (sign -1), before tanh."""
    z = cell.gates(params, at(cell, params, h), jnp.zeros(I))[gate]
    z = z if sign > 0 else 1 - z
    return jnp.arctanh((new(cell, params, h)["h"] - z * h) / (1 - z))


def gru(cell: Cell, params: Params, h: Array) -> dict[str, Array]:
    """At h = 0 the reset gate, held, scales what n is taken of."""
    params = {**params, "b_hn": jnp.zeros(H)}
    r = cell.gates(params, at(cell, params, 0 * h), jnp.zeros(I))["reset"]
    gates = of_gates(r="reset", z="update")(cell, params, h)
    return {**gates, "w_h/n": mixed(cell, params, h, "update", 1) / r}


def minimal_gated(cell: Cell, params: Params, h: Array) -> dict[str, Array]:
    """At h = 0 the gate scales what of h is seen."""
    f = cell.gates(params, at(cell, params, 0 * h), jnp.zeros(I))["forget"]
    n = mixed(cell, params, h / f, "forget", -1)
    return {**of_gates(f="forget")(cell, params, h), "w_h/n": n}


def cornn(cell: Cell, params: Params, h: Array) -> dict[str, Array]:
    """With the defaults' dt, gamma and epsilon."""
    by_z = cell.transition(params, {"h": jnp.zeros(H), "z": h}, jnp.zeros(I))["z"]
    return {
        "w_h": jnp.arctanh(new(cell, params, h)["z"] / 0.042 + 2.7 * h),
        "w_z": jnp.arctanh((by_z - h) / 0.042 + 4.7 * h),
    }


def lem(cell: Cell, params: Params, h: Array) -> dict[str, Array]:
    """z = 0 before; but for w_z, where it is h / (1 - d), and so h and a constant after."""
    zero = jnp.zeros(H)
    d, e = cell.gates(params, at(cell, params, zero), jnp.zeros(I)).values()
    by_z = cell.transition(params, {"h": zero, "z": h / (1 - d)}, jnp.zeros(I))["h"]
    gates = cell.gates(params, at(cell, params, h), jnp.zeros(I))
    return {
        "w_h/1": logit(gates["time_step_z"]),
        "w_h/2": logit(gates["time_step_h"]),
        "w_h/z": jnp.arctanh(new(cell, params, h)["z"] / gates["time_step_z"]),
        "w_z": jnp.arctanh(by_z / e),
    }


def lstm_1997(cell: Cell, params: Params, h: Array) -> dict[str, Array]:
    """c = 0 before, so that c = i (4 s(z) - 2) after."""
    i = cell.gates(params, at(cell, params, h), jnp.zeros(I))["input"]
    return {"w_h/c": logit((new(cell, params, h)["c"] / i + 2) / 4)}


EQUATIONS: dict[str, Callable[..., dict[str, Array]]] = {
    "rnn": lambda cell, params, h: {"w_h": jnp.arctanh(new(cell, params, h)["h"])},
    "lstm": lstm,
    "lstm_1997": lstm_1997,
    "gru": gru,
    "minimal_gated": minimal_gated,
    "cornn": cornn,
    "lem": lem,
    "antisymmetric": lambda cell, params, h: {
        "w_h": jnp.arctanh((new(cell, params, h)["h"] - h) / 0.01)
    },
    "orthogonal": lambda cell, params, h: {"w_h": new(cell, {**params, "b": jnp.zeros(H)}, h)["h"]},
    "clockwork": lambda cell, params, h: {"w_h": jnp.arctanh(new(cell, params, h)["h"])},
    "scrn": lambda cell, params, h: {"w_h": logit(new(cell, params, h)["h"])},
    "indrnn": lambda cell, params, h: {"u": jnp.clip(params["u"], -1, 1) * h},
    "ntm": lstm,
    "dnc": lstm,
    "stack_rnn": lambda cell, params, h: {"w_h": logit(new(cell, params, h)["h"])},
}
"""By cell, for each of its matrices a function of h that has it as its derivative at h = 0."""


def test_every_cell_of_the_table_is_checked() -> None:
    assert {*EQUATIONS, *COMPLEX, *WITHOUT} == set(CELLS.builtin)


def matrices(cell: Cell, params: Params) -> dict[str, Array]:
    """Compiled, as the laboratory does it."""
    found: dict[str, Array] = jax.jit(lambda p: recurrent_matrices(cell, p))(params)
    return found


@pytest.mark.parametrize("name", list(EQUATIONS))
def test_the_matrices_are_those_of_the_equations(name: str, x64: None) -> None:
    cell = build(small(name), I, H)
    params = noisy_params(cell)
    equations = jax.jit(jax.jacfwd(lambda h: EQUATIONS[name](cell, params, h)))
    expected, found = equations(jnp.zeros(H)), matrices(cell, params)
    assert set(found) == set(expected)
    for block, matrix in found.items():
        np.testing.assert_allclose(matrix, expected[block].T, rtol=1e-9, atol=1e-12, err_msg=block)
        assert float(jnp.abs(matrix).max()) > 0.1


@pytest.mark.parametrize("name", WITHOUT)
def test_cells_without_a_fixed_matrix_have_none(name: str) -> None:
    cell = build((name, {}), I, H)
    assert recurrent_matrices(cell, noisy_params(cell)) == {}


def test_the_complex_diagonal_is_a_real_matrix_of_rotations(x64: None) -> None:
    cell = build(("lru", {}), I, H)
    params = noisy_params(cell)
    modulus, phase = np.exp(-np.exp(params["nu_log"])), np.exp(params["theta_log"])
    re, im = np.diag(modulus * np.cos(phase)), np.diag(modulus * np.sin(phase))
    found = matrices(cell, params)
    np.testing.assert_allclose(found["lambda"].T, np.block([[re, -im], [im, re]]), atol=1e-14)
    np.testing.assert_allclose(spectral_radius(found["lambda"]), modulus.max(), rtol=1e-12)


def test_the_unitary_matrix_is_what_it_does_to_a_state(x64: None) -> None:
    cell = build(("unitary", {}), I, H)
    params = {**noisy_params(cell), "b": jnp.zeros(H)}
    found = matrices(cell, {**params, "b": jnp.full(H, 0.3)})
    state = jax.random.normal(jax.random.key(2), (2, H))
    after = jax.jit(cell.transition)(params, {"h": state}, jnp.zeros(I))["h"]
    np.testing.assert_allclose(state.ravel() @ found["w"], after.ravel(), rtol=1e-12)
    np.testing.assert_allclose(found["w"] @ found["w"].T, np.eye(2 * H), atol=1e-14)


def test_matrices_that_are_kept_on_their_manifold(x64: None) -> None:
    turn = matrices(cell := build(("orthogonal", {}), I, H), noisy_params(cell))["w_h"]
    np.testing.assert_allclose(turn @ turn.T, np.eye(H), atol=1e-14)
    skew = matrices(cell := build(("antisymmetric", {}), I, H), noisy_params(cell))["w_h"]
    np.testing.assert_allclose(skew + skew.T, -0.02 * np.eye(H), atol=1e-14)


def test_coupled_gates_have_no_input_gate() -> None:
    cell = build(("lstm", {"coupled": True, "peepholes": True}), I, H)
    params = noisy_params(cell)
    found = recurrent_matrices(cell, params)
    assert list(found) == ["w_h/f", "w_h/g", "w_h/o"]
    np.testing.assert_array_equal(found["w_h/o"], params["w_h"][:, 2 * H :])


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
    params = noisy_params(cell)
    renamed = replace(cell, name="mine")
    np.testing.assert_array_equal(recurrent_matrices(renamed, params)["w_h"], params["w_h"])


def test_kernels_of_flax_cells_are_found() -> None:
    linen = from_linen(nn.OptimizedLSTMCell(H), I)
    found = matrices(linen, noisy_params(linen))
    assert set(found) == {f"h{gate}_kernel" for gate in "ifgo"}
    nnx_cell = from_nnx(lambda rngs: nnx.GRUCell(I, H, rngs=rngs), I)
    params = noisy_params(nnx_cell)
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
