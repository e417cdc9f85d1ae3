"""Piano-roll tasks hold every sequence once; their baselines are those of the collections."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Batch
from rnnexp.data.polyphonic import PianoRolls
from rnnexp.tasks import music
from rnnexp.tasks.base import Bucketed, Task
from tests.helpers.data_files import data_or_skip
from tests.helpers.piano_rolls import random_rolls

FACTORIES = {
    "JSB_Chorales": music.jsb_chorales,
    "Nottingham": music.nottingham,
    "MuseData": music.musedata,
    "Piano_midi": music.piano_midi,
}


# Nats a frame, counted from the files by another program: Markov pooled, Markov by sequence,
# marginal pooled
ANCHORS = {
    "JSB_Chorales": (10.491, 10.489, 11.091),
    "Nottingham": (5.153, 5.195, 10.261),
    "MuseData": (8.559, 8.194, 11.515),
    "Piano_midi": (8.265, 8.587, 11.052),
}


def batches(source: object) -> list[Batch]:
    """All sequences of a source, a bucket at a time."""
    assert isinstance(source, Bucketed)
    return [
        jax.jit(source.take)(b.arrays, jnp.arange(b.size, dtype=jnp.int32)) for b in source.buckets
    ]


def hand_averages(rolls: PianoRolls, *, silence_first: bool) -> tuple[float, float]:
    """Markov losses of the test split, pooled and by sequence, counted in plain loops."""
    train, test = (
        [[[0] * 88, *r.tolist()] if silence_first else r.tolist() for r in split]
        for split in (rolls.train, rolls.test)
    )
    counts = np.full((88, 2, 2), 0.5)
    for roll in train:
        for before, after in itertools.pairwise(roll):
            for note in range(88):
                counts[note, before[note], after[note]] += 1
    losses = [
        [
            -sum(
                math.log(counts[n, before[n], after[n]] / counts[n, before[n]].sum())
                for n in range(88)
            )
            for before, after in itertools.pairwise(roll)
        ]
        for roll in test
    ]
    pooled = sum(map(sum, losses)) / sum(map(len, losses))
    return pooled, sum(sum(row) / len(row) for row in losses) / len(losses)


@pytest.mark.parametrize("first_step", music.FIRST_STEPS)
def test_the_baseline_is_counted_right(first_step: str) -> None:
    rolls = random_rolls()
    task = music.music_task("t", rolls, first_step)
    expected = hand_averages(rolls, silence_first=first_step == "predicted")
    np.testing.assert_allclose(list(task.baseline.values()), expected, rtol=1e-12)
    assert list(task.baseline) == ["loss", "loss_per_sequence"]
    assert task.references["loss of probability 1/2 for every note"] == 88 * math.log(2)


def model_scores(task: Task, p_2x88: np.ndarray) -> dict[str, float]:
    """Test scores of a network that knows the previous frame alone, and babbles in padding."""
    logit = jnp.asarray(np.log(p_2x88) - np.log1p(-p_2x88))
    parts = []
    for batch in batches(task.test):
        steps, size, _ = batch.inputs_TxBxI.shape
        one, two = (jnp.broadcast_to(row, (steps, size, 88)) for row in logit)
        logits = jnp.where(batch.inputs_TxBxI > 0, two, one)
        assert batch.lengths_B is not None
        valid = jnp.arange(steps, dtype=jnp.int32)[:, None, None] < batch.lengths_B[None, :, None]
        babble = jnp.full_like(logits, 1e6)
        parts.append(
            task.scores(jnp.where(jnp.broadcast_to(valid, logits.shape), logits, babble), batch)
        )
    return {
        name: float(sum(p[name].total_B.sum() for p in parts))
        / float(sum(p[name].count_B.sum() for p in parts))
        for name in parts[0]
    }


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("first_step", music.FIRST_STEPS)
def test_a_network_that_is_the_baseline_scores_the_baseline(first_step: str) -> None:
    rolls = random_rolls()
    task = music.music_task("t", rolls, first_step)
    if first_step == "predicted":
        rolls = PianoRolls(*(tuple(np.pad(r, ((1, 0), (0, 0))) for r in s) for s in rolls))
    found = model_scores(task, music.note_transitions(rolls.train))
    for name, value in found.items():
        np.testing.assert_allclose(value, task.baseline[name], rtol=1e-12)
    marginal = model_scores(task, music.note_marginals(rolls.train))["loss"]
    np.testing.assert_allclose(marginal, task.references["loss of per-note marginals"], rtol=1e-12)


@pytest.mark.parametrize("first_step", music.FIRST_STEPS)
def test_every_sequence_is_in_a_bucket_once_and_shifted_by_one_step(first_step: str) -> None:
    rolls = random_rolls()
    task = music.music_task("t", rolls, first_step)
    longest = 0
    for source, split in ((task.train, rolls.train), (task.valid, rolls.valid)):
        left = [roll.tolist() for roll in split]
        for batch in batches(source):
            assert batch.lengths_B is not None
            longest = max(longest, len(batch.targets))
            for b, length in enumerate(batch.lengths_B.tolist()):
                inputs = np.asarray(batch.inputs_TxBxI[:length, b])
                targets = np.asarray(batch.targets[:length, b])
                np.testing.assert_array_equal(inputs[1:], targets[:-1])
                first = [] if first_step == "predicted" else [inputs[0].tolist()]
                assert first_step == "skipped" or not inputs[0].any()
                left.remove([*first, *targets.tolist()])
        assert left == []
    assert task.num_steps == longest == (19 if first_step == "skipped" else 20)


def test_the_first_step_is_skipped_or_predicted() -> None:
    with pytest.raises(UsageError, match=r"unknown option 'first_step' 'skip'\. Did you mean 'ski"):
        music.music_task("t", random_rolls(), "skip")


@pytest.mark.parametrize("name", FACTORIES)
def test_baselines_and_padding_of_the_collections(name: str) -> None:
    task = FACTORIES[name](data_dir=data_or_skip(f"polyphonic/{name}.mat"))
    pooled, by_sequence, marginal = ANCHORS[name]
    assert round(task.baseline["loss"], 3) == pooled
    assert round(task.baseline["loss_per_sequence"], 3) == by_sequence
    assert round(task.references["loss of per-note marginals"], 3) == marginal
    for source in (task.train, task.valid, task.test):
        assert isinstance(source, Bucketed)
        assert len(source.buckets) <= 8
        padded = sum(bucket.size * bucket.steps for bucket in source.buckets)
        assert 1 - sum(int(b.arrays[1].sum()) for b in source.buckets) / padded < 0.2


NOTE_1_GRAM = {"Piano_midi": 11.05, "Nottingham": 10.25, "MuseData": 11.51, "JSB_Chorales": 11.06}
"""Boulanger-Lewandowski et al. 2012, Table 1: nats a frame, pooled, the first frame included."""


@pytest.mark.parametrize("name", FACTORIES)
def test_per_note_marginals_are_the_row_note_1_gram_of_table_1(name: str) -> None:
    """So losses with `first_step="predicted"` may be put beside that table."""
    data_dir = data_or_skip(f"polyphonic/{name}.mat")
    task = FACTORIES[name](first_step="predicted", data_dir=data_dir)
    assert round(task.references["loss of per-note marginals"], 2) == NOTE_1_GRAM[name]
    skipped = FACTORIES[name](data_dir=data_dir).references["loss of per-note marginals"]
    assert skipped != task.references["loss of per-note marginals"]
