"""Other libraries as contenders: each with its own layers, used as its documentation shows.

They read the state of the last layer after each sequence's end; of both directions where there are
two.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from rnnexp.bench.ours import TimedLoop
from rnnexp.bench.update import jax_step, torch_step
from rnnexp.bench.workloads import CLASSES, Drawn, Workload, draw
from rnnexp.core.types import Array, Tree

Layer = Callable[[Array], tuple[Any, Array]]
"""`inputs -> (last carry, outputs)` of one direction."""


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
    options: Any = {"time_major": True, "return_carry": True}
    layers: list[list[Any]] = [
        [
            nn.RNN(kinds[cell](work.hidden_size), reverse=back, keep_order=back, **options)
            for back in _directions(work)
        ]
        for _ in range(work.layers)
    ]
    head: Any = nn.Dense(CLASSES)
    drawn, keys = (
        jax.tree.map(jnp.asarray, draw(work)),
        iter(jax.random.split(jax.random.key(0), 100)),
    )
    x_TxBxI, params = drawn.x_TxBxI, []
    for layer in layers:
        params.append([each.init(next(keys), x_TxBxI) for each in layer])
        x_TxBxI = jnp.zeros((*x_TxBxI.shape[:2], len(layer) * work.hidden_size))
    head_params = head.init(next(keys), x_TxBxI[0])

    def logits(params: Tree, x_TxBxI: Array, lengths_B: Array | None) -> Array:
        weights, head_params = params

        def called(layer: Any, weights: Tree) -> Layer:
            return lambda x_TxBxI: layer.apply(weights, x_TxBxI, seq_lengths=lengths_B)

        stack = [
            [called(*one) for one in zip(*pair, strict=True)]
            for pair in zip(layers, weights, strict=True)
        ]
        read: Array = head.apply(head_params, _last(stack, x_TxBxI))
        return read

    return _in_jax(work, logits, (params, head_params), drawn)


def nnx(work: Workload, cell: str) -> TimedLoop:
    """`flax.nnx.RNN` over `OptimizedLSTMCell`, `GRUCell` or `SimpleCell`, time-major."""
    from flax import nnx

    lstm, rngs = nnx.OptimizedLSTMCell, nnx.Rngs(0)
    kinds: dict[str, Any] = {"lstm": lstm, "gru": nnx.GRUCell, "rnn": nnx.SimpleCell}
    options: dict[str, Any] = {"time_major": True, "return_carry": True, "rngs": rngs}
    directions = _directions(work)
    sizes = [work.input_size, *[len(directions) * work.hidden_size] * (work.layers - 1)]
    both: Any = {
        "layers": nnx.List(
            nnx.List(
                nnx.RNN(
                    kinds[cell](size, work.hidden_size, rngs=rngs),
                    reverse=back,
                    keep_order=back,
                    **options,
                )
                for back in directions
            )
            for size in sizes
        ),
        "head": nnx.Linear(len(directions) * work.hidden_size, CLASSES, rngs=rngs),
    }
    parts: Any = nnx.split(nnx.Dict(both), nnx.Param, ...)
    graphdef, params, rest = parts
    drawn = jax.tree.map(jnp.asarray, draw(work))
    carry = both["layers"][0][0].cell.initialize_carry((work.batch_size, work.input_size), rngs)

    def logits(params: Tree, x_TxBxI: Array, lengths_B: Array | None) -> Array:
        model = nnx.merge(graphdef, params, rest)

        def called(layer: Any) -> Layer:
            return lambda x_TxBxI: layer(x_TxBxI, initial_carry=carry, seq_lengths=lengths_B)

        stack = [[called(one) for one in layer] for layer in model["layers"]]
        read: Array = model["head"](_last(stack, x_TxBxI))
        return read

    return _in_jax(work, logits, params, drawn)


def _directions(work: Workload) -> tuple[bool, ...]:
    """Of the cells of a layer, whether each reads backwards."""
    return (False, True) if work.both_ways else (False,)


def _last(stack: Sequence[Sequence[Layer]], x_TxBxI: Array) -> Array:
    """h of the last layer after the last step of each direction, (B, H) or (B, 2 H)."""
    for layer in stack:
        runs = [direction(x_TxBxI) for direction in layer]
        x_TxBxI = jnp.concatenate([outputs for _, outputs in runs], axis=-1)
    states = [carry[1] if isinstance(carry, tuple) else carry for carry, _ in runs]
    return jnp.concatenate(states, axis=-1)


def _in_jax(work: Workload, logits: Any, params: Tree, drawn: Drawn) -> TimedLoop:
    """A contender whose parameters are a tree."""
    step, made = jax_step(logits, params, drawn, train=work.train), params

    def once() -> None:
        nonlocal made
        made = step()

    return timed(once, lambda: jax.block_until_ready(made))


def torch(work: Workload, cell: str) -> TimedLoop:
    """`torch_step` on the CPU."""
    return timed(torch_step(work, cell, "cpu"), lambda: None)
