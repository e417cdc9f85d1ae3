"""Cells that have kernels, what they are called with, and configurations that ask for them."""

from typing import Any

import jax
import numpy as np
import pytest

from rnnexp.cells.base import Cell
from rnnexp.core.types import Array, Params, State
from rnnexp.gradflow.adjoints import zero_slot
from rnnexp.scan.kernels import build
from rnnexp.scan.unroll import initial_state
from rnnexp.train.choose_time_loop import choose_time_loop, log_reasons
from tests.helpers.variants import build as build_cell

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "lstm": ("lstm", {}),
    "lstm_peephole": ("lstm", {"peepholes": True}),
    "lstm_coupled": ("lstm", {"coupled": True}),
    "lstm_coupled_peephole": ("lstm", {"coupled": True, "peepholes": True}),
    "gru": ("gru", {}),
    "gru_before": ("gru", {"reset": "before"}),
    "minimal_gated": ("minimal_gated", {}),
    "tanh": ("rnn", {"recurrent_scale": 0.9}),
    "relu": ("rnn", {"activation": "relu", "recurrent_scale": 0.9}),
    "linear": ("rnn", {"activation": "linear", "recurrent_scale": 0.9}),
    "indrnn": ("indrnn", {}),
    "min_gru": ("min_gru", {}),
    "min_gru_positive": ("min_gru", {"candidate": "positive"}),
    "min_lstm": ("min_lstm", {}),
    "min_lstm_positive": ("min_lstm", {"candidate": "positive"}),
}
"""Of every kernel the cell that names it, with its options."""
T, I = 9, 3  # noqa: E741
needs_compiler = pytest.mark.skipif(
    build.problem("lstm", "float32") != "", reason="no C++ compiler to build the kernels"
)
"""For tests of the compiled kernels."""


def made(name: str, hidden_size: int) -> tuple[Cell, Params]:
    """A cell and parameters none of which is zero."""
    cell = build_cell(VARIANTS[name], I, hidden_size)

    @jax.jit
    def drawn(key: Array) -> Params:
        noise = jax.random.split(jax.random.key(5), 8)
        return {
            k: v + 0.1 * jax.random.normal(each, v.shape)
            for each, (k, v) in zip(noise, cell.init(key).items(), strict=False)
        }

    return cell, drawn(jax.random.key(0))


def arguments(cell: Cell, params: Params, batch_size: int) -> tuple[Params, Array, State, State]:
    """Parameters, inputs, a first state, and zeros for the adjoints."""

    @jax.jit
    def drawn(params: Params) -> tuple[Array, State, State]:
        x = jax.random.normal(jax.random.key(1), (T, batch_size, I))
        start = {
            k: jax.random.normal(jax.random.key(2), v.shape)
            for k, v in initial_state(cell, params, batch_size).items()
        }
        return x, start, zero_slot(cell, params, T, batch_size)

    return params, *drawn(params)


def assert_same(got: Any, wanted: Any, tolerance: float) -> None:
    def compare(a: Array, b: Array) -> None:
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * float(np.max(np.abs(b))))

    jax.tree.map(compare, got, wanted)


def config_with(**model: Any) -> Any:
    import rnnexp

    config = rnnexp.experiment("adding/lstm")
    config.model.update(model)
    return rnnexp.finish(config)


def use_kernel(config: Any, cell: Cell) -> bool:
    """Whether a run of this configuration uses the cell's kernel; the reasons are logged."""
    choice = choose_time_loop(config, cell)
    log_reasons(choice.reasons)
    return choice.time_loop.kernel
