"""A cell over a whole batch of sequences in one kernel each way, on a GPU.

XLA runs a scan over time as several kernels a step, each of which waits for the previous one,
reads the weights again and writes the state. Here the inputs' products for all steps are one
large product before, one kernel computes all steps, and the gradient of the weights is one
large product after. `layout` describes the memory. The equations are those of the cell's
`transition`; the tests compare values, gradients and adjoints with the scan, by running the
kernels on a CPU (`interpret`).
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnnexp.core.errors import UsageError
from rnnexp.core.masking import states_before
from rnnexp.core.types import Array, Params, State
from rnnexp.scan.kernels.cotangents import dense, marked, plain
from rnnexp.scan.kernels.gpu.cells import CELLS, FusedCell
from rnnexp.scan.kernels.gpu.kernel import Spec, backward, forward
from rnnexp.scan.kernels.gpu.layout import KernelLayout, layout
from rnnexp.scan.kernels.gpu.products import add_up, matmul, shortened
from rnnexp.scan.kernels.operands import check_operands


class FusedOutputs(NamedTuple):
    """h after every step and c after the last."""

    h_TxBxH: Array
    c_BxH: Array


def recurrence(
    cell: str,
    params: Params,
    inputs_TxBxI: Array,
    state: State,
    *,
    lengths_B: Array | None = None,
    slots: State | None = None,
    precision: str = "float32",
    shape: KernelLayout | None = None,
    interpret: bool | None = None,
) -> tuple[Array, State]:
    """The hidden states after every step, (T, B, H), and the final state.

    Args:
      cell: one of `cells.CELLS`; `params` and `state` are those of the cell of that name.
      lengths_B: int32, valid steps; after them a sequence's state is held.
      slots: zeros (T, B, H) for some leaves of the state; the derivative by them is dL/ds_t.
      precision: of all matrix products, forward and backward; one of `layout.PRECISIONS`.
      shape: the kernels' layout; None: `layout` of this cell and size.
      interpret: run step by step by XLA, slowly, for tests; None: only if the default device
        is a CPU.

    Raises `UsageError` for an operand of another shape or type, and for sizes of 0.
    """
    sizes = check_operands(cell, params, inputs_TxBxI, state, lengths_B=lengths_B, slots=slots)
    if 0 in sizes:
        raise UsageError(f"the fused kernel of {cell} takes no sizes of 0, and was given {sizes}")
    h_BxH = state["h"]
    hidden_size = h_BxH.shape[1]
    spec = Spec(
        cell,
        shape or layout(cell, hidden_size, precision),
        lengths_B is not None,
        tuple(slots or ()),
        jax.default_backend() == "cpu" if interpret is None else interpret,
    )
    padded = {"b_hn": jnp.zeros(hidden_size, inputs_TxBxI.dtype), **params}
    weights = {name: padded[name] for name in ("w_x", "w_h", "b", "b_hn")}
    start = {"h": h_BxH, "c": state["c"] if CELLS[cell].has_c else jnp.zeros_like(h_BxH)}
    run = _run(spec, weights, inputs_TxBxI, start, lengths_B, slots or {})
    final = {"h": run.h_TxBxH[-1]} | ({"c": run.c_BxH} if CELLS[cell].has_c else {})
    return run.h_TxBxH, final


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _run(
    spec: Spec,
    weights: Mapping[str, Array],
    x_TxBxI: Array,
    start: State,
    lengths_B: Array | None,
    slots: State,
) -> FusedOutputs:
    del slots
    return _forward(spec, weights, x_TxBxI, start, lengths_B, save=False)[0]


def _run_forward(
    spec: Spec, weights: Any, x_TxBxI: Any, start: Any, lengths_B: Any, slots: Any
) -> tuple[FusedOutputs, Any]:
    """The values, and the residuals of the backward pass."""
    del slots
    with_dx = marked(x_TxBxI)
    weights, x_TxBxI, start, lengths_B = plain((weights, x_TxBxI, start, lengths_B))
    result, saved = _forward(spec, weights, x_TxBxI, start, lengths_B, save=True)
    return result, (with_dx, weights, x_TxBxI, start, lengths_B, result.h_TxBxH, saved)


def _run_backward(spec: Spec, kept: Any, cotangents: Any) -> Any:
    """Cotangents of all arguments."""
    with_dx, weights, x_TxBxI, start, lengths_B, h_TxBxH, saved = kept
    cotangents = dense(cotangents)
    cell, size = CELLS[spec.cell], _Size(spec.layout, *h_TxBxH.shape[1:])
    precision = spec.layout.precision
    h_old = states_before(start["h"], h_TxBxH)
    inputs = {
        "w": shortened(_by_gate(weights["w_h"], cell, size, both=True), precision).swapaxes(1, 2),
        **saved,
        "h": size.padded(h_TxBxH),
        "h_old": size.padded(h_old),
        "dh": size.padded(cotangents.h_TxBxH),
        "dc": size.padded(cotangents.c_BxH),
        "lengths": size.lengths(lengths_B),
    }
    if cell.has_c:
        inputs["c_old"] = states_before(size.padded(start["c"]), saved["cells"])
    out = {name: size.cut(array) for name, array in backward(spec, inputs).items()}
    z_x, z_h = (
        jnp.concatenate([out["z"][:, :, k] for k in which], axis=-1)
        for which in (cell.of_x, cell.of_h)
    )
    grads = {
        "w_x": add_up(x_TxBxI, z_x, precision),
        "w_h": add_up(h_old, z_h, precision),
        "b": jnp.sum(z_x, axis=(0, 1)),
        "b_hn": jnp.sum(out["z"][:, :, -1], axis=(0, 1)),
    }
    dx = matmul(z_x, weights["w_x"].T, precision) if "dx" in with_dx else None
    taps = {leaf: out[f"tap_{leaf}"] for leaf in spec.taps}
    return grads, dx, {"h": out["dh"], "c": out["dc"]}, None, taps


_run.defvjp(_run_forward, _run_backward, symbolic_zeros=True)


def _forward(
    spec: Spec,
    weights: Mapping[str, Array],
    x_TxBxI: Array,
    start: State,
    lengths_B: Array | None,
    *,
    save: bool,
) -> tuple[FusedOutputs, dict[str, Array]]:
    """The values, and the residuals of a backward pass, which stay padded."""
    cell, size = CELLS[spec.cell], _Size(spec.layout, *start["h"].shape)
    precision = spec.layout.precision
    steps = x_TxBxI.shape[0]
    # weights are padded before the product, so that its result need not be
    w_x = _by_gate(weights["w_x"], cell, size).swapaxes(0, 1)
    b = _by_gate(weights["b"][None], cell, size).reshape(-1)
    x_TxBxI = jnp.pad(x_TxBxI, ((0, 0), (0, size.batch - size.batch_size), (0, 0)))
    x = matmul(x_TxBxI, w_x.reshape(w_x.shape[0], -1), precision)
    inputs = {
        "x": (x + b[None, None]).reshape(steps, size.batch, cell.gates, size.hidden),
        "w": shortened(_by_gate(weights["w_h"], cell, size, both=True), precision),
        "b_hn": size.padded(jnp.broadcast_to(weights["b_hn"], start["h"].shape)),
        "h": size.padded(start["h"]),
        "c": size.padded(start["c"]),
        "lengths": size.lengths(lengths_B, steps),
    }
    out = forward(spec, inputs, save=save)
    return FusedOutputs(size.cut(out.pop("h")), size.cut(out.pop("c"))), out


class _Size:
    """Sizes of a batch and of its hidden units, as they are and padded."""

    def __init__(self, layout: KernelLayout, batch_size: int, hidden_size: int):
        self.batch_size, self.hidden_size = batch_size, hidden_size
        self.batch = -(-batch_size // layout.rows) * layout.rows
        self.hidden = layout.padded

    def padded(self, array: Array) -> Array:
        """(..., B, H), padded with zeros."""
        more = ((0, self.batch - self.batch_size), (0, self.hidden - self.hidden_size))
        return jnp.pad(array, ((0, 0),) * (array.ndim - 2) + more)

    def cut(self, array: Array) -> Array:
        """Without padding: (B, H), (T, B, H) or (T, B, Z, H)."""
        array = array[..., : self.hidden_size]
        return array[: self.batch_size] if array.ndim == 2 else array[:, : self.batch_size]

    def lengths(self, lengths_B: Array | None, steps: int = 0) -> Array:
        """(B,) int32, 0 for padding."""
        if lengths_B is None:
            return jnp.full(self.batch, steps, jnp.int32)
        return jnp.pad(lengths_B, (0, self.batch - self.batch_size))


def _by_gate(w: Array, cell: FusedCell, size: _Size, *, both: bool = False) -> Array:
    """(K, G H) as (G, K, H), units padded; K too, if both are hidden."""
    w = w.reshape(w.shape[0], cell.gates, -1).swapaxes(0, 1)
    more = size.hidden - size.hidden_size
    return jnp.pad(w, ((0, 0), (0, more if both else 0), (0, more)))
