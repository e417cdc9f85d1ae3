"""Optimisers, schedules and clipping from plain keywords.

What a sweep varies (learning rate, momentum, weight decay, clipping threshold, shares of
dropout) is passed as traced scalars, so another value needs no other program. Names are
static, and so is whether there is dropout at all.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from rnnexp.errors import UsageError, unknown
from rnnexp.trees import tree_norm
from rnnexp.types import Array, Tree

OPTIMIZERS = ("sgd", "momentum", "rmsprop", "adam", "adamw")
SCHEDULES = ("constant", "linear", "cosine")
CLIPS = ("none", "global_norm", "value")

Hyper = Mapping[str, Array]
"""Traced scalars: those of `TRACED`."""
TRACED = {
    "optimizer.learning_rate": "learning_rate",
    "optimizer.momentum": "momentum",
    "optimizer.weight_decay": "weight_decay",
    "clip.threshold": "clip_threshold",
    "model.dropout": "dropout",
    "model.recurrent_dropout": "recurrent_dropout",
}
"""Configuration keys whose value is no part of a program, by their name in `Hyper`."""


class Clipped(NamedTuple):
    """Gradients after clipping, norms before and after, and whether anything changed."""

    grads: Tree
    norm_before: Array
    norm_after: Array
    fired: Array


def make_hyper(
    *,
    learning_rate: float,
    momentum: float,
    weight_decay: float,
    clip_threshold: float,
    dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
) -> Hyper:
    """The traced scalars of a training program, in the default float type."""
    values = {
        "learning_rate": learning_rate,
        "momentum": momentum,
        "weight_decay": weight_decay,
        "clip_threshold": clip_threshold,
        "dropout": dropout,
        "recurrent_dropout": recurrent_dropout,
    }
    return {name: jnp.asarray(value, float) for name, value in values.items()}


def optimizer(name: str, hyper: Hyper, rate: Array) -> optax.GradientTransformation:
    """The optax transformation of that name at learning rate `rate`; built inside jit.

    sgd; momentum (heavy ball); rmsprop (decay 0.9, with momentum); adam and adamw
    (b1 0.9, b2 0.999), adamw with decoupled weight decay.
    """
    match name:
        case "sgd":
            return optax.sgd(rate)
        case "momentum":
            return optax.sgd(rate, momentum=hyper["momentum"])
        case "rmsprop":
            return optax.rmsprop(rate, decay=0.9, momentum=hyper["momentum"])
        case "adam":
            return optax.adam(rate)
        case "adamw":
            return optax.adamw(rate, weight_decay=hyper["weight_decay"])
    raise unknown("optimizer", name, OPTIMIZERS)


def update_params(
    name: str, hyper: Hyper, rate: Array, grads: Tree, opt_state: Tree, params: Tree
) -> tuple[Tree, Tree, Tree]:
    """One optimiser step: new parameters, new optimiser state, and the updates added."""
    with jax.numpy_dtype_promotion("standard"):  # optax mixes integer counts and floats
        updates, opt_state = optimizer(name, hyper, rate).update(grads, opt_state, params)
    return jax.tree.map(jnp.add, params, updates), opt_state, updates


def schedule(name: str, *, warmup_steps: int, total_steps: int) -> Callable[[Array], Array]:
    """Factor of the learning rate at a step: linear warm-up from 0, then the named course.

    constant stays at 1; linear and cosine fall from 1 to 0 at `total_steps`.
    """
    if warmup_steps >= total_steps:
        raise UsageError(f"warm-up of {warmup_steps} steps is not shorter than {total_steps} steps")
    decay_steps = total_steps - warmup_steps
    match name:
        case "constant":
            course = optax.constant_schedule(1.0)
        case "linear":
            course = optax.linear_schedule(1.0, 0.0, decay_steps)
        case "cosine":
            course = optax.cosine_decay_schedule(1.0, decay_steps)
        case _:
            raise unknown("schedule", name, SCHEDULES)
    if warmup_steps:
        warmup = optax.linear_schedule(1.0 / (warmup_steps + 1), 1.0, warmup_steps)
        course = optax.join_schedules([warmup, course], [warmup_steps])

    def factor(step: Array) -> Array:
        with jax.numpy_dtype_promotion("standard"):  # optax mixes integer steps and floats
            return jnp.asarray(course(step), float)

    return factor


def clip(name: str, grads: Tree, threshold: Array) -> Clipped:
    """Clip gradients: `global_norm` rescales all to at most the threshold, `value` cuts
    each element to [-threshold, threshold], `none` leaves them.

    Pascanu, Mikolov & Bengio 2013, algorithm 1, for the norm; it is computed without
    overflow, so gradients of 1e30 are rescaled and not zeroed.
    """
    before = tree_norm(grads)
    match name:
        case "none":
            return Clipped(grads, before, before, jnp.zeros((), bool))
        case "global_norm":
            fired = before > threshold
            ratio = jnp.where(fired, threshold / before, jnp.ones_like(before))
            clipped = jax.tree.map(lambda g: g * ratio, grads)
            return Clipped(clipped, before, before * ratio, fired)
        case "value":
            clipped = jax.tree.map(lambda g: jnp.clip(g, -threshold, threshold), grads)
            cut = [jnp.any(jnp.abs(g) > threshold) for g in jax.tree.leaves(grads)]
            return Clipped(clipped, before, tree_norm(clipped), jnp.any(jnp.stack(cut)))
    raise unknown("clip", name, CLIPS)
