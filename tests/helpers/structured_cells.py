"""Cells of the table by name, their states and adjoints by a plain scan."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.cells import CELLS
from rnnexp.cells.base import Cell
from rnnexp.cells.unitary import permutation
from rnnexp.core.types import Array, Params, State, Tree

T, B, I, H = 11, 3, 4, 6  # noqa: E741
Numbers = dict[str, np.ndarray]


def build(name: str, *, inputs: int = I, hidden: int = H, **options: Any) -> Cell:
    """A cell of the table."""
    cell: Cell = CELLS.entry(name).factory()(inputs, hidden, **options)
    return cell


def as_numpy(params: Params) -> Numbers:
    return {name: np.asarray(value) for name, value in params.items()}


def sequence(steps: int = T, *shape: int) -> Array:
    return jax.random.normal(jax.random.key(2), (steps, *shape, I))


def unitary_matrix(p: Numbers) -> np.ndarray:
    """W = D_3 R_2 F^-1 D_2 P R_1 F D_1 as a matrix."""
    k = np.arange(H)
    F = np.exp(-2j * np.pi * np.outer(k, k) / H) / np.sqrt(H)
    P = np.eye(H)[permutation(H, 0)]
    D = [np.diag(np.exp(1j * d)) for d in p["d"]]
    v = p["v"][:, 0] + 1j * p["v"][:, 1]
    R = [np.eye(H) - 2 * np.outer(w, w.conj()) / np.sum(np.abs(w) ** 2) for w in v]
    W: np.ndarray = D[2] @ R[1] @ F.conj().T @ D[1] @ P @ R[0] @ F @ D[0]
    return W


def scanned(cell: Cell, params: Params, state: State, x: Array, slots: State) -> State:
    """All states of one example by the scan of `transition`, slots added after each step."""

    def body(state: State, row: tuple[Array, State]) -> tuple[State, State]:
        new = cell.transition(params, state, row[0])
        new = {
            leaf: value + row[1][leaf] if leaf in slots else value for leaf, value in new.items()
        }
        return new, new

    states: State = jax.lax.scan(body, state, (x, slots))[1]
    return states


def adjoints_of_last(cell: Cell, params: Params, x: Array, weights: Array) -> Array:
    """dL/dh_t for L = sum(weights * h_T), (T, *h.shape): the derivative by what is added to h_t."""

    def loss(slot: Array) -> Array:
        start = cell.init_state(params)
        return jnp.sum(weights * scanned(cell, params, start, x, {"h": slot})["h"][-1])

    adjoints: Array = jax.jit(jax.grad(loss))(jnp.zeros((len(x), *weights.shape)))
    return adjoints


def close(a: Tree, b: Tree) -> None:
    """Equal up to float64 rounding."""
    jax.tree.map(lambda u, v: np.testing.assert_allclose(u, v, rtol=1e-10, atol=1e-12), a, b)
