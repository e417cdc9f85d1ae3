"""Interventions in training: what they add to the gradient, what they do to the profile."""

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, State, Tree
from rnnexp.gradflow import regularizers
from rnnexp.gradflow.adjoint_limit import limit_adjoint
from rnnexp.gradflow.adjoints import perturb, probes, zero_slot
from rnnexp.sweep.program_groups import group_runs
from rnnexp.tasks.base import Endless
from rnnexp.tasks.batches import (
    Keys,
    epoch_order,
    source_arrays,
    stream_keys,
    training_batch,
)
from rnnexp.train.compiled import Programs, initial_state
from rnnexp.train.lanes import Layout
from rnnexp.train.plan import Plan, make_plan
from rnnexp.train.program import TrainState, apply_model
from rnnexp.train.step import Lane, Stepped, take_step
from tests.train.test_chunk import configured

QUICK = {"xla_backend_optimization_level": 0}
"""Programs that run once: most of their time is compilation."""
PLAIN: dict[str, Any] = {
    "cell__hidden_size": 4,
    "train__batch_size": 4,
    "task__length_steps": 6,
    "optimizer__name": "sgd",
    "optimizer__learning_rate": 0.5,
    "clip__name": "none",
}
WEIGHTS = {"regularizer__omega": 0.3, "regularizer__orthogonality": 0.2}
FLOSSING = {"regularizer__flossing": 0.4, "regularizer__flossing_exponents": 2}
ALL = WEIGHTS | FLOSSING


def build(name: str = "adding/rnn", layout: Layout = Layout(), **changes: Any) -> Programs:  # noqa: B008
    """The compiled functions of a tiny run."""
    config = configured(name, **changes)
    return Programs(make_plan(config, data_dir=None, chunk_steps=4), layout)


def first_step(name: str = "adding/rnn", **changes: Any) -> tuple[Stepped, Plan]:
    """One recorded step from the start, without the chunk around it, and its plan."""
    plan = make_plan(configured(name, **changes), data_dir=None, chunk_steps=1)
    streams, source = stream_keys(plan.config.seed), plan.recipe.task.train
    keys, arrays = Keys(streams["train"], streams["noise"]), source_arrays(source)

    @partial(jax.jit, compiler_options=QUICK)
    def step(state: TrainState) -> Stepped:
        order = epoch_order(source, keys.data, state.step, plan.recipe.batch_size)
        lane = Lane(state, order, keys, plan.hyper)
        return take_step(plan.recipe, arrays, lane, record=True)

    return jax.device_get(step(initial_state(plan))), plan


@cache
def one_step(**changes: Any) -> Stepped:
    """The first step of a tiny float64 run."""
    return first_step(**(PLAIN | changes))[0]


def logged(step: Stepped, name: str) -> float:
    """A recorded scalar."""
    return float(step.scalars[name])


def penalties_by_hand(plan: Plan) -> dict[str, tuple[Array, Tree]]:
    """Values and gradients of the penalties on the first batch, from their definitions."""
    recipe, params = plan.recipe, plan.params
    assert isinstance(recipe.task.train, Endless)
    key = jax.random.fold_in(jax.random.key(plan.config.seed), 1)
    size = recipe.batch_size
    batch = training_batch(recipe.task.train, (), jnp.zeros(0), key, jnp.array(0, jnp.int32), size)
    unit = recipe.model(params).units()[0]
    cell = unit.layer.cell
    slot = zero_slot(cell, unit.layer.params(), batch.inputs_TxBxI.shape[0], size)

    def loss(slots: list[State]) -> Array:
        got = apply_model(recipe, params, batch, layer_probes=probes(perturb, slots))
        return recipe.task.scores(got.outputs, batch)["loss"].mean()

    def layer(params: Tree) -> Any:
        return nnx.merge(recipe.graphdef, params).units()[0].layer.params()

    def flossing(params: Tree) -> Array:
        did = apply_model(recipe, params, batch, watch=True).watched[0]
        return regularizers.flossing(cell, layer(params), did, None, exponents=2)

    @partial(jax.jit, compiler_options=QUICK)
    def all_of_them() -> dict[str, tuple[Array, Tree]]:
        adjoints = jax.grad(loss)([slot])[0]
        seen = apply_model(recipe, params, batch, watch=True).watched[0]
        found = {
            "omega": lambda p: regularizers.omega(cell, layer(p), seen, adjoints, None),
            "orthogonality": lambda p: regularizers.orthogonality(cell, layer(p)),
            "flossing": flossing,
        }
        return {name: jax.value_and_grad(value)(params) for name, value in found.items()}

    found: dict[str, tuple[Array, Tree]] = all_of_them()
    return found


@pytest.mark.usefixtures("x64")
def test_an_update_follows_the_loss_plus_the_weighted_penalties() -> None:
    plain, (moved, plan) = one_step(), first_step(**(PLAIN | ALL))
    expected = penalties_by_hand(plan)
    # the task's alone, up to the rounding of another program
    np.testing.assert_allclose(logged(moved, "loss"), logged(plain, "loss"), rtol=1e-12)
    np.testing.assert_allclose(moved.norms["h"], plain.norms["h"], rtol=1e-12)
    weights = {"omega": 0.3, "orthogonality": 0.2, "flossing": 0.4}
    extra: dict[str, Any] = jax.tree.map(jnp.zeros_like, plan.params)
    for name, (value, grads) in expected.items():
        np.testing.assert_allclose(logged(moved, f"regularizer/{name}"), value, rtol=1e-9)
        extra = jax.tree.map(lambda e, g, w=weights[name]: e + w * g, extra, grads)
    jax.tree.map(
        lambda a, b, e: np.testing.assert_allclose(a, b - 0.5 * e, rtol=1e-9, atol=1e-12),
        moved.state.params, plain.state.params, extra,
    )  # fmt: skip
    assert logged(moved, "grad_norm") != logged(plain, "grad_norm")  # that of the sum


@pytest.mark.usefixtures("x64")
def test_flossing_before_training_leaves_the_task_alone() -> None:
    changes = PLAIN | FLOSSING | {"regularizer__flossing_before_steps": 2}
    moved, plan = first_step(**changes)
    grads = penalties_by_hand(plan)["flossing"][1]
    jax.tree.map(
        lambda a, b, g: np.testing.assert_allclose(a, b - 0.2 * g, rtol=1e-9, atol=1e-12),
        moved.state.params, plan.params, grads,
    )  # fmt: skip
    np.testing.assert_allclose(logged(moved, "loss"), logged(one_step(), "loss"), rtol=1e-12)


@pytest.mark.usefixtures("x64")
def test_flossing_joins_at_the_steps_that_are_due() -> None:
    """Recorded or not, steps 0 and 2 differ from those of a plain run, 1 and 3 do not."""
    changes = PLAIN | FLOSSING | {"regularizer__flossing_every_steps": 2}
    program, plain = build(**changes), build(**PLAIN)
    for every in (1, 100):
        state = program.initial()
        for step in range(4):
            copy = jax.tree.map(jnp.copy, state)
            alone, _ = plain.advance(copy, step + 1, every)
            state, records = program.advance(state, step + 1, every)
            pairs = zip(jax.tree.leaves(alone.params), jax.tree.leaves(state.params), strict=True)
            same = all(np.allclose(a, b, rtol=1e-12, atol=1e-14) for a, b in pairs)
            assert same == (step % 2 == 1)
            if every == 1:
                assert records.scalars["regularizer/flossing"][0] > 0


@cache
def profile_after(**change: Any) -> tuple[float, float]:
    """Slope and far end of a profile after 80 steps of a network that contracts by half."""
    setting: dict[str, Any] = {
        "cell__recurrent_scale": 0.5,
        "task__length_steps": 12,
        "optimizer__name": "adam",
        "optimizer__learning_rate": 0.01,
    }
    program = build(**(PLAIN | setting | change))
    state, records = program.initial(), None
    for stop in range(4, 81, 4):
        state, records = program.advance(state, stop, 1)
    assert records is not None
    slope = float(records.scalars["slope/layer_0/h"][3])
    return slope, float(records.norms["h"][3, 0, 0] / records.norms["h"][3, 0, -1])


@pytest.mark.parametrize(
    "change",
    [
        {"regularizer__omega": 1.0},
        {"regularizer__orthogonality": 0.1},
        {"regularizer__flossing": 1.0, "regularizer__flossing_exponents": 4},
    ],
    ids=["omega", "orthogonality", "flossing"],
)
def test_each_penalty_flattens_the_profile_of_a_contracting_network(change: Any) -> None:
    slopes, early = zip(profile_after(), profile_after(**change), strict=True)
    assert slopes[0] < -0.3  # nats per step: it vanishes
    assert abs(slopes[1]) < 0.7 * abs(slopes[0])
    assert early[1] > 3 * early[0]


@pytest.mark.usefixtures("x64")
def test_a_limited_adjoint_follows_its_recursion() -> None:
    """Through a linear rotation scaled by 1.3, norms grow by 1.3 a step, up to the limit."""
    growing = {"cell__activation": "linear", "cell__recurrent_scale": 1.3}
    free = one_step(**growing)
    profile = free.norms["h"][0]
    np.testing.assert_allclose(profile[:-1] / profile[1:], 1.3, rtol=1e-9)
    limit = float(profile[-2])
    huge, held = (one_step(clip__adjoint_limit=value, **growing) for value in (1e6, limit))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12),
        huge.state.params, free.state.params,
    )  # fmt: skip
    np.testing.assert_allclose(huge.norms["h"][0], profile, rtol=1e-12)
    assert (held.norms["h"][0] <= limit * (1 + 1e-12)).all()
    assert held.norms["h"][0, 0] > 0.5 * limit  # most examples reach it
    assert logged(held, "grad_norm") < logged(free, "grad_norm")


@pytest.mark.usefixtures("x64")
def test_the_limit_scales_each_example_by_itself() -> None:
    state = {"h": jnp.ones((3, 2)), "c": jnp.ones((3, 1, 2))}
    given = {
        "h": jnp.array([[3.0, 0.0], [0.1, 0.0], [1e200, 0.0]]),
        "c": jnp.array([[[0.0, 4.0]], [[0.0, 0.0]], [[0.0, 0.0]]]),
    }
    pulled = jax.vjp(lambda s: limit_adjoint(s, jnp.array(2.5)), state)[1](given)[0]
    np.testing.assert_allclose(pulled["h"], [[1.5, 0], [0.1, 0], [2.5, 0]], rtol=1e-12)
    np.testing.assert_allclose(pulled["c"][:, 0], [[0, 2], [0, 0], [0, 0]], rtol=1e-12)


@pytest.mark.parametrize("key", [*WEIGHTS, "regularizer__flossing", "clip__adjoint_limit"])
def test_a_weight_is_a_value_and_zero_is_a_branch(key: str) -> None:
    values = [0.0, 0.1, 0.2]
    assert group_runs([configured("adding/lstm", **{key: value}) for value in values]) == [0, 1, 1]


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        (
            "adding/rnn",
            {"regularizer__omega": 1.0, "model__cut_steps": 3},
            "config.model.cut_steps",
        ),
        ("adding/rnn", {"regularizer__omega": 1.0, "model__zoneout": 0.1}, "config.model.zoneout"),
        ("adding/rnn", {"regularizer__flossing": 1.0, "model__recurrent_dropout": 0.1}, "dropout"),
        ("adding/rnn", {"regularizer__flossing": 1.0, "cell__hidden_size": 3}, "has 3 dimensions"),
        ("adding/feedforward", {"regularizer__flossing": 1.0}, "no parameter of feedforward"),
        ("adding/indrnn", {"regularizer__orthogonality": 1.0}, "no square recurrent matrix"),
        ("mackey_glass/narx", {"regularizer__omega": 1.0}, "config.model.teacher_forcing=False"),
        ("adding/lru", {"clip__adjoint_limit": 1.0, "model__associative": True}, "associative"),
        (
            "adding/rnn",
            {"regularizer__flossing": 1.0, "regularizer__flossing_every_steps": 0},
            "never due",
        ),
        ("adding/rnn", {"regularizer__flossing_before_steps": 5}, "needs a weight"),
    ],
)
def test_what_cannot_be_is_refused(name: str, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make_plan(configured(name, **changes), data_dir=None, chunk_steps=2)
