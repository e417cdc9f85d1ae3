"""The NADE head: a plain loop of conditionals, sums over all frames, draws, gradients, runs."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.config.schema import experiment, finish
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Batch
from rnnexp.models.heads.nade import Nade, nade
from rnnexp.models.scoring import head_draw
from rnnexp.train.plan import make_plan
from tests.helpers.bits import all_bits, assert_drawn, sigmoid
from tests.helpers.frame_heads import assert_slopes, filled, music_plan
from tests.helpers.own_tables import own_tables  # noqa: F401
from tests.helpers.small_music import train_and_sample

D, H, F = 7, 4, 3
RANDOM = np.random.default_rng(0)


def made(seed: int = 0) -> Nade:
    """A head with weights of size 1, biases too."""
    return filled(nade(F, D, jax.random.key(seed), hidden_size=H), seed + 1)


def by_loop(head: Nade, feature_F: Any, frame_D: Any) -> np.ndarray:
    """ln p of every bit, straight from the definition: O(D^2 H)."""
    w, v = np.asarray(head.w[...]), np.asarray(head.v[...])
    own = head.biases
    u_b, u_c, b, c = (np.asarray(param[...]) for param in (own.u_b, own.u_c, own.b, own.c))
    b, c = b + feature_F @ u_b, c + feature_F @ u_c
    logs = []
    for i in range(len(frame_D)):
        activation = c + sum((frame_D[j] * w[j] for j in range(i)), np.zeros(H))
        p = sigmoid(b[i] + v[i] @ sigmoid(activation))
        logs.append(np.log(p if frame_D[i] else 1 - p))
    return np.array(logs)


def test_it_is_the_loop_of_conditionals_and_sums_to_one(x64: None) -> None:
    head, features_2xF = made(), RANDOM.normal(size=(2, F))
    frames_NxD = all_bits(D)
    for feature_F in features_2xF:
        features_NxF = np.broadcast_to(feature_F, (len(frames_NxD), F))
        nats_N = head.nats(jnp.asarray(features_NxF), jnp.asarray(frames_NxD))
        expected_N = [-by_loop(head, feature_F, frame_D).sum() for frame_D in frames_NxD]
        np.testing.assert_allclose(nats_N, expected_N, rtol=1e-12)
        assert abs(np.exp(-np.asarray(nats_N)).sum() - 1) < 1e-12


def test_the_features_reach_it_through_its_biases_alone(x64: None) -> None:
    """Without feature weights it is one NADE for all; the biases are affine in the features."""
    head = made()
    head.biases.u_b[...], head.biases.u_c[...] = jnp.zeros((F, D)), jnp.zeros((F, H))
    frames = jnp.asarray(RANDOM.integers(0, 2, (5, 2, D)), float)
    one, other = (jnp.asarray(RANDOM.normal(size=(5, 2, F))) for _ in range(2))
    np.testing.assert_array_equal(head.nats(one, frames), head.nats(other, frames))
    head = made()
    moved = made()
    own, feature_F = head.biases, one[0, 0]
    moved.biases.b[...] = own.b[...] + feature_F @ own.u_b[...]
    moved.biases.c[...] = own.c[...] + feature_F @ own.u_c[...]
    got = moved.nats(jnp.zeros((1, F)), frames[:1, 0])
    np.testing.assert_allclose(head.nats(one[:1, 0], frames[:1, 0]), got, rtol=1e-12)


def test_gradients_equal_central_differences(x64: None) -> None:
    frames = RANDOM.integers(0, 2, (3, D)).astype(float)
    parameters = 2 * D * H + (F + 1) * (D + H)
    assert_slopes(made(), RANDOM.normal(size=(3, F)), frames, parameters)


def test_draws_have_the_probabilities_of_the_head(x64: None) -> None:
    head, count = made(), 40_000
    feature_F = RANDOM.normal(size=F)
    features = jnp.broadcast_to(jnp.asarray(feature_F), (count, F))
    drawn = np.asarray(head.draw(features, jax.random.key(5)))
    frames_NxD = all_bits(D)
    p_N = np.exp(-np.asarray(head.nats(features[: len(frames_NxD)], jnp.asarray(frames_NxD))))
    assert_drawn(drawn, p_N)
    likeliest = np.asarray(head.draw(features[:1], jax.random.key(5), 0.0))[0]
    for i in range(D):
        other = np.where(np.arange(D) == i, 1 - likeliest, likeliest)
        assert by_loop(head, feature_F, likeliest)[i] > by_loop(head, feature_F, other)[i]
    flat = np.asarray(head.draw(features, jax.random.key(6), 1e9))
    assert np.max(np.abs(flat.mean(0) - 0.5)) < 0.02


def test_scores_are_nats_a_valid_frame_and_the_accuracy_of_drawn_frames(x64: None) -> None:
    head = made()
    features = jnp.asarray(RANDOM.normal(size=(4, 3, F)))
    frames = jnp.asarray(RANDOM.integers(0, 2, (4, 3, D)), float)
    lengths = jnp.asarray([4, 1, 2], jnp.int32)
    batch = Batch(features, frames, lengths)
    found = head.scores(features, batch, jax.random.key(1))
    drawn = np.asarray(head.draw(features, jax.random.key(1)))
    sums = np.zeros(3)
    means = []
    for b, length in enumerate([4, 1, 2]):
        nats = [-by_loop(head, features[t, b], frames[t, b]).sum() for t in range(length)]
        means.append(np.mean(nats))
        hits, true = drawn[:length, b] > 0, np.asarray(frames)[:length, b] > 0
        sums += [sum(nats), np.sum(hits & true), np.sum(hits | true)]
    assert float(found["loss"].mean()) == pytest.approx(sums[0] / 7, rel=1e-12)
    assert float(found["loss_per_sequence"].mean()) == pytest.approx(np.mean(means), rel=1e-12)
    assert float(found["accuracy"].mean()) == pytest.approx(sums[1] / sums[2], rel=1e-12)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("adding/rnn", "targets must be 0 or 1, and those of task 'adding' have"),
        ("copy_memory/rnn", "targets must be 0 or 1"),
        ("parity/rnn", r"the targets are int32 \(7,\), and this head predicts frames of bits"),
        ("ntm_copy/rnn", "expected 'wrong_bits' among them: task 'ntm_copy' needs it"),
        ("pattern_recall/hopfield", "hopfield is a whole network without a head"),
    ],
)
def test_what_it_cannot_score_is_said_in_one_line(name: str, text: str) -> None:
    with pytest.raises(UsageError, match=text) as said:
        make_plan(finish(experiment(name, "nade")), data_dir=None, chunk_steps=2)
    assert "\n" not in str(said.value)


def test_a_bad_option() -> None:
    with pytest.raises(UsageError, match=r"config.head.hidden_size must be at least 1, not 0"):
        nade(F, D, jax.random.key(0), hidden_size=0)


def test_it_is_compared_with_the_tasks_baselines_and_draws_frames() -> None:
    plan = music_plan("nade", head__hidden_size=6)
    assert not plan.own_units
    assert plan.baseline == plan.recipe.task.baseline
    assert plan.params["readout"]["w"].shape == (88, 6)  # head.hidden_size, not the cell's
    model: Any = plan.recipe.model(plan.params)
    draw = head_draw(model, 1.0)
    assert draw is not None
    drawn = draw(jax.random.key(0), jnp.zeros((2, 5)))
    assert drawn.shape == (2, 88)
    assert set(np.unique(drawn)) == {0, 1}


@pytest.mark.usefixtures("own_tables")
def test_a_run_is_scored_beside_the_baseline_and_writes_music(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = train_and_sample("nade", tmp_path, capsys, hidden_size=9)
    assert "for comparison: loss" in printed
    assert "accuracy" in printed
