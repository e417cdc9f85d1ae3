"""Weight noise: which parameters have it, how large it is, and that steps are at those weights."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.tree import named_leaves
from rnnexp.tasks.batches import first_batch, stream_keys
from rnnexp.train.loss import backward
from rnnexp.train.plan import make_plan
from rnnexp.train.program import StepInputs
from rnnexp.train.weight_noise import noisy_weights
from tests.helpers.regularized_steps import first_step
from tests.helpers.small_programs import configured, programs

NOISE: dict[str, Any] = {"model__weight_noise": 0.075}
PLAIN: dict[str, Any] = {
    "cell__hidden_size": 5, "train__batch_size": 4, "task__length_steps": 6,
    "optimizer__name": "sgd", "optimizer__learning_rate": 0.5, "clip__name": "none",
}  # fmt: skip


def noise_of(name: str, key: int = 0, **changes: Any) -> dict[str, np.ndarray]:
    """What is added to every parameter of an experiment."""
    plan = make_plan(configured(name, **(NOISE | changes)), data_dir=None, chunk_steps=1)
    noisy = noisy_weights(plan.recipe, plan.params, jax.random.key(key))
    before = named_leaves(plan.params)
    return {n: np.asarray(leaf - before[n]) for n, leaf in named_leaves(noisy).items()}


@pytest.mark.usefixtures("x64")
def test_the_kernels_of_every_layer_have_noise_of_their_own_and_nothing_else_has() -> None:
    added = noise_of("adding/gru", cell__hidden_size=64, model__num_layers=2)
    has = {name for name, noise in added.items() if np.any(noise)}
    kernels = {n for n in added if n.startswith("stack/layers") and added[n].ndim == 2}
    assert has == kernels
    assert len(kernels) == 2 * len({n.rpartition("/")[2] for n in kernels}) < len(added)
    drawn = np.concatenate([added[n].ravel() for n in sorted(kernels)])
    error = 0.075 / np.sqrt(drawn.size)
    assert abs(drawn.mean()) < 4 * error
    assert abs(drawn.std() - 0.075) < 4 * error / np.sqrt(2)
    recurrent = [n for n in kernels if added[n].shape == (64, 3 * 64) or added[n].shape[0] == 64]
    pairs = [np.corrcoef(added[a].ravel(), added[b].ravel())[0, 1]
             for a in recurrent for b in recurrent
             if a < b and added[a].shape == added[b].shape]  # fmt: skip
    assert pairs
    assert np.max(np.abs(pairs)) < 0.05
    again = noise_of("adding/gru", 1, cell__hidden_size=64, model__num_layers=2)
    assert not np.any(drawn == np.concatenate([again[n].ravel() for n in sorted(kernels)]))


def test_recurrent_vectors_are_weights() -> None:
    added = noise_of("adding/indrnn")
    has = {name.rpartition("/")[2] for name, noise in added.items() if np.any(noise)}
    vectors = {n.rpartition("/")[2] for n, noise in added.items() if noise.ndim == 1}
    assert len(has & vectors) == 1
    assert vectors - has


def test_an_encoder_and_its_decoder_both_have_it() -> None:
    added = noise_of("reverse/gru")
    has = {name.partition("/")[0] for name, noise in added.items() if np.any(noise)}
    assert has == {"encoder", "decoder"}


@pytest.mark.usefixtures("x64")
def test_a_step_goes_along_the_gradient_at_the_noisy_weights() -> None:
    step, plan = first_step("adding/rnn", **PLAIN, **NOISE)
    plain = make_plan(configured("adding/rnn", **PLAIN), data_dir=None, chunk_steps=1)
    keys = stream_keys(0)
    key = jax.random.fold_in(keys["noise"], 0)
    noisy = noisy_weights(plan.recipe, plan.params, key)
    batch = first_batch(plain.recipe.task.train, keys["train"], 4)
    inputs = StepInputs(batch, [], key, plain.hyper, jnp.zeros((), jnp.int32))
    expected = backward(plain.recipe, noisy, inputs, record=True)
    jax.tree.map(
        lambda new, old, g: np.testing.assert_allclose(new, old - 0.5 * g, rtol=1e-9, atol=1e-12),
        step.state.params, plan.params, expected.grads,
    )  # fmt: skip
    np.testing.assert_allclose(step.scalars["loss"], expected.means["loss"], rtol=1e-12)
    np.testing.assert_allclose(step.norms["h"][0], expected.profiles[0]["h"], rtol=1e-9)
    at_mean = backward(plain.recipe, plan.params, inputs, record=False)
    assert not np.isclose(step.scalars["loss"], at_mean.means["loss"])


@pytest.mark.usefixtures("x64")
def test_devices_share_the_noise_and_every_update_draws_it_anew() -> None:
    one, two = (programs("adding/rnn", devices=n, **PLAIN, **NOISE) for n in (1, 2))
    found = [p.advance(p.initial(), 3, 1) for p in (one, two)]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12),
        *(jax.device_get(state.params) for state, _ in found),
    )
    keys = stream_keys(0)["noise"]
    drawn = [
        noisy_weights(one.plan.recipe, one.plan.params, jax.random.fold_in(keys, step))
        for step in (0, 1)
    ]
    w = [d["stack"]["layers"][0]["w_h"] for d in drawn]
    assert not np.any(w[0] == w[1])


def test_evaluations_have_it_if_wanted() -> None:
    without, noisy, plain = (
        programs("adding/rnn", **PLAIN, **more)
        for more in (NOISE, NOISE | {"model__noisy_evaluation": True}, {})
    )
    state = plain.initial()
    usual = plain.scores("valid", state)
    assert without.scores("valid", state) == usual
    key = stream_keys(0)["valid"]
    moved = state._replace(params=noisy_weights(noisy.plan.recipe, state.params, key))
    found = noisy.scores("valid", state)
    np.testing.assert_allclose(found["loss"], plain.scores("valid", moved)["loss"], rtol=1e-6)
    assert found["loss"] != usual["loss"]
