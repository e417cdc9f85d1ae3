"""Penalties in training: what they add to the gradient, what they do to the profile."""

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnexp.core.types import Array, State, Tree
from rnnexp.gradflow import regularizers
from rnnexp.gradflow.adjoints import perturb, probes, zero_slot
from rnnexp.models.forward import ForwardOptions
from rnnexp.sweep.program_groups import group_runs
from rnnexp.tasks.base import Endless
from rnnexp.tasks.batches import training_batch
from rnnexp.train.compiled import LaneStates
from rnnexp.train.lanes import LaneLayout
from rnnexp.train.plan import Plan
from rnnexp.train.program import apply_model
from tests.helpers.regularized_steps import (
    ALL,
    FLOSSING,
    PLAIN,
    QUICK,
    WEIGHTS,
    build,
    first_step,
    logged,
    one_step,
)
from tests.helpers.small_programs import configured


def penalties_by_hand(plan: Plan) -> dict[str, tuple[Array, Tree]]:
    """Values and gradients of the penalties on the first batch, from their definitions."""
    recipe, params = plan.recipe, plan.params
    form = plan.config.regularizer.omega_form
    assert isinstance(recipe.task.train, Endless)
    key = jax.random.fold_in(jax.random.key(plan.config.seed), 1)
    size = recipe.batch_size
    batch = training_batch(recipe.task.train, (), jnp.zeros(0), key, jnp.array(0, jnp.int32), size)
    unit = recipe.model(params).units()[0]
    cell = unit.layer.cell
    slot = zero_slot(cell, unit.layer.params(), batch.inputs_TxBxI.shape[0], size)

    def loss(slots: list[State]) -> Array:
        got = apply_model(recipe, params, batch, ForwardOptions(probes=probes(perturb, slots)))
        return recipe.task.scores(got.outputs, batch)["loss"].mean()

    def layer(params: Tree) -> Any:
        return nnx.merge(recipe.graphdef, params).units()[0].layer.params()

    def flossing(params: Tree) -> Array:
        did = apply_model(recipe, params, batch, ForwardOptions(keep_states=True)).trajectories[0]
        return regularizers.flossing(cell, layer(params), did, None, exponents=2)

    @partial(jax.jit, compiler_options=QUICK)
    def all_of_them() -> dict[str, tuple[Array, Tree]]:
        adjoints = jax.grad(loss)([slot])[0]
        seen = apply_model(recipe, params, batch, ForwardOptions(keep_states=True)).trajectories[0]
        found = {
            "omega": lambda p: regularizers.omega(cell, layer(p), seen, adjoints, None, form=form),
            "orthogonality": lambda p: regularizers.orthogonality(cell, layer(p)),
            "flossing": flossing,
        }
        return {name: jax.value_and_grad(value)(params) for name, value in found.items()}

    found: dict[str, tuple[Array, Tree]] = all_of_them()
    return found


@pytest.mark.parametrize("form", regularizers.OMEGA_FORMS)
@pytest.mark.usefixtures("x64")
def test_an_update_follows_the_loss_plus_the_weighted_penalties(form: str) -> None:
    changes = PLAIN | ALL | {"regularizer__omega_form": form}
    plain, (moved, plan) = one_step(), first_step(**changes)
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


APART: dict[str, Any] = {
    "regularizer__flossing_before_steps": 1,
    "regularizer__flossing_again_steps": (2,),
    "regularizer__flossing_every_steps": 0,
    "regularizer__flossing_optimizer": "own",
    "regularizer__flossing_examples": 1,
    "regularizer__flossing_window_steps": 4,
    "optimizer__name": "adam",
    "clip__name": "global_norm",
    "clip__threshold": 1e-4,
}


@pytest.mark.usefixtures("x64")
def test_flossing_comes_again_with_an_optimiser_of_its_own() -> None:
    """Steps 0 and 2 are not clipped and leave the readout, and the task's moments, alone."""
    program = build(**(PLAIN | FLOSSING | APART))
    state = program.initial()
    for step in range(4):
        before = jax.device_get(state)
        state, records = program.advance(state, step + 1, 1)
        flosses = step in (0, 2)
        assert bool(records.scalars["clip_fired"][0]) != flosses
        still = np.array_equal(before.params["readout"]["bias"], state.params["readout"]["bias"])
        assert still == flosses
        pairs = zip(
            jax.tree.leaves(before.opt_state), jax.tree.leaves(state.opt_state), strict=True
        )
        same = [[np.array_equal(a[i], b[i]) for i in range(2)] for a, b in pairs]
        assert all(of_task == flosses for of_task, _ in same)
        assert any(not of_flossing for _, of_flossing in same) == flosses


@pytest.mark.usefixtures("x64")
def test_lanes_floss_as_a_run_alone_does() -> None:
    """Unrecorded steps, in which flossing is computed only where it is due."""
    changes = PLAIN | FLOSSING | APART
    wide, alone = build(layout=LaneLayout(1, 2), **changes), build(**changes)
    slots = LaneStates(wide)
    for number in range(2):
        slots.put(number, wide.plan, alone.initial())
    slots.launch([4, 3], [100, 100])
    for number, stop in enumerate((4, 3)):
        state, _ = alone.advance(alone.initial(), stop, 100)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12),
            slots.states()[number].params, state.params,
        )  # fmt: skip


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


@pytest.mark.parametrize("key", [*WEIGHTS, "regularizer__flossing", "clip__adjoint_limit"])
def test_a_weight_is_a_value_and_zero_is_a_branch(key: str) -> None:
    values = [0.0, 0.1, 0.2]
    assert group_runs([configured("adding/lstm", **{key: value}) for value in values]) == [0, 1, 1]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("addition/lstm", {"model__bidirectional": True}),
        pytest.param("date_format/gru", {"model__attention": "dot"}, marks=pytest.mark.slow),
        pytest.param(
            "digits/min_gru",
            {"model__associative": True, "regularizer__orthogonality": 0.0},
            marks=pytest.mark.slow,
        ),
        ("mackey_glass/narx", {"model__teacher_forcing": False, "regularizer__orthogonality": 0.0}),
    ],
)
def test_every_kind_of_model_trains_with_all_of_them(name: str, changes: dict[str, Any]) -> None:
    limit = {} if "min_gru" in name else {"clip__adjoint_limit": 0.5}
    small: dict[str, Any] = {
        "cell__hidden_size": 4,
        "train__batch_size": 4,
        "clip__name": "adaptive",
    }
    wanted = ALL | {key: value for key, value in changes.items() if key in ALL}
    step, _ = first_step(name, **(small | ALL | limit | changes))
    assert int(step.state.step) == 1
    for key, weight in wanted.items():
        penalty = key.removeprefix("regularizer__")
        if weight and penalty != "flossing_exponents":
            assert 0 < logged(step, f"regularizer/{penalty}") < np.inf
    if limit:
        assert max(float(norms.max()) for norms in step.norms.values()) <= 0.5 * (1 + 1e-5)
    assert 0 < logged(step, "clip_cosine") <= 1 + 1e-6
