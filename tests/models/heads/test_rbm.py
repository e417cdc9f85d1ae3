"""The RBM head: enumeration, exact and expected gradients, estimates, draws, runs."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnexp.cells.gibbs import Machine, expected_contrast, gibbs_kernel
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch
from rnnexp.models.heads.rbm import Rbm, drawn_exactly, rbm
from rnnexp.models.scoring import evaluation_scores_of, scores_of
from tests.helpers.bits import all_bits, assert_drawn
from tests.helpers.frame_heads import assert_slopes, filled, music_plan
from tests.helpers.own_tables import own_tables  # noqa: F401
from tests.helpers.small_music import train_and_sample

D, H, F = 5, 3, 2
RANDOM = np.random.default_rng(0)


def made(**options: Any) -> Rbm:
    """A head with weights of size 1, biases too."""
    return filled(rbm(F, D, jax.random.key(0), hidden_size=H, **options))


def machine_of(head: Rbm, feature_F: Any) -> Machine:
    """The machine of one feature vector, straight from the parameters."""
    own, f_F = head.biases, jnp.asarray(feature_F)
    return Machine(head.w[...], own.b[...] + f_F @ own.u_b[...], own.c[...] + f_F @ own.u_c[...])


def probability(machine: Machine) -> np.ndarray:
    """p(v) of all frames, by the energies of all pairs."""
    w, b, c = map(np.asarray, machine)
    v, h = all_bits(len(b)), all_bits(len(c))
    p = np.exp((v @ b)[:, None] + (h @ c)[None] + v @ w @ h.T).sum(1)
    return np.asarray(p / p.sum())


def test_the_likelihood_is_that_of_all_pairs_and_sums_to_one(x64: None) -> None:
    head, frames = made(), all_bits(D)
    features = RANDOM.normal(size=(3, F))
    given = jnp.asarray(np.repeat(features[:, None], len(frames), 1))
    every = jnp.asarray(np.broadcast_to(frames, (3, *frames.shape)))
    p = np.exp(-np.asarray(head.nats(given, every)))
    for row, feature_F in zip(p, features, strict=True):
        np.testing.assert_allclose(row, probability(machine_of(head, feature_F)), rtol=1e-12)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-12)


def test_gradients_equal_central_differences(x64: None) -> None:
    frames = RANDOM.integers(0, 2, (3, D)).astype(float)
    parameters = D * H + (F + 1) * (D + H)
    assert_slopes(made(), RANDOM.normal(size=(3, F)), frames, parameters)


def contrastive(**options: Any) -> Rbm:
    """The head trained by CD-2, though its layers are small enough to enumerate."""
    head = made(gibbs_steps=2, **options)
    head.exact = False
    return head


def test_cd_has_the_biases_of_its_own_step_in_both_phases(x64: None) -> None:
    """Its mean gradient is that of the 2^D Gibbs kernel of the step's machine: here two steps with
    biases far apart, many examples of either."""
    head, count = contrastive(), 40_000
    features = jnp.asarray([[2.0, -1.0], [-2.0, 1.5]])
    frames = jnp.asarray(all_bits(D)[[3, 21]])
    given = jnp.broadcast_to(features[:, None], (2, count, F))
    seen = jnp.broadcast_to(frames[:, None], (2, count, D))
    moved = np.asarray(head.after_gibbs_steps(given, seen, jax.random.key(3)))
    for t, start in enumerate((3, 21)):
        kernel = np.asarray(gibbs_kernel(machine_of(head, features[t])))
        p = np.linalg.matrix_power(kernel, 2)[start]
        assert_drawn(moved[t], p)

    graphdef, params = nnx.split(head)
    batch = Batch(given, seen)

    def loss(params: Any) -> Array:
        scored = nnx.merge(graphdef, params).scores(given, batch, jax.random.key(4))
        return scored["loss"].mean()

    got = nnx.to_pure_dict(jax.grad(loss)(params))
    one_hot = jax.nn.one_hot(jnp.asarray([3, 21]), 2**D)
    slopes = [expected_contrast(machine_of(head, features[t]), one_hot[t], 2) for t in (0, 1)]
    w = (slopes[0].w_NxH + slopes[1].w_NxH) / 2
    np.testing.assert_allclose(got["w"], w, atol=0.02)
    u_c = sum(np.outer(features[t], slopes[t].c_H) for t in (0, 1)) / 2
    np.testing.assert_allclose(got["biases"]["u_c"], u_c, atol=0.03)


def test_estimates_are_the_likelihood_within_their_error(x64: None) -> None:
    head = contrastive(ais_chains=400, ais_temperatures=40)
    features = jnp.asarray(RANDOM.normal(size=(4, 6, F)))
    frames = jnp.asarray(RANDOM.integers(0, 2, (4, 6, D)), float)
    batch = Batch(features, frames, jnp.asarray([4, 1, 2, 3, 4, 4], jnp.int32))
    got = {
        name: float(score.mean())
        for name, score in head.evaluation_scores(features, batch, jax.random.key(5)).items()
    }
    assert set(got) == {"loss", "loss_per_sequence", "loss_ais", "loss_ais_error", "accuracy"}
    exact = made().evaluation_scores(features, batch, jax.random.key(5))
    assert got["loss"] == got["loss_ais"]
    assert 0 < got["loss_ais_error"] < 0.1
    assert abs(got["loss"] - float(exact["loss"].mean())) < got["loss_ais_error"]
    assert got["loss"] != float(exact["loss"].mean())


def test_draws_have_the_probabilities_of_the_machine(x64: None) -> None:
    head, count = made(), 40_000
    feature_F = RANDOM.normal(size=F)
    features = jnp.broadcast_to(jnp.asarray(feature_F), (count, F))
    drawn = np.asarray(head.draw(features, jax.random.key(6)))
    assert_drawn(drawn, probability(machine_of(head, feature_F)))
    hot = np.asarray(head.draw(features, jax.random.key(6), 1e9))
    assert np.max(np.abs(hot.mean(0) - 0.5)) < 0.02
    cold = np.asarray(head.draw(features[:100], jax.random.key(6), 0.0))
    assert len(np.unique(cold, axis=0)) == 1


def test_the_chain_of_a_larger_head_nears_the_same_distribution(x64: None) -> None:
    head = made()
    head.hidden_size = 13
    count = 20_000
    features = jnp.zeros((count, F))
    drawn = np.asarray(head.draw(features, jax.random.key(7)))
    exact = jax.vmap(lambda key: drawn_exactly(machine_of(head, np.zeros(F)), key))
    other = np.asarray(exact(jax.random.split(jax.random.key(8), count)))
    assert np.max(np.abs(drawn.mean(0) - other.mean(0))) < 0.03
    assert_drawn(drawn, probability(machine_of(head, np.zeros(F))), most=5)


def test_exact_up_to_12_units_and_said_beyond() -> None:
    small, large = (music_plan("rbm", head__hidden_size=size) for size in (12, 13))
    assert not small.own_units
    assert not any("CD" in note for note in small.notes)
    assert any("13 units" in note and "CD-5 in training" in note for note in large.notes)
    task = large.recipe.task
    batch = Batch(jnp.zeros((2, 3, 5)), jnp.zeros((2, 3, 88)))
    for plan, trained in ((small, {"accuracy"}), (large, set())):
        model = plan.recipe.model(plan.params)
        features = jnp.ones((2, 3, 5))
        found = jax.eval_shape(scores_of(model, task.scores), features, batch)
        evaluated = jax.eval_shape(evaluation_scores_of(model, task.scores), features, batch)
        assert set(found) == {"loss", "loss_per_sequence"} | trained
        assert {"accuracy", *found} <= set(evaluated)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"hidden_size": 0}, "config.head.hidden_size must be at least 1, not 0"),
        ({"gibbs_steps": 0}, "config.head.gibbs_steps must be at least 1"),
        ({"ais_chains": 1}, "config.head.ais_chains must be at least 2, not 1"),
    ],
)
def test_bad_options(options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        rbm(F, D, jax.random.key(0), **options)


@pytest.mark.usefixtures("own_tables")
@pytest.mark.parametrize("hidden", [4, pytest.param(13, marks=pytest.mark.slow)])
def test_a_run_writes_music(
    hidden: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"hidden_size": hidden, "ais_temperatures": 2, "ais_chains": 2}
    printed = train_and_sample("rbm", tmp_path, capsys, **options)
    assert ("loss_ais_error" in printed) == (hidden > 12)
