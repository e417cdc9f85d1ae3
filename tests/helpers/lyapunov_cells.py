"""Small cells with known Jacobians, their weights and their inputs."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.cells.base import Cell
from rnnexp.cells.rnn import rnn
from rnnexp.core.types import Array, Params
from rnnexp.laboratory.lyapunov import Spectrum, lyapunov_spectrum
from tests.helpers.variants import build

KEY = jax.random.key(5)


# Programs are compiled once for a cell that is the same object.
one_rnn = functools.cache(rnn)


def linear(w_h: np.ndarray, activation: str = "linear", b: float = 0.0) -> tuple[Cell, Params]:
    """An Elman cell whose Jacobian (where active) is the transpose of `w_h`."""
    size = len(w_h)
    params = {"w_x": jnp.eye(size), "w_h": jnp.asarray(w_h), "b": jnp.full(size, b)}
    return one_rnn(size, size, activation=activation), params


def gru() -> tuple[Cell, Params, Array]:
    """A GRU of four units and 1,200 steps of inputs for two trajectories."""
    cell = one_gru()
    return cell, weights(cell), drive(cell, 1200, 2)


@functools.cache
def one_gru() -> Cell:
    return build(("gru", {}), 2, 4)


def closed_form(w_h: np.ndarray) -> Spectrum:
    """The spectrum of a linear cell of five units."""
    cell, params = linear(w_h)
    return lyapunov_spectrum(cell, params, drive(cell, 300, 2), warmup_steps=150, key=KEY)


def rotation(size: int, seed: int = 0) -> np.ndarray:
    basis: np.ndarray = np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))[0]
    return basis


def drive(cell: Cell, steps: int, batch_size: int = 1) -> Array:
    shape = (steps, batch_size, cell.input_size)
    return jnp.asarray(np.random.default_rng(1).normal(size=shape))


def weights(cell: Cell, scale: float = 0.4) -> Params:
    """Gaussian weights: the cells' own initial ones cost more time to compile than to test."""
    rng = np.random.default_rng(2)
    shapes = jax.eval_shape(cell.init, KEY)
    return {k: jnp.asarray(scale * rng.normal(size=v.shape)) for k, v in shapes.items()}


def custom(step: Callable[[Array, Array], Array], size: int, input_size: int = 1) -> Cell:
    """A cell of the user's own from `(h, x) -> h`."""
    return Cell(
        name="custom",
        input_size=input_size,
        output_size=size,
        init=lambda key: {"b": jnp.zeros(size)},
        init_state=lambda params: {"h": jnp.zeros_like(params["b"])},
        transition=lambda params, state, x: {"h": step(state["h"], x)},
        parameter_count=size,
    )
