"""Recurrent matrices of a cell, gate by gate, their spectral radius and norm.

States are rows (h @ W), so a matrix is the transpose of the W_h or U_f of a cell's equations,
with the same eigenvalues and singular values. The radius alone determines a linear network's
gradients over long lags, the norm bounds a single step (Pascanu, Mikolov & Bengio 2013, "On the
difficulty of training recurrent neural networks", section 2.1).
"""

import jax
import numpy as np

from rnnexp.cells.base import Cell
from rnnexp.cells.gate_blocks import named_blocks
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Params
from rnnexp.gradflow.recurrent_params import hidden_rows


def recurrent_matrices(cell: Cell, params: Params) -> dict[str, Array]:
    """Every square matrix, (H, H), that multiplies the hidden state in a step.

    `Cell.recurrent_matrices` names them: one a gate, `w_h/f`; the effective matrix where a cell
    parametrises it (for complex ones the real (2N, 2N)). A cell without it has the rows of its
    2-D parameters that multiply the hidden state (see `hidden_rows`), in numbered blocks:
    `kernel/0`. Empty for cells without recurrence, or whose recurrence is not a fixed matrix.
    """
    params = cell.prepare(params)
    if cell.recurrent_matrices is not None:
        return cell.recurrent_matrices(params)
    size = int(jax.eval_shape(cell.init_state, params)[cell.hidden].size)
    matrices: dict[str, Array] = {}
    for name, rows in hidden_rows(cell).items():
        numbers = [str(k) for k in range(params[name].shape[1] // size)]
        matrices |= named_blocks(name, params[name][rows], numbers)
    return matrices


def spectral_radius(matrix: Array) -> float:
    """The largest modulus of an eigenvalue; NaN for a non-finite matrix.

    By NumPy in float64 on the host, so not inside jit: on accelerators JAX has no eigenvalues of
    a general matrix. Raises `UsageError` for a matrix that is not square.
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
    """Raise `UsageError` unless the matrix is square."""
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise UsageError(f"need a square matrix, not the shape {matrix.shape}")
