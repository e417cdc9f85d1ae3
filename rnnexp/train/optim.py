"""Optimisers, schedules and clipping from plain keywords; the factories are in `rnnexp.learning`.

Learning rate, momentum, weight decay, clipping threshold, rates of dropout and weights of
penalties are traced scalars, so runs that differ in them share a program. Names are static, and
so is whether there is dropout, or a penalty.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from rnnexp.core.errors import UsageError, require_choice, unknown
from rnnexp.core.tree import stable_norm, tree_norm
from rnnexp.core.types import Array, Tree
from rnnexp.learning import OPTIMIZERS, SCHEDULES
from rnnexp.train.abstract_call import Entry, described

CLIPS = ("none", "global_norm", "value", "adaptive", "update_norm")
NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})
SMALLEST_UNIT = 1e-3  # Brock et al. 2021: so that weights of 0 can change

Hyper = Mapping[str, Array]
"""Traced scalars: those of `TRACED`."""
BRANCHES = {
    "model.dropout": "dropout",
    "model.recurrent_dropout": "recurrent_dropout",
    "clip.adjoint_limit": "adjoint_limit",
    "regularizer.omega": "omega",
    "regularizer.orthogonality": "orthogonality",
    "regularizer.flossing": "flossing",
}
"""Configuration keys of `TRACED` whose value 0 removes a part of the program."""
TRACED = {
    "optimizer.learning_rate": "learning_rate",
    "optimizer.momentum": "momentum",
    "optimizer.weight_decay": "weight_decay",
    "clip.threshold": "clip_threshold",
    **BRANCHES,
}
"""Names in `Hyper` of the configuration keys whose value is no part of a program."""


class Clipped(NamedTuple):
    """Gradients after clipping, norms before and after, whether clipping changed anything, and
    the cosine between the two: 1 where the direction is kept."""

    grads: Tree
    norm_before: Array
    norm_after: Array
    fired: Array
    cosine: Array


def make_hyper(**values: float) -> Hyper:
    """The traced scalars of `TRACED`, in the default float type; those of `BRANCHES` default
    to 0."""
    given = dict.fromkeys(BRANCHES.values(), 0.0) | values
    if wrong := set(given) ^ set(TRACED.values()):
        raise TypeError(f"missing or unknown traced values: {', '.join(sorted(wrong))}")
    return {name: jnp.asarray(value, float) for name, value in given.items()}


def optimizer(
    name: str, hyper: Hyper, rate: Array, options: Mapping[str, Any] = NO_OPTIONS
) -> optax.GradientTransformation:
    """The optax transformation of that name at learning rate `rate`; built inside jit.

    Args:
      options: of its factory, in `rnnexp.learning`; those of `Hyper` are traced instead.

    Raises `UsageError` for an unknown name, or an option that its factory refuses.
    """
    require_choice("optimizer", name, OPTIMIZERS.names())
    entry = OPTIMIZERS.entry(name)
    given = entry.options() | dict(options)
    given |= {option: hyper[option] for option in given.keys() & hyper.keys()}
    made = Entry("optimizer", name).make(entry.factory(), rate, **given)
    if not callable(getattr(made, "init", None)) or not callable(getattr(made, "update", None)):
        raise UsageError(
            f"optimizer {name!r}: the factory gives {described(made)}, expected an optax."
            "GradientTransformation" + "; is a `return` missing?" * (made is None)
        )
    transform: optax.GradientTransformation = made
    return transform


def update_params(
    name: str,
    hyper: Hyper,
    rate: Array,
    grads: Tree,
    opt_state: Tree,
    params: Tree,
    options: Mapping[str, Any] = NO_OPTIONS,
    apart: Array | None = None,
) -> tuple[Tree, Tree]:
    """One optimiser step: the updates to add to the parameters, and the new optimiser state.

    `apart`: of a state that is `two_states`, whether the update is by the second.
    """
    transform = optimizer(name, hyper, rate, options)
    if apart is not None:
        transform = two_states(transform, apart)
    with jax.numpy_dtype_promotion("standard"):  # optax mixes integer counts and floats
        updates, opt_state = transform.update(grads, opt_state, params)
    return updates, opt_state


def two_states(
    transform: optax.GradientTransformation, second: Array
) -> optax.GradientTransformation:
    """The transformation with two states, each of its own updates: an update has the second where
    `second` is true, and the first elsewhere."""

    def init(params: Tree) -> Tree:
        return jax.tree.map(lambda x: jnp.stack([x, x]), transform.init(params))

    def update(grads: Tree, both: Tree, params: Tree = None) -> tuple[Tree, Tree]:
        index = second.astype(jnp.int32)
        updates, new = transform.update(grads, jax.tree.map(lambda x: x[index], both), params)
        return updates, jax.tree.map(lambda x, n: x.at[index].set(n), both, new)

    return optax.GradientTransformation(init, update)


def schedule(
    name: str,
    *,
    warmup_steps: int,
    total_steps: int,
    decay_steps: int = 0,
    options: Mapping[str, Any] = NO_OPTIONS,
) -> Callable[[Array], Array]:
    """Factor of the learning rate at a step: linear warm-up from 0, then the named schedule.

    Args:
      decay_steps: the steps of the schedule after the warm-up; 0: up to `total_steps`.
      options: of its factory, in `rnnexp.learning`.

    Raises `UsageError` for an unknown name, a warm-up that does not end, or an option that the
    factory refuses.
    """
    require_choice("schedule", name, SCHEDULES.names())
    if warmup_steps >= total_steps:
        raise UsageError(f"warm-up of {warmup_steps} steps is not shorter than {total_steps} steps")
    if decay_steps and name == "constant":
        raise UsageError(
            "config.optimizer.decay: the constant schedule has no end; set it to 0, or choose "
            "another config.optimizer.schedule"
        )
    entry = SCHEDULES.entry(name)
    steps = decay_steps or total_steps - warmup_steps
    course = Entry("schedule", name).make(entry.factory(), steps, **entry.options() | dict(options))
    if not callable(course):
        raise UsageError(
            f"schedule {name!r}: the factory gives {described(course)}, expected a function "
            "count -> factor" + "; is a `return` missing?" * (course is None)
        )
    if warmup_steps:
        warmup = optax.linear_schedule(1.0 / (warmup_steps + 1), 1.0, warmup_steps)
        course = optax.join_schedules([warmup, course], [warmup_steps])

    def factor(step: Array) -> Array:
        with jax.numpy_dtype_promotion("standard"):  # optax mixes integer steps and floats
            return jnp.asarray(course(step), float)

    return factor


def clip(name: str, grads: Tree, threshold: Array, params: Tree = None) -> Clipped:
    """Clip gradients.

    * `none` changes nothing, and neither does `update_norm`, which clips the update instead; see
      `clip_update`.
    * `global_norm` rescales all to a norm of at most the threshold (Pascanu, Mikolov & Bengio
      2013, algorithm 1).
    * `value` limits each element to [-threshold, threshold].
    * `adaptive` rescales those of each unit to a norm of at most threshold * max(||w||, 1e-3)
      of the unit's weights w (Brock, De, Smith & Simonyan 2021, "High-performance large-scale
      image recognition without normalization", equation 3). A unit is a column of a kernel, or
      a whole bias. It needs `params`. (The authors exempt the last layer; here every parameter
      is clipped.)

    Norms do not overflow, so gradients of 1e30 are rescaled and not zeroed.
    """
    before = tree_norm(grads)
    same, no = jnp.ones_like(before), jnp.zeros((), bool)
    match name:
        case "none" | "update_norm":
            return Clipped(grads, before, before, no, same)
        case "global_norm":
            return _with_norm_up_to(grads, before, threshold)
        case "value":
            clipped = jax.tree.map(lambda g: jnp.clip(g, -threshold, threshold), grads)
            cut = [jnp.any(jnp.abs(g) > threshold) for g in jax.tree.leaves(grads)]
        case "adaptive":
            ratios = jax.tree.map(lambda g, w: _unit_ratio(g, w, threshold), grads, params)
            clipped = jax.tree.map(lambda g, r: g * jnp.broadcast_to(r, g.shape), grads, ratios)
            cut = [jnp.any(r < 1) for r in jax.tree.leaves(ratios)]
        case _:
            raise unknown("clip", name, CLIPS)
    after = tree_norm(clipped)
    return Clipped(
        clipped, before, after, jnp.any(jnp.stack(cut)), _cosine(grads, clipped, before, after)
    )


def clip_update(updates: Tree, threshold: Array) -> Clipped:
    """Rescale all updates, which have the learning rate in them, to a norm of at most the
    threshold: no step in the space of parameters is longer. The optimiser's state is not changed.
    """
    return _with_norm_up_to(updates, tree_norm(updates), threshold)


def _with_norm_up_to(tree: Tree, norm: Array, threshold: Array) -> Clipped:
    """A tree of this norm, rescaled where that exceeds the threshold."""
    same, fired = jnp.ones_like(norm), norm > threshold
    ratio = jnp.where(fired, threshold / norm, same)
    return Clipped(jax.tree.map(lambda x: x * ratio, tree), norm, norm * ratio, fired, same)


def _unit_ratio(grad: Array, weight: Array, threshold: Array) -> Array:
    """The factor, at most 1, of each unit's gradient."""

    def norms(x: Array) -> Array:
        if x.ndim < 2:
            return stable_norm(x)
        moved = jnp.moveaxis(x, 0, -1)
        return stable_norm(moved.reshape(-1, x.shape[0]), axis=-1).reshape(1, *x.shape[1:])

    norm, most = norms(grad), threshold * jnp.maximum(norms(weight), SMALLEST_UNIT)
    return jnp.where(norm > most, most / norm, jnp.ones_like(norm))


def _cosine(one: Tree, two: Tree, norm_one: Array, norm_two: Array) -> Array:
    """The cosine of the angle between two trees of given norms; 1 if one of them is 0."""
    usable = (norm_one > 0) & (norm_two > 0)
    safe = [jnp.where(usable, n, jnp.ones_like(n)) for n in (norm_one, norm_two)]
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True)
    cosine = jnp.sum(jnp.stack([jnp.sum((a / safe[0]) * (b / safe[1])) for a, b in pairs]))
    return jnp.where(usable, cosine, jnp.ones_like(cosine))
