"""The optimisers, as optax transformations at a traced learning rate."""

import jax
import jax.numpy as jnp
import optax

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Tree


def sgd(learning_rate: Array) -> optax.GradientTransformation:
    """Gradient descent."""
    return optax.sgd(learning_rate)


def momentum(
    learning_rate: Array, *, momentum: float | Array = 0.9
) -> optax.GradientTransformation:
    """Heavy ball.

    Args:
      momentum: fraction of the running sum of gradients that every update keeps.
    """
    return optax.sgd(learning_rate, momentum=momentum)


def rmsprop(
    learning_rate: Array,
    *,
    momentum: float | Array = 0.9,
    rms_decay: float = 0.9,
    rms_floor: float = 0.0,
) -> optax.GradientTransformation:
    """Each gradient over the root of the running mean of its squares; then momentum.

    Tieleman & Hinton 2012, lecture 6.5. Without a floor the divisor is sqrt(mean + 1e-8).

    Args:
      momentum: fraction of the running sum of updates that every update keeps.
      rms_decay: fraction of the running mean of squares that every update keeps.
      rms_floor: smallest divisor, max(sqrt(mean), floor). 0: sqrt(mean + 1e-8).

    Raises:
      UsageError: for a decay outside [0, 1) or a negative floor.
    """
    if not 0 <= rms_decay < 1:
        raise UsageError(
            f"config.optimizer.rms_decay must be at least 0 and below 1, not {rms_decay}"
        )
    if rms_floor < 0:
        raise UsageError(f"config.optimizer.rms_floor must not be negative, but is {rms_floor}")
    if not rms_floor:
        return optax.rmsprop(learning_rate, decay=rms_decay, momentum=momentum)
    return optax.chain(
        scale_by_floored_rms(rms_decay, rms_floor),
        optax.scale_by_learning_rate(learning_rate),
        optax.trace(decay=momentum),
    )


def scale_by_floored_rms(decay: float, floor: float) -> optax.GradientTransformation:
    """g / max(sqrt(v), floor), with v = decay v + (1 - decay) g^2 from 0 on.

    The state is that of `optax.scale_by_rms`.
    """

    def init(params: Tree) -> optax.ScaleByRmsState:
        return optax.ScaleByRmsState(nu=jax.tree.map(jnp.zeros_like, params))

    def update(
        grads: Tree, state: optax.ScaleByRmsState, params: Tree = None
    ) -> tuple[Tree, optax.ScaleByRmsState]:
        del params
        mean = jax.tree.map(lambda v, g: decay * v + (1 - decay) * g**2, state.nu, grads)
        scaled = jax.tree.map(lambda g, v: g / jnp.maximum(jnp.sqrt(v), floor), grads, mean)
        return scaled, optax.ScaleByRmsState(nu=mean)

    return optax.GradientTransformation(init, update)


def adam(learning_rate: Array) -> optax.GradientTransformation:
    """Kingma & Ba 2015, with b1 0.9, b2 0.999 and epsilon 1e-8."""
    return optax.adam(learning_rate)


def adamw(
    learning_rate: Array, *, weight_decay: float | Array = 1e-4
) -> optax.GradientTransformation:
    """Loshchilov & Hutter 2019: adam, with the decay of weights beside the gradient.

    Args:
      weight_decay: fraction of each weight that an update at learning rate 1 takes off.
    """
    return optax.adamw(learning_rate, weight_decay=weight_decay)
