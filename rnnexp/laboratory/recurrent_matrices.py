"""Recurrent matrices of a cell, gate by gate, their spectral radius and norm.

The state is a row in this project (h @ W), so a matrix here is the transpose of the W_h or
U_f of a cell's equations; eigenvalues and singular values are the same. The radius alone
decides a linear network's fate for long lags, the norm bounds a single step of it
(Pascanu, Mikolov & Bengio 2013, "On the difficulty of training recurrent neural
networks", section 2.1).
"""

from collections.abc import Callable, Mapping
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from rnnexp.cells.base import Cell
from rnnexp.core.errors import UsageError
from rnnexp.core.linalg import largest_singular_value
from rnnexp.core.types import Array, Key, Params, State

KERNELS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "rnn": {"w_h": ("",)},
    "lstm": {"w_h": ("i", "f", "g", "o")},
    "gru": {"w_h": ("r", "z", "n")},
    "minimal_gated": {"w_h": ("f", "n")},
    "cornn": {"w_h": ("",), "w_z": ("",)},
    "lem": {"w_h": ("1", "2", "z"), "w_z": ("",)},
    "antisymmetric": {"w_h": ("",)},
    "orthogonal": {"w_h": ("",)},
    "clockwork": {"w_h": ("",)},
    "scrn": {"w_h": ("",)},
    "feedforward": {},
    "tdnn": {},
    "narx": {},  # the loop is through the output: V U has the output's rank
    "min_gru": {},  # what multiplies the state depends on the input alone
    "min_lstm": {},
}
"""By cell, its recurrent kernels (of the prepared parameters) and the names of their gates,
as in the cell's equations. A kernel with fewer gates lacks the first ones (coupled LSTM)."""


def _with(name: str, value: float) -> Callable[[Params], Params]:
    """Parameters with all of one set to a value."""
    return lambda params: {**params, name: jnp.full_like(params[name], value)}


LINEAR: Mapping[str, tuple[str, Callable[[Params], Params]]] = {
    "lru": ("lambda", lambda params: params),
    "unitary": ("w", _with("b", 0.0)),
    "indrnn": ("u", _with("b", 1.0)),
}
"""By cell without a stored recurrent matrix, the name of the effective one, and parameters for
which the step is linear near x = 0 and a small h, so that its Jacobian is that matrix: modReLU
with bias 0 is the identity, and a ReLU with bias 1 is active. Complex ones are real (2N, 2N)."""


def recurrent_matrices(cell: Cell, params: Params) -> dict[str, Array]:
    """Every square matrix that the hidden state meets in a step, (H, H) each.

    Of a kernel that holds several gates each block by itself: `w_h/f`. Cells that keep
    the matrix in another form show the effective one: orthogonal, antisymmetric and
    clockwork the matrix itself, LRU, uRNN and IndRNN (u within its bound) the Jacobian of
    their linear part. A cell of the user's own shows those rows of its 2-D parameters
    that multiply the hidden state, or another leaf of its shape, if they are H rows and a
    multiple of H columns; blocks are then numbered: `kernel/0`. Empty where there is
    none: cells without recurrence, or whose recurrence is not a fixed matrix.
    """
    params = cell.prepare(params)
    if cell.name in LINEAR and "b" in params:
        name, linear = LINEAR[cell.name]
        return {name: _step_jacobian(cell, linear(params)).T}
    size = _hidden_size(cell, params)
    kernels = KERNELS.get(cell.name)
    if kernels is None or not set(kernels) <= set(params):
        found = _kernels_by_effect(cell)
        return _named_blocks({name: params[name][rows] for name, rows in found.items()}, {}, size)
    return _named_blocks({name: params[name] for name in kernels}, kernels, size)


def spectral_radius(matrix: Array) -> float:
    """The largest modulus of an eigenvalue; NaN for a matrix that is not finite.

    By NumPy in float64 on the host, because JAX has no eigenvalues of a general matrix
    on accelerators: not to be called inside jit.

    Raises UsageError for a matrix that is not square.
    """
    require_square(matrix)
    values = np.asarray(matrix, np.float64)
    if not np.isfinite(values).all():
        return float("nan")
    return float(np.max(np.abs(np.linalg.eigvals(values))))


def spectral_norm(matrix: Array) -> Array:
    """The largest singular value, (); NaN for a matrix that is not finite.

    Raises UsageError for a matrix that is not square.
    """
    require_square(matrix)
    finite = jnp.all(jnp.isfinite(matrix))
    norm: Array = largest_singular_value(jnp.where(finite, matrix, 0.0))
    return jnp.where(finite, norm, jnp.nan)


def require_square(matrix: Array) -> None:
    """Raise UsageError unless it is a square matrix."""
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise UsageError(f"need a square matrix, not the shape {matrix.shape}")


def _hidden_size(cell: Cell, params: Params) -> int:
    """Scalars of the hidden leaf."""
    return int(jax.eval_shape(cell.init_state, params)[cell.hidden].size)


def _named_blocks(
    kernels: Mapping[str, Array], gates: Mapping[str, tuple[str, ...]], size: int
) -> dict[str, Array]:
    """Kernels cut into blocks of `size` columns, by `kernel/gate`; one block alone: `kernel`."""
    blocks = {}
    for name, kernel in kernels.items():
        count = kernel.shape[1] // size
        if count == 1:
            blocks[name] = kernel
            continue
        known = gates.get(name, tuple(str(k) for k in range(count)))[-count:]
        blocks |= {
            f"{name}/{gate}": block
            for gate, block in zip(known, jnp.split(kernel, count, axis=1), strict=True)
        }
    return blocks


def _step_jacobian(cell: Cell, params: Params) -> Array:
    """dh_t/dh_{t-1} at x = 0 and a small h without zeros, (H, H)."""
    start, unravel = ravel_pytree(cell.init_state(params))
    at = 1e-3 * (1.0 + jnp.arange(start.size).astype(start.dtype) / start.size)
    x_I = jnp.zeros(cell.input_size, start.dtype)

    def step(state_S: Array) -> Array:
        return ravel_pytree(cell.transition(params, unravel(state_S), x_I))[0]

    jacobian: Array = jax.jacfwd(step)(at)
    return jacobian


@lru_cache(maxsize=64)
def _kernels_by_effect(cell: Cell) -> dict[str, np.ndarray]:
    """Of an unknown cell the rows of each 2-D parameter that multiply its hidden state.

    A row that multiplies something has a derivative of zero where that is zero. So at x =
    0, with nothing in the state but the hidden leaf and those of its shape, only rows
    that multiply these have one. Parameters drawn at random, so that none is zero.
    """

    def slopes(key: Key) -> Params:
        key_init, key_noise, key_state, key_out = jax.random.split(key, 4)
        params = cell.prepare(cell.init(key_init))
        flat, unravel = ravel_pytree(dict(params))
        params = unravel(flat + 0.3 * jax.random.normal(key_noise, flat.shape, flat.dtype))
        state = _hidden_alone(cell, params, key_state)
        weights = jax.random.normal(key_out, state[cell.hidden].shape, flat.dtype)
        x_I = jnp.zeros(cell.input_size, flat.dtype)

        def seen(params: Params) -> Array:
            new = cell.transition(params, state, x_I)
            return sum(
                (jnp.sum(leaf) for leaf in new.values()), jnp.sum(weights * new[cell.hidden])
            )

        by_name: Params = jax.grad(seen)(dict(params))
        return by_name

    with jax.ensure_compile_time_eval():
        by_name = jax.jit(slopes)(jax.random.key(0))
    size = _hidden_size(cell, by_name)
    found = {}
    for name, slope in by_name.items():
        if slope.ndim != 2 or slope.shape[1] % size:
            continue
        rows = np.flatnonzero(np.any(np.asarray(slope) != 0, axis=1))
        if len(rows) == size:
            found[name] = rows
    return found


def _hidden_alone(cell: Cell, params: Params, key: jax.Array) -> State:
    """A state of zeros but for the leaves of the hidden one's shape, which are random."""
    state = cell.init_state(params)
    shape = state[cell.hidden].shape
    return {
        name: jax.random.normal(jax.random.fold_in(key, i), leaf.shape, leaf.dtype)
        if leaf.shape == shape
        else jnp.zeros_like(leaf)
        for i, (name, leaf) in enumerate(sorted(state.items()))
    }
