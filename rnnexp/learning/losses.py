"""The losses that can be minimised in place of a task's own.

A loss is a function `(outputs, targets, counted) -> values`.

* `outputs`: the model's, with their features last: (B, O) for tasks with one output an example,
  else (T, B, O).
* `targets`: the task's. Classes are whole numbers of shape (B,) or (T, B), values are real
  numbers of the shape of the outputs, or without their last axis where that is 1.
* `counted`: of shape (B,) or (T, B), whether the task's own loss depends on that output; steps
  behind a sequence's end, and those at which nothing is asked, do not count.
* `values`: one for each of `counted`, where those that do not count are ignored; or one for each
  example, (B,), which counts once.

The options are in the factory's docstring. `default` has no function: it is the task's own.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array

Loss = Callable[[Array, Array, Array], Array]
"""`(outputs, targets, counted) -> values`."""


def default() -> None:
    """The task's own."""


def absolute_error() -> Loss:
    """|output - target|, averaged over the features of an output."""

    def loss(outputs: Array, targets: Array, counted: Array) -> Array:
        del counted
        return jnp.mean(jnp.abs(_errors(outputs, targets)), -1)

    return loss


def huber(*, delta: float = 1.0) -> Loss:
    """e^2 / 2 for errors up to delta, delta (|e| - delta / 2) beyond (Huber 1964), averaged over
    the features of an output.

    Args:
      delta: the error from which on the loss is linear.

    Raises:
      UsageError: for a delta that is not positive.
    """
    if not delta > 0:
        raise UsageError(f"config.loss.delta must be positive, not {delta}")

    def loss(outputs: Array, targets: Array, counted: Array) -> Array:
        del counted
        return jnp.mean(optax.huber_loss(_errors(outputs, targets), delta=delta), -1)

    return loss


def label_smoothing(*, smoothing: float = 0.1) -> Loss:
    """-sum_k q_k ln p_k with q = (1 - smoothing) one-hot + smoothing / classes (Szegedy et al.
    2016, section 7), in nats.

    Args:
      smoothing: the probability that is spread evenly over all classes.

    Raises:
      UsageError: for a smoothing outside [0, 1).
    """
    if not 0 <= smoothing < 1:
        raise UsageError(f"config.loss.smoothing must be at least 0 and below 1, not {smoothing}")

    def loss(outputs: Array, targets: Array, counted: Array) -> Array:
        del counted
        log_p = jax.nn.log_softmax(outputs, -1)
        of_target = jnp.take_along_axis(log_p, targets[..., None], -1)[..., 0]
        return -(1 - smoothing) * of_target - smoothing * jnp.mean(log_p, -1)

    return loss


def _errors(outputs: Array, targets: Array) -> Array:
    """Outputs minus targets, with the features last."""
    if targets.ndim == outputs.ndim - 1 and outputs.shape[-1] == 1:
        targets = targets[..., None]
    if targets.shape != outputs.shape:
        raise ValueError(f"targets are of shape {targets.shape}, and outputs of {outputs.shape}")
    return outputs - targets
