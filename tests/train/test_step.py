"""What a step records agrees with itself, and a limited adjoint follows its recursion."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.tree import named_leaves
from rnnexp.core.types import Array
from rnnexp.tasks.batches import Keys, stream_keys
from rnnexp.train.step import Gradient, Lane, measure_next
from tests.helpers.regularized_steps import logged, one_step
from tests.helpers.small_programs import programs


def test_what_is_recorded_agrees_with_itself() -> None:
    program = programs("copy_memory/lstm", model__num_layers=2, task__delay_steps=5)
    _, records = program.advance(program.initial(), 3, 1)
    scalars = {name: values[:3] for name, values in records.scalars.items()}
    groups = [values for name, values in scalars.items() if name.startswith("grad_norm/")]
    assert len(groups) == len(named_leaves(program.plan.params)) == 8
    np.testing.assert_allclose(
        np.sqrt(np.sum(np.square(groups), 0)), scalars["grad_norm"], rtol=1e-5
    )
    assert set(records.norms) == {"c", "h"}
    assert records.norms["h"].shape == (10, 2, 25)
    for leaf in ("c", "h"):
        for layer in (0, 1):
            log_norms = np.log(np.maximum(records.norms[leaf][0, layer], 1e-38))
            keep = records.norms[leaf][0, layer] > 0
            slope = np.polyfit(np.arange(24, -1, -1)[keep], log_norms[keep], 1)[0]
            logged = scalars[f"slope/layer_{layer}/{leaf}"][0]
            np.testing.assert_allclose(logged, slope, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(scalars["update_ratio"] > 0, True)


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
def test_a_linear_start_ends_after_its_steps() -> None:
    """Steps 0 and 1 are those of a network without softmax, step 2 is that of one with it."""

    def gradients(**changes: Any) -> list[Gradient]:
        program = programs("chained_facts/memory_network", **changes)
        recipe, state = program.plan.recipe, program.initial()
        keys = stream_keys(0)

        @jax.jit
        def at(step: Array) -> Gradient:
            lane = Lane(
                state._replace(step=step),
                (),
                Keys(keys["train"], keys["noise"]),
                program.plan.hyper,
            )
            return measure_next(recipe, (), lane, record=False)[0]

        return [at(jnp.array(step, jnp.int32)) for step in (0, 1, 2)]

    started, linear = gradients(cell__linear_start_steps=2), gradients(cell__linear=True)
    plain = gradients(cell__linear_start_steps=0)
    for got, expected in zip(started, [*linear[:2], plain[2]], strict=True):
        np.testing.assert_allclose(got.loss, expected.loss, rtol=1e-12)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-14),
            got.grads, expected.grads,
        )  # fmt: skip
    assert float(linear[2].loss) != float(plain[2].loss)


@pytest.mark.usefixtures("x64")
def test_a_clipped_update_is_the_update_made_shorter() -> None:
    """The optimiser's state is that of the whole update; its direction stays."""
    given = {"optimizer__name": "adam", "clip__threshold": 0.05, "optimizer__learning_rate": 0.1}
    whole = one_step(clip__name="none", **given)
    short = one_step(clip__name="update_norm", **given)
    loose = one_step(clip__name="update_norm", **(given | {"clip__threshold": 1e3}))
    plan = programs("adding/rnn", cell__hidden_size=4, train__batch_size=4).plan
    moves = [
        np.concatenate(
            [
                np.ravel(new - np.asarray(old))
                for new, old in zip(
                    jax.tree.leaves(s.state.params), jax.tree.leaves(plan.params), strict=True
                )
            ]
        )
        for s in (whole, short)
    ]
    norm = np.linalg.norm(moves[0])
    assert norm > 0.05
    np.testing.assert_allclose(moves[1], moves[0] * 0.05 / norm, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(logged(short, "update_norm"), norm, rtol=1e-6)
    np.testing.assert_allclose(logged(short, "update_norm_clipped"), 0.05, rtol=1e-12)
    assert (logged(short, "clip_fired"), logged(loose, "clip_fired")) == (1, 0)
    assert logged(short, "grad_norm") == logged(short, "grad_norm_clipped")
    same = lambda a, b: np.testing.assert_array_equal(a, b)  # noqa: E731
    jax.tree.map(same, short.state.opt_state, whole.state.opt_state)
    jax.tree.map(same, loose.state.params, whole.state.params)
