"""The steps that several contenders share: one in JAX, one in PyTorch."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from rnnexp.bench.workloads import CLASSES, LEARNING_RATE, Drawn, Workload, draw
from rnnexp.core.types import Array, Tree


def jax_step(logits: Any, params: Tree, drawn: Drawn, *, train: bool = True) -> Callable[[], Tree]:
    """A compiled step of plain gradient descent, always on the same batch; or a forward pass.

    Args:
      logits: `(params, x_TxBxI, lengths_B) -> (B, CLASSES)`.
      params: donated to the first step of training.
      train: False: the loss alone.

    Returns a function that makes one step and returns the parameters (or the loss), which may be
    unfinished.
    """

    def loss(params: Tree, drawn: Drawn) -> Array:
        read_BxC = logits(params, drawn.x_TxBxI, drawn.lengths_B)
        losses_B = optax.softmax_cross_entropy_with_integer_labels(read_BxC, drawn.class_B)
        return jnp.mean(losses_B)

    @partial(jax.jit, donate_argnums=0)
    def update(params: Tree, drawn: Drawn) -> Tree:
        grads = jax.grad(loss)(params, drawn)
        return jax.tree.map(lambda p, g: p - LEARNING_RATE * g, params, grads)

    evaluate = jax.jit(loss)

    def step() -> Tree:
        nonlocal params
        if not train:
            return evaluate(params, drawn)
        params = update(params, drawn)
        return params

    return step


def torch_step(work: Workload, cell: str, device: str) -> Callable[[], None]:
    """A step of `torch.nn.LSTM`, `GRU` or `RNN` on a device, time-major, with `torch.optim.SGD`; of
    a workload without training, the forward pass.

    On a processor subnormal numbers are flushed to zero, as XLA does: a gradient that vanishes
    over time consists of them, and each takes many times as long.
    """
    import torch as pt

    pt.manual_seed(0)
    if device == "cpu":
        pt.set_flush_denormal(True)
    kinds = {"lstm": pt.nn.LSTM, "gru": pt.nn.GRU, "rnn": pt.nn.RNN}
    options = {"num_layers": work.layers, "bidirectional": work.both_ways}
    layer = kinds[cell](work.input_size, work.hidden_size, **options).to(device)
    directions = 2 if work.both_ways else 1
    head = pt.nn.Linear(directions * work.hidden_size, CLASSES).to(device)
    optimizer = pt.optim.SGD([*layer.parameters(), *head.parameters()], lr=LEARNING_RATE)
    drawn = draw(work)
    inputs: Any = pt.from_numpy(drawn.x_TxBxI).to(device)
    if drawn.lengths_B is not None:
        lengths = pt.from_numpy(drawn.lengths_B).long()
        inputs = pt.nn.utils.rnn.pack_padded_sequence(inputs, lengths, enforce_sorted=False)
    target_B = pt.from_numpy(drawn.class_B).to(device).long()

    def loss() -> Any:
        _, last = layer(inputs)
        h = last[0] if isinstance(last, tuple) else last  # (layers * directions, B, H)
        read_BxC = head(pt.cat(tuple(h[-directions:]), dim=-1))
        return pt.nn.functional.cross_entropy(read_BxC, target_B)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    def evaluate() -> None:
        with pt.no_grad():
            loss()

    return step if work.train else evaluate
