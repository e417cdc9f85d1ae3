"""The training steps that several contenders share: one in JAX, one in PyTorch."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import optax

from rnnexp.bench.workloads import CLASSES, LEARNING_RATE, Workload, draw
from rnnexp.core.types import Array, Tree


def sgd_step(
    logits: Callable[[Tree, Array], Array], params: Tree, x_TxBxI: Array, class_B: Array
) -> Callable[[], Tree]:
    """A compiled step of plain gradient descent, always on the same batch.

    Args:
      logits: `(params, x_TxBxI) -> (B, CLASSES)`.
      params: donated to the first step.

    Returns a function that makes one step and returns the parameters, which may be unfinished.
    """

    @partial(jax.jit, donate_argnums=0)
    def update(params: Tree, x_TxBxI: Array, class_B: Array) -> Tree:
        def loss(params: Tree) -> Array:
            read_BxC = logits(params, x_TxBxI)
            return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(read_BxC, class_B))

        grads = jax.grad(loss)(params)
        return jax.tree.map(lambda p, g: p - LEARNING_RATE * g, params, grads)

    def step() -> Tree:
        nonlocal params
        params = update(params, x_TxBxI, class_B)
        return params

    return step


def torch_step(work: Workload, cell: str, device: str) -> Callable[[], None]:
    """A step of `torch.nn.LSTM`, `GRU` or `RNN` on a device, time-major, with `torch.optim.SGD`."""
    import torch as pt

    pt.manual_seed(0)
    kinds = {"lstm": pt.nn.LSTM, "gru": pt.nn.GRU, "rnn": pt.nn.RNN}
    layer = kinds[cell](work.input_size, work.hidden_size).to(device)
    head = pt.nn.Linear(work.hidden_size, CLASSES).to(device)
    optimizer = pt.optim.SGD([*layer.parameters(), *head.parameters()], lr=LEARNING_RATE)
    x_TxBxI, class_B = (pt.from_numpy(array).to(device) for array in draw(work))
    target_B = class_B.long()

    def step() -> None:
        optimizer.zero_grad()
        loss = pt.nn.functional.cross_entropy(head(layer(x_TxBxI)[0][-1]), target_B)
        loss.backward()
        optimizer.step()

    return step
