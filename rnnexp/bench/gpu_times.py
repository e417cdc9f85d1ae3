"""Times of training steps on a GPU: the fused kernels, the scan, and cuDNN."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from rnnexp.bench.update import jax_step, torch_step
from rnnexp.bench.workloads import CLASSES, Workload, draw
from rnnexp.cells import CELLS
from rnnexp.core.types import Array, Params, Tree
from rnnexp.scan.kernels.gpu.layout import PRECISIONS, KernelLayout, too_wide
from rnnexp.scan.kernels.gpu.recurrence import recurrence
from rnnexp.scan.unroll import TimeLoop, initial_state, unroll

KERNELS = {"lstm": "lstm", "gru": "gru", "rnn": "tanh"}
"""The fused kernels of the benchmark's cells."""
TimedStep = Callable[[], Any]
"""Makes one training step and returns the argument of `wait`."""


def in_jax(outputs: Callable[[Tree, Array], Array], params: Tree, work: Workload) -> TimedStep:
    """A step from a function that returns the last hidden states, (B, H)."""
    drawn = jax.tree.map(jnp.asarray, draw(work))
    head = 0.01 * jax.random.normal(jax.random.key(1), (work.hidden_size, CLASSES))

    def logits(both: Tree, x_TxBxI: Array, _: None) -> Array:
        read_BxC: Array = outputs(both["layer"], x_TxBxI) @ both["head"]
        return read_BxC

    return jax_step(logits, {"layer": params, "head": head}, drawn)


def ours(work: Workload, kind: str, how: TimeLoop, *, exact: bool = True) -> TimedStep:
    """rnnexp's unroll; with `exact` the scan's matrix products are in float32, not TF32."""
    cell = CELLS.entry(kind).factory()(work.input_size, work.hidden_size)

    def outputs(params: Params, x_TxBxI: Array) -> Array:
        with jax.default_matmul_precision("float32" if exact else "tensorfloat32"):
            return unroll(cell, params, x_TxBxI, time_loop=how).final_BxH

    return in_jax(outputs, cell.init(jax.random.key(0)), work)


def laid_out(work: Workload, kind: str, shape: KernelLayout) -> TimedStep:
    """The fused kernel with a given layout."""
    cell = CELLS.entry(kind).factory()(work.input_size, work.hidden_size)

    def outputs(params: Params, x_TxBxI: Array) -> Array:
        start = initial_state(cell, params, work.batch_size)
        return recurrence(str(cell.kernel), params, x_TxBxI, start, shape=shape)[1]["h"]

    return in_jax(outputs, cell.init(jax.random.key(0)), work)


def cudnn_in_jax(work: Workload, *, tf32: bool) -> TimedStep:
    """`jax.experimental.rnn`, which has only the LSTM."""
    from jax.experimental import rnn

    sizes = (work.input_size, work.hidden_size, 1)
    zeros = jnp.zeros((1, work.batch_size, work.hidden_size))
    lengths = jnp.full(work.batch_size, work.steps, jnp.int32)
    precision = jax.lax.Precision.HIGH if tf32 else jax.lax.Precision.HIGHEST

    def outputs(weights: Array, x_TxBxI: Array) -> Array:
        x_BxTxI = x_TxBxI.swapaxes(0, 1)
        _, h_1xBxH, _ = rnn.lstm(
            x_BxTxI, zeros, zeros, weights, lengths, *sizes, 0.0, False, precision
        )
        return h_1xBxH[0]

    return in_jax(outputs, rnn.init_lstm_weight(jax.random.key(0), *sizes, False), work)


def cudnn_in_torch(work: Workload, kind: str, *, tf32: bool) -> TimedStep:
    """`torch_step` on the GPU."""
    import torch as pt

    make = torch_step(work, kind, "cuda")

    def step() -> Any:
        pt.backends.cudnn.allow_tf32 = pt.backends.cuda.matmul.allow_tf32 = tf32
        make()
        return pt.cuda

    return step


def wait(result: Any) -> None:
    """Wait until a step is done, given its result."""
    if hasattr(result, "synchronize"):
        result.synchronize()
    else:
        jax.block_until_ready(result)


def contenders(work: Workload, kind: str) -> Iterator[tuple[str, Callable[[], TimedStep]]]:
    """The contenders' names and the functions that make their steps."""
    kernel = KERNELS[kind]
    for precision in PRECISIONS:
        if not too_wide(kernel, work.hidden_size, precision):
            how = TimeLoop(kernel=True, fused=precision)
            yield f"fused, {precision}", partial(ours, work, kind, how)
    yield "scan, float32", partial(ours, work, kind, TimeLoop())
    yield "scan, tf32", partial(ours, work, kind, TimeLoop(), exact=False)
    for tf32 in (False, True):
        word = "tf32" if tf32 else "float32"
        if kind == "lstm":
            yield f"jax.experimental.rnn, {word}", partial(cudnn_in_jax, work, tf32=tf32)
        yield f"torch cuDNN, {word}", partial(cudnn_in_torch, work, kind, tf32=tf32)


def timed(makers: Mapping[str, Callable[[], TimedStep]], rounds: int) -> dict[str, Any]:
    """Milliseconds of a step by name, the median over rounds of all in turn; or the error."""
    steps: dict[str, tuple[TimedStep, int]] = {}
    rows: dict[str, Any] = {}
    for name, make in makers.items():
        try:
            step = make()
            for _ in range(3):
                wait(step())
            began = time.monotonic()
            wait(step())
            steps[name] = step, max(3, int(0.1 / (time.monotonic() - began)))
        except Exception as error:  # of any library; the others are still timed
            rows[name] = f"{type(error).__name__}: {error}"[:500]
    spent: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, (step, count) in steps.items():
            began = time.monotonic()
            for _ in range(count):
                result = step()
            wait(result)
            spent[name].append(1e3 * (time.monotonic() - began) / count)
    return rows | {name: statistics.median(times) for name, times in spent.items()}
