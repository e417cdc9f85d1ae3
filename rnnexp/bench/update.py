"""The training step that contenders written in JAX have in common."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import optax

from rnnexp.bench.workloads import LEARNING_RATE
from rnnexp.core.types import Array, Tree


def sgd_step(
    logits: Callable[[Tree, Array], Array], params: Tree, x_TxBxI: Array, class_B: Array
) -> Callable[[], Tree]:
    """A compiled step of plain gradient descent, again and again on one batch.

    Args:
      logits: `(params, x_TxBxI) -> (B, CLASSES)`.
      params: given up to the device at every step (donated).

    Returns:
      What makes one step and gives back the parameters, to be waited for.
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
