"""Whether the kernels of a cell compile here, and if not, why: by compiling them."""

from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp

from rnnexp.core.errors import first_line
from rnnexp.core.types import Array, Params, State
from rnnexp.scan.kernels.gpu.cells import CELLS
from rnnexp.scan.kernels.gpu.layout import layout, padded_size, too_wide
from rnnexp.scan.kernels.gpu.recurrence import recurrence


@lru_cache(maxsize=64)
def problem(cell: str, hidden_size: int, dtype: str, precision: str) -> str:
    """Why a cell of that size has no kernel here; empty if it has one.

    It compiles what a run compiles, for two steps of one program's batch, so that an
    unsuitable device or version of JAX is known before the run starts.
    """
    if cell not in CELLS:
        return f"{cell} has a kernel for processors only"
    if dtype != "float32":
        return f"the kernels of graphics processors are for float32, not for {dtype}"
    if too_wide(cell, hidden_size, precision):
        padded = f"{hidden_size} hidden units (padded to {padded_size(hidden_size)})"
        return f"with {padded} in {precision} its weights are too many for one multiprocessor"
    try:
        _compile(cell, hidden_size, precision)
    except Exception as error:  # from any part of the compiler; the scan takes its place
        return f"its kernel cannot be compiled here: {type(error).__name__}: {first_line(error)}"
    return ""


def _compile(cell: str, hidden_size: int, precision: str) -> None:
    rows = layout(cell, hidden_size, precision).rows
    compute = jax.jit(partial(_everything, cell, precision))
    compute.lower(*shapes(cell, hidden_size, rows)).compile()


def shapes(cell: str, hidden_size: int, batch_size: int, steps: int = 2) -> tuple[Any, ...]:
    """Shapes of parameters, inputs and state."""
    like = partial(jax.ShapeDtypeStruct, dtype=jnp.float32)
    columns = CELLS[cell].gates * hidden_size
    params = {"w_x": like((1, columns)), "w_h": like((hidden_size, columns)), "b": like((columns,))}
    if cell == "gru":
        params["b_hn"] = like((hidden_size,))
    state = {"h": like((batch_size, hidden_size))}
    if CELLS[cell].has_c:
        state["c"] = state["h"]
    return params, like((steps, batch_size, 1)), state


def _everything(
    cell: str, precision: str, params: Params, x_TxBxI: Array, state: State
) -> tuple[Array, Any]:
    """Value and gradients."""

    def loss(params: Params) -> Array:
        h_TxBxH, _ = recurrence(cell, params, x_TxBxI, state, precision=precision, interpret=False)
        return jnp.sum(h_TxBxH)

    return jax.value_and_grad(loss)(params)
