"""Recurrent matrices of a cell, gate by gate, their spectral radius and norm.

The state is a row in this project (h @ W), so a matrix here is the transpose of the W_h or
U_f of a cell's equations; eigenvalues and singular values are the same. The radius alone
decides a linear network's fate for long lags, the norm bounds a single step of it
(Pascanu, Mikolov & Bengio 2013, "On the difficulty of training recurrent neural
networks", section 2.1).
"""

import jax
import numpy as np

from rnnexp.cells.base import Cell
from rnnexp.cells.gate_blocks import named_blocks
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Params
from rnnexp.gradflow.recurrent_params import hidden_rows


def recurrent_matrices(cell: Cell, params: Params) -> dict[str, Array]:
    """Every square matrix that the hidden state meets in a step, (H, H) each.

    A cell says which they are by `Cell.recurrent_matrices`: one a gate, `w_h/f`; where it
    keeps the matrix in another form the effective one (of complex ones the real (2N, 2N)).
    Of a cell that does not, those rows of its 2-D parameters that multiply the hidden state
    (see `hidden_rows`); blocks are then numbered: `kernel/0`. Empty where there is none:
    cells without recurrence, or whose recurrence is not a fixed matrix.
    """
    params = cell.prepare(params)
    if cell.recurrent_matrices is not None:
        return cell.recurrent_matrices(params)
    size = int(jax.eval_shape(cell.init_state, params)[cell.hidden].size)
    found: dict[str, Array] = {}
    for name, rows in hidden_rows(cell).items():
        numbers = [str(k) for k in range(params[name].shape[1] // size)]
        found |= named_blocks(name, params[name][rows], numbers)
    return found


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


def spectral_norm(matrix: Array) -> float:
    """The largest singular value; NaN for a matrix that is not finite.

    By NumPy on the host, where nothing need be compiled: not to be called inside jit.

    Raises UsageError for a matrix that is not square.
    """
    require_square(matrix)
    values = np.asarray(matrix)
    return float(np.linalg.norm(values, 2)) if np.isfinite(values).all() else float("nan")


def require_square(matrix: Array) -> None:
    """Raise UsageError unless it is a square matrix."""
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise UsageError(f"need a square matrix, not the shape {matrix.shape}")
