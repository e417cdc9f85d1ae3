"""Optimisers against formulas, schedules, and clipping."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.core.tree import tree_norm
from rnnexp.core.types import Tree
from rnnexp.learning import OPTIMIZERS
from rnnexp.train.optim import (
    clip,
    clip_update,
    make_hyper,
    optimizer,
    schedule,
    two_states,
    update_params,
)

HYPER = {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.01, "clip_threshold": 1.0}
GRADS = [jnp.array([1.0, -2.0]), jnp.array([0.5, 1.0]), jnp.array([-1.0, 3.0])]


def steps_of(name: str, **options: float) -> np.ndarray:
    """Parameters after three given gradients, from (1, 2)."""
    hyper = make_hyper(**HYPER)
    params: Tree = jnp.array([1.0, 2.0])
    opt_state = optimizer(name, hyper, hyper["learning_rate"], options).init(params)
    for grads in GRADS:
        updates, opt_state = update_params(
            name, hyper, hyper["learning_rate"], grads, opt_state, params, options
        )
        params = params + updates
    return np.asarray(params)


def test_two_states_are_those_of_two_optimisers() -> None:
    """Adam on updates in turn: each kind moves as if the other were not there."""
    hyper = make_hyper(**HYPER)
    params: Tree = jnp.zeros(2)
    transform = optimizer("adam", hyper, hyper["learning_rate"])
    both = two_states(transform, jnp.array(False)).init(params)
    alone = [transform.init(params), transform.init(params)]
    for step, grads in enumerate(GRADS + GRADS):
        kind = step % 3 == 0
        with jax.numpy_dtype_promotion("standard"):
            wanted, alone[kind] = transform.update(grads, alone[kind], params)
        got, both = update_params(
            "adam", hyper, hyper["learning_rate"], grads, both, params, apart=jnp.array(kind)
        )
        np.testing.assert_allclose(got, wanted, rtol=1e-6)


def by_formula(name: str) -> np.ndarray:
    """The same from the papers' formulas in NumPy."""
    p, m, v, trace = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2), np.zeros(2)
    for n, grads in enumerate(GRADS, 1):
        g = np.asarray(grads)
        if name == "sgd":
            p = p - 0.1 * g
        elif name == "momentum":
            trace = 0.9 * trace + g
            p = p - 0.1 * trace
        elif name == "rmsprop":
            v = 0.9 * v + 0.1 * g**2
            trace = 0.9 * trace + 0.1 * g / np.sqrt(v + 1e-8)
            p = p - trace
        else:
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            update = (m / (1 - 0.9**n)) / (np.sqrt(v / (1 - 0.999**n)) + 1e-8)
            decay = 0.01 * p if name == "adamw" else 0
            p = p - 0.1 * (update + decay)
    return p


@pytest.mark.parametrize("name", OPTIMIZERS.builtin)
def test_optimizers_equal_their_formulas(name: str, x64: None) -> None:
    np.testing.assert_allclose(steps_of(name), by_formula(name), rtol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS.builtin)
def test_swept_values_are_traced(name: str) -> None:
    traces = []

    @jax.jit
    def step(hyper: dict, grads: Tree) -> Tree:
        traces.append(1)
        params = jnp.ones(2)
        opt_state = optimizer(name, hyper, hyper["learning_rate"]).init(params)
        clipped = clip("global_norm", grads, hyper["clip_threshold"]).grads
        return update_params(name, hyper, hyper["learning_rate"], clipped, opt_state, params)[0]

    one = step(make_hyper(**HYPER), GRADS[0])
    two = step(make_hyper(**{k: 2 * v for k, v in HYPER.items()}), GRADS[0])
    assert len(traces) == 1
    assert bool(jnp.any(one != two))


def test_schedules() -> None:
    at = lambda f, *steps: [float(f(jnp.array(s))) for s in steps]  # noqa: E731
    assert at(schedule("constant", warmup_steps=0, total_steps=10), 0, 9) == [1, 1]
    linear = at(schedule("linear", warmup_steps=0, total_steps=10), 0, 5, 10)
    np.testing.assert_allclose(linear, [1, 0.5, 0], atol=1e-6)
    cosine = at(schedule("cosine", warmup_steps=4, total_steps=14), 0, 2, 4, 9, 14)
    np.testing.assert_allclose(cosine, [0.2, 0.6, 1, 0.5, 0], atol=1e-6)
    with pytest.raises(UsageError, match="warm-up of 10 steps"):
        schedule("linear", warmup_steps=10, total_steps=10)


def test_a_schedule_ends_after_its_own_steps() -> None:
    """As in protocols whose rate falls to 1 % over so many updates, and stays there."""
    factor = schedule(
        "linear", warmup_steps=4, total_steps=100, decay_steps=20, options={"rate_floor": 0.01}
    )
    at = [float(factor(jnp.array(s))) for s in (0, 4, 14, 24, 25, 99)]
    np.testing.assert_allclose(at, [0.2, 1, 0.505, 0.01, 0.01, 0.01], rtol=1e-5)
    with pytest.raises(UsageError, match=r"config\.optimizer\.decay: the constant schedule has no"):
        schedule("constant", warmup_steps=0, total_steps=10, decay_steps=5)
    with pytest.raises(UsageError, match=r"unknown schedule 'linea'\. Did you mean 'linear'"):
        schedule("linea", warmup_steps=0, total_steps=10)


def test_an_update_is_clipped_to_a_norm_and_its_gradient_is_not() -> None:
    updates = {"a": jnp.array([3.0]), "b": jnp.array([-4.0])}
    same = clip("update_norm", updates, jnp.array(1.0))
    assert (float(same.norm_after), bool(same.fired)) == (5.0, False)
    short = clip_update(updates, jnp.array(2.0))
    np.testing.assert_allclose([short.grads["a"][0], short.grads["b"][0]], [1.2, -1.6], rtol=1e-6)
    np.testing.assert_allclose([short.norm_before, short.norm_after], [5, 2], rtol=1e-6)
    assert bool(short.fired)
    assert not bool(clip_update(updates, jnp.array(5.1)).fired)


@pytest.mark.parametrize("scale", [1.0, 1e30])
def test_clipping_by_global_norm(scale: float) -> None:
    grads = {"a": scale * jnp.array([3.0]), "b": scale * jnp.array([4.0])}
    clipped = clip("global_norm", grads, jnp.array(2.0))
    np.testing.assert_allclose(clipped.norm_before, 5 * scale, rtol=1e-6)
    np.testing.assert_allclose(clipped.norm_after, 2, rtol=1e-6)
    np.testing.assert_allclose(
        [clipped.grads["a"][0], clipped.grads["b"][0]], [1.2, 1.6], rtol=1e-6
    )
    assert bool(clipped.fired)


def test_clipping_that_does_not_fire_changes_nothing() -> None:
    grads = {"a": jnp.array([0.3, -0.4])}
    for name in ("none", "global_norm", "value"):
        clipped = clip(name, grads, jnp.array(1.0))
        np.testing.assert_array_equal(clipped.grads["a"], grads["a"])
        np.testing.assert_allclose([clipped.norm_before, clipped.norm_after], 0.5, rtol=1e-6)
        assert not bool(clipped.fired)


def test_clipping_by_value() -> None:
    clipped = clip("value", {"a": jnp.array([3.0, -0.5, -7.0])}, jnp.array(1.0))
    np.testing.assert_allclose(clipped.grads["a"], [1, -0.5, -1])
    np.testing.assert_allclose(clipped.norm_after, tree_norm(clipped.grads))
    assert bool(clipped.fired)
    assert not bool(clip("none", {"a": jnp.array([9.0])}, jnp.array(1.0)).fired)


def test_adaptive_clipping_equals_its_formula(x64: None) -> None:
    """Brock et al. 2021, equation 3: unit by unit, max(||w||, 0.001) times the threshold."""
    rng = np.random.default_rng(0)
    shapes = {"kernel": (3, 4), "bias": (4,), "blocks": (2, 3, 4)}
    params = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    params["kernel"][:, 1] = 0  # at the floor
    grads = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    grads["kernel"][:, 2] *= 1e-3  # below its threshold
    clipped = jax.jit(partial(clip, "adaptive"))(grads, jnp.array(0.3), params)
    for name, g in grads.items():
        axis = 0 if g.ndim > 1 else None
        most = 0.3 * np.maximum(np.linalg.norm(params[name], axis=axis), 1e-3)
        expected = g * np.minimum(1, most / np.linalg.norm(g, axis=axis))
        np.testing.assert_allclose(clipped.grads[name], expected, rtol=1e-12)
    np.testing.assert_array_equal(clipped.grads["kernel"][:, 2], grads["kernel"][:, 2])
    assert bool(clipped.fired)
    flat = [np.concatenate([t[n].ravel() for n in shapes]) for t in (grads, clipped.grads)]
    cosine = flat[0] @ flat[1] / np.linalg.norm(flat[0]) / np.linalg.norm(flat[1])
    np.testing.assert_allclose(clipped.cosine, cosine, rtol=1e-12)
    assert cosine < 0.99
    update = jax.jit(optax.adaptive_grad_clip(0.3).update)
    oracle, _ = update(grads, optax.EmptyState(), params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9), clipped.grads, oracle)


def test_adaptive_clipping_rescales_what_would_overflow_when_squared() -> None:
    clipped = clip(
        "adaptive", {"w": jnp.full((2, 1), 1e30)}, jnp.array(0.5), {"w": jnp.ones((2, 1))}
    )
    np.testing.assert_allclose(clipped.grads["w"], 0.5, rtol=1e-6)
    np.testing.assert_allclose(clipped.cosine, 1, rtol=1e-6)
    assert not bool(clip("adaptive", {"b": jnp.zeros(2)}, jnp.array(1.0), {"b": jnp.ones(2)}).fired)


def test_the_cosine_says_whether_clipping_keeps_the_direction() -> None:
    grads = {"a": jnp.array([3e25, 4e25]), "b": jnp.zeros(2)}
    for name, cosine in [("none", 1.0), ("global_norm", 1.0), ("value", 7 / 5 / np.sqrt(2))]:
        np.testing.assert_allclose(clip(name, grads, jnp.array(1.0)).cosine, cosine, rtol=1e-6)
    nothing = clip("value", {"a": jnp.zeros(2)}, jnp.array(1.0))
    np.testing.assert_array_equal(nothing.cosine, 1)
