"""The two kernels, forward and backward through time, and the calls that run them.

Sizes are padded: B fills whole programs, H is a power of 2. G counts the gates, S the saved
arrays of a step, Z the pre-activations. The products that do not depend on previous steps
are one large matrix product each, outside the kernels.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton as pltriton

from rnnexp.core.types import Array
from rnnexp.scan.kernels.gpu.cells import CELLS
from rnnexp.scan.kernels.gpu.layout import KernelLayout
from rnnexp.scan.kernels.gpu.products import product

Refs = dict[str, Any]
"""A program's part of every array, by name; names of results begin with `new_`."""


class Spec(NamedTuple):
    """The static arguments of a kernel.

    Attributes:
      cell: a name of `cells.CELLS`.
      layout: see `layout`.
      lengths: sequences end; after that their states are held.
      taps: the leaves whose adjoints are computed, of "h" and "c".
      interpret: run it by XLA, on any device; slowly.
    """

    cell: str
    layout: KernelLayout
    lengths: bool
    taps: tuple[str, ...] = ()
    interpret: bool = False


def forward(spec: Spec, inputs: dict[str, Array], *, save: bool) -> dict[str, Array]:
    """Run forward in time.

    Args:
      inputs: `x` (T, B, G, H), `w` (G, H, H) from `products.shortened`, `b_hn` (B, H), `h`
        and `c` (B, H), `lengths` (B,) int32.
      save: also return the residuals of a backward pass.

    Returns:
      `h` (T, B, H) and `c` (B, H) after the last step; residuals: `gates` (T, B, S, H), and
      `cells` (T, B, H), c after every step, of a cell that has it.
    """
    cell = CELLS[spec.cell]
    steps, batch_size, _, hidden_size = inputs["x"].shape
    shapes = {"h": (steps, batch_size, hidden_size), "c": (batch_size, hidden_size)}
    if save and cell.saved:
        shapes["gates"] = (steps, batch_size, cell.saved, hidden_size)
    if save and cell.has_c:
        shapes["cells"] = (steps, batch_size, hidden_size)
    return _call(_forward_kernel, spec, inputs, shapes)


def backward(spec: Spec, inputs: dict[str, Array]) -> dict[str, Array]:
    """Run backward in time.

    Args:
      inputs: `w` (G, H, H), transposed; the residuals; `h` (T, B, H); `h_old` and, of a cell
        that has it, `c_old`, the states a step earlier; `dh` (T, B, H) and `dc` (B, H), the
        cotangents of the results; `lengths` (B,).

    Returns:
      `z` (T, B, Z, H), the derivatives by all pre-activations; `dh` and `dc` (B, H) by the
      initial state; `tap_h` and `tap_c` (T, B, H) of `spec.taps`.
    """
    steps, batch_size, hidden_size = inputs["h"].shape
    slopes = max(CELLS[spec.cell].of_h) + 1
    shapes = {
        "z": (steps, batch_size, slopes, hidden_size),
        "dh": (batch_size, hidden_size),
        "dc": (batch_size, hidden_size),
    }
    shapes |= {f"tap_{leaf}": (steps, batch_size, hidden_size) for leaf in spec.taps}
    return _call(_backward_kernel, spec, inputs, shapes)


def _call(
    body: Callable[[Spec, Refs], None],
    spec: Spec,
    inputs: dict[str, Array],
    shapes: dict[str, tuple[int, ...]],
) -> dict[str, Array]:
    """Run a kernel's body over programs; each has its rows of all arrays but the weights."""
    layout = spec.layout

    def block(name: str, shape: tuple[int, ...]) -> pl.BlockSpec:
        if name == "w":
            return pl.BlockSpec(shape, lambda i: (0, 0, 0))
        before = 1 if len(shape) > 2 else 0  # axes before that of the batch
        after = len(shape) - before - 1
        mine = (*shape[:before], layout.rows, *shape[before + 1 :])
        return pl.BlockSpec(mine, lambda i: (*(0,) * before, i, *(0,) * after))

    def kernel(*refs: Any) -> None:
        names = (*inputs, *(f"new_{name}" for name in shapes))
        body(spec, dict(zip(names, refs, strict=True)))

    kernel.__name__ = f"rnnexp_{spec.cell}{body.__name__}"
    call = pl.pallas_call(
        kernel,
        grid=(inputs["lengths"].shape[0] // layout.rows,),
        in_specs=[block(name, array.shape) for name, array in inputs.items()],
        out_specs=[block(name, shape) for name, shape in shapes.items()],
        out_shape=[jax.ShapeDtypeStruct(shape, inputs["h"].dtype) for shape in shapes.values()],
        compiler_params=pltriton.CompilerParams(num_warps=layout.warps, num_stages=1),
        interpret=spec.interpret,
        name=kernel.__name__,
    )
    return dict(zip(shapes, call(*inputs.values()), strict=True))


def _weights(refs: Refs, layout: KernelLayout) -> Callable[[int], Array]:
    """`gate -> its weights`, (1, K, N): the held ones are read here, once, the others at each call.

    The held ones are read as a matrix and then get their first axis, which lets the compiler
    lay them out once for the products; the others are fastest multiplied as they are read.
    """
    kept = [refs["w"][gate][None] for gate in range(layout.held)]
    return lambda gate: kept[gate] if gate < layout.held else refs["w"][pl.ds(gate, 1)]


def _going_on(spec: Spec, refs: Refs) -> Callable[[Array, Array, Array], Array]:
    """`(t, new, old) -> state`: the rows of `new` where the sequence has not ended, else `old`."""
    if not spec.lengths:
        return lambda t, new, old: new
    length = refs["lengths"][...][:, None]
    return lambda t, new, old: jnp.where(jnp.broadcast_to(t < length, new.shape), new, old)


def _forward_kernel(spec: Spec, refs: Refs) -> None:
    cell, layout = CELLS[spec.cell], spec.layout
    steps = refs["x"].shape[0]
    weights, choose = _weights(refs, layout), _going_on(spec, refs)
    b_hn = refs["b_hn"][...]

    def inputs(t: Any) -> list[Array]:
        return [refs["x"][t, :, gate] for gate in range(cell.gates)]

    def step(t: Array, carry: tuple[Array, Array, list[Array]]) -> Any:
        h, c, x = carry
        x_next = inputs(jnp.minimum(t + 1, steps - 1))  # is read during this step
        z = [product(h, weights(gate), layout.precision) for gate in range(cell.gates)]
        z = [a if gate in cell.apart else a + x[gate] for gate, a in enumerate(z)]
        h_new, c_new, saved = cell.forward(z, [x[gate] for gate in cell.apart], h, c, b_hn)
        h, c = choose(t, h_new, h), choose(t, c_new, c)
        refs["new_h"][t] = h
        if "new_cells" in refs:
            refs["new_cells"][t] = c
        if "new_gates" in refs:
            for number, array in enumerate(saved):
                refs["new_gates"][t, :, number] = array
        return h, c, x_next

    start = (refs["h"][...], refs["c"][...], inputs(0))
    refs["new_c"][...] = jax.lax.fori_loop(np.int32(0), np.int32(steps), step, start)[1]


def _backward_kernel(spec: Spec, refs: Refs) -> None:
    cell, layout = CELLS[spec.cell], spec.layout
    steps = refs["h"].shape[0]
    weights, choose = _weights(refs, layout), _going_on(spec, refs)
    names = ("cells", "c_old", "h", "h_old") if cell.has_c else ("h", "h", "h", "h_old")

    def kept(t: Any) -> tuple[list[Array], list[Array], Array]:
        gates = [refs["gates"][t, :, number] for number in range(cell.saved)]
        return gates, [refs[name][t] for name in names], refs["dh"][t]

    def step(back: Array, carry: Any) -> Any:
        dh, dc, (gates, (c, c_old, h, h_old), above) = carry
        t = steps - 1 - back
        before = kept(jnp.maximum(t - 1, 0))  # is read during this step
        dh = dh + above
        zero = jnp.zeros_like(dh)
        for leaf, adjoint in (("h", dh), ("c", dc)):
            if leaf in spec.taps:
                refs[f"new_tap_{leaf}"][t] = choose(t, adjoint, zero)
        slopes = cell.backward(gates, c, c_old, h, h_old, dh, dc)
        z = [choose(t, array, zero) for array in slopes.z]
        for number, array in enumerate(z):
            refs["new_z"][t, :, number] = array
        dh_old = slopes.h
        for gate, number in enumerate(cell.of_h):
            dh_old = dh_old + product(z[number], weights(gate), layout.precision)
        return choose(t, dh_old, dh), choose(t, slopes.c, dc), before

    dc = refs["dc"][...]
    start = (jnp.zeros_like(dc), dc, kept(steps - 1))
    dh, dc, _ = jax.lax.fori_loop(np.int32(0), np.int32(steps), step, start)
    refs["new_dh"][...], refs["new_dc"][...] = dh, dc
