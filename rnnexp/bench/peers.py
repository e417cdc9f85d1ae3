"""Other libraries as contenders: each with its own layer, used as its documentation shows."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rnnexp.bench.ours import TimedLoop
from rnnexp.bench.update import sgd_step, torch_step
from rnnexp.bench.workloads import CLASSES, Workload, draw
from rnnexp.core.types import Array, Tree


def timed(step: Callable[[], None], wait: Callable[[], None]) -> TimedLoop:
    """A contender made from a step and a function that waits for its result."""

    def run(seconds: float) -> tuple[int, float]:
        count, began, spent = 0, time.monotonic(), 0.0
        while spent < seconds:
            step()
            wait()
            count, spent = count + 1, time.monotonic() - began
        return count, spent

    step()  # compiles
    wait()
    return run


def linen(work: Workload, cell: str) -> TimedLoop:
    """`flax.linen.RNN` over `OptimizedLSTMCell`, `GRUCell` or `SimpleCell`, time-major."""
    import flax.linen as nn

    kinds: dict[str, Any] = {"lstm": nn.OptimizedLSTMCell, "gru": nn.GRUCell, "rnn": nn.SimpleCell}
    layer: Any = nn.RNN(kinds[cell](work.hidden_size), time_major=True)
    head: Any = nn.Dense(CLASSES)
    x_TxBxI, class_B = (jnp.asarray(array) for array in draw(work))
    key_layer, key_head = jax.random.split(jax.random.key(0))
    params = {
        "layer": layer.init(key_layer, x_TxBxI),
        "head": head.init(key_head, jnp.zeros((work.batch_size, work.hidden_size))),
    }

    def logits(params: Tree, x_TxBxI: Array) -> Array:
        read: Array = head.apply(params["head"], layer.apply(params["layer"], x_TxBxI)[-1])
        return read

    return _in_jax(logits, params, x_TxBxI, class_B)


def nnx(work: Workload, cell: str) -> TimedLoop:
    """`flax.nnx.RNN` over `OptimizedLSTMCell`, `GRUCell` or `SimpleCell`, time-major."""
    from flax import nnx

    lstm, rngs = nnx.OptimizedLSTMCell, nnx.Rngs(0)
    kinds: dict[str, Any] = {"lstm": lstm, "gru": nnx.GRUCell, "rnn": nnx.SimpleCell}
    made = kinds[cell](work.input_size, work.hidden_size, rngs=rngs)
    both = {
        "layer": nnx.RNN(made, time_major=True, rngs=rngs),
        "head": nnx.Linear(work.hidden_size, CLASSES, rngs=rngs),
    }
    parts: Any = nnx.split(nnx.Dict(both), nnx.Param, ...)
    graphdef, params, rest = parts
    carry = made.initialize_carry((work.batch_size, work.input_size), rngs)
    x_TxBxI, class_B = (jnp.asarray(array) for array in draw(work))

    def logits(params: Tree, x_TxBxI: Array) -> Array:
        model = nnx.merge(graphdef, params, rest)
        read: Array = model["head"](model["layer"](x_TxBxI, initial_carry=carry)[-1])
        return read

    return _in_jax(logits, params, x_TxBxI, class_B)


def _in_jax(
    logits: Callable[[Tree, Array], Array], params: Tree, x_TxBxI: Array, class_B: Array
) -> TimedLoop:
    """A contender whose parameters are a tree."""
    step, made = sgd_step(logits, params, x_TxBxI, class_B), params

    def once() -> None:
        nonlocal made
        made = step()

    return timed(once, lambda: jax.block_until_ready(made))


def torch(work: Workload, cell: str) -> TimedLoop:
    """`torch_step` on the CPU."""
    return timed(torch_step(work, cell, "cpu"), lambda: None)
