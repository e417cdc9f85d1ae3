"""Polyphonic music: predict the notes of the next frame of a piano roll.

Boulanger-Lewandowski, Bengio & Vincent 2012; Chung, Gulcehre, Cho & Bengio 2014,
"Empirical evaluation of gated recurrent neural networks on sequence modeling". The
loss of a step is the negative log-likelihood of its frame, in nats summed over the 88
notes, each an independent Bernoulli variable given the past.

Papers differ on two points, which matter more than the cell. Averages: "loss" pools all
valid steps of a split, "loss_per_sequence" is the mean over sequences of each one's mean.
First frame: `first_step` is "skipped" (not scored, as nothing precedes it) or "predicted"
(from a silent frame before it).
"""

import math
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import optax

from rnnexp.core.errors import require_choice
from rnnexp.core.types import Array, Batch, Tree
from rnnexp.data.buckets import group_by_length
from rnnexp.data.polyphonic import NOTES, PianoRolls, load
from rnnexp.tasks.base import Bucket, Bucketed, Score, Task
from rnnexp.tasks.scores import over_steps, per_sequence

FIRST_STEPS = ("skipped", "predicted")
PRIOR_COUNT = 0.5
"""Added to either count of a Bernoulli baseline (Jeffreys' prior)."""


def jsb_chorales(*, first_step: str = "skipped", data_dir: Path | None = None) -> Task:
    """Bach's chorales, in quarter notes: 229 / 76 / 77 sequences of 25 to 160 frames.

    Args:
      first_step: skipped (the first frame is not scored) or predicted (after a silent frame).
    """
    return music_task("jsb_chorales", load("JSB_Chorales", data_dir), first_step)


def nottingham(*, first_step: str = "skipped", data_dir: Path | None = None) -> Task:
    """Folk tunes with chords: 694 / 173 / 170 sequences of 40 to 1,793 frames.

    Args:
      first_step: skipped (the first frame is not scored) or predicted (after a silent frame).
    """
    return music_task("nottingham", load("Nottingham", data_dir), first_step)


def musedata(*, first_step: str = "skipped", data_dir: Path | None = None) -> Task:
    """Orchestral and piano music: 524 / 135 / 124 sequences of 9 to 4,273 frames.

    Args:
      first_step: skipped (the first frame is not scored) or predicted (after a silent frame).
    """
    return music_task("musedata", load("MuseData", data_dir), first_step)


def piano_midi(*, first_step: str = "skipped", data_dir: Path | None = None) -> Task:
    """Classical piano music: 87 / 12 / 25 sequences of 65 to 3,857 frames.

    Args:
      first_step: skipped (the first frame is not scored) or predicted (after a silent frame).
    """
    return music_task("piano_midi", load("Piano_midi", data_dir), first_step)


def music_task(name: str, rolls: PianoRolls, first_step: str) -> Task:
    """Next-frame prediction on any piano rolls.

    The baseline is a two-state Markov chain per note, fitted on the training set, scored
    on the test set. It sees one note of one frame; a network without memory sees all 88
    and may do better. Raises `UsageError` if `first_step` is unknown.
    """
    require_choice("option 'first_step'", first_step, FIRST_STEPS)
    if first_step == "predicted":
        silence = ((1, 0), (0, 0))
        rolls = PianoRolls(*(tuple(np.pad(roll, silence) for roll in split) for split in rolls))
    train, valid, test = (bucketed(split) for split in rolls)
    buckets = (*train.buckets, *valid.buckets, *test.buckets)
    return Task(
        name=name,
        mode="synchronous",
        input_size=NOTES,
        output_size=NOTES,
        num_steps=max(bucket.steps for bucket in buckets),
        train=train,
        valid=valid,
        test=test,
        scores=scores,
        baseline=_averages(rolls.test, note_transitions(rolls.train)),
        headline="loss",
        higher_is_better=False,
        causal=True,
        references={
            "loss of probability 1/2 for every note": NOTES * math.log(2),
            "loss of per-note marginals": _averages(rolls.test, note_marginals(rolls.train))[
                "loss"
            ],
        },
    )


def bucketed(rolls: tuple[np.ndarray, ...]) -> Bucketed:
    """Sequences on the device, each with one step fewer than frames."""
    steps_N = np.array([len(roll) - 1 for roll in rolls])
    buckets = []
    for members in group_by_length(steps_N).members:
        steps = int(steps_N[members].max())
        frames_NxTxI = np.zeros((len(members), steps + 1, NOTES), np.uint8)
        for row, index in enumerate(members):
            frames_NxTxI[row, : len(rolls[index])] = rolls[index]
        arrays = (jnp.asarray(frames_NxTxI), jnp.asarray(steps_N[members], jnp.int32))
        buckets.append(Bucket(arrays, len(members), steps))
    return Bucketed(tuple(buckets), take)


def take(arrays: Tree, indices_B: Array) -> Batch:
    """Frames as inputs (T, B, 88), the frames that follow them as targets."""
    frames_NxTxI, steps_N = arrays
    frames_TxBxI = jnp.swapaxes(frames_NxTxI[indices_B], 0, 1).astype(float)
    return Batch(frames_TxBxI[:-1], frames_TxBxI[1:], steps_N[indices_B])


def scores(logits_TxBxO: Array, batch: Batch) -> dict[str, Score]:
    """Negative log-likelihood in nats a frame: pooled over steps, and averaged by sequence."""
    loss_TxB = jnp.sum(optax.sigmoid_binary_cross_entropy(logits_TxBxO, batch.targets), -1)
    return {
        "loss": over_steps(loss_TxB, batch.lengths_B),
        "loss_per_sequence": per_sequence(loss_TxB, batch.lengths_B),
    }


def note_transitions(rolls: tuple[np.ndarray, ...]) -> np.ndarray:
    """(2, 88): probability that a note sounds, given that it was silent (row 0) or not (row 1)."""
    before = np.concatenate([roll[:-1] for roll in rolls])
    after = np.concatenate([roll[1:] for roll in rolls])
    was_on, stays_on = before.sum(0, int), (before & after).sum(0, int)
    times = np.stack([len(before) - was_on, was_on])
    sounds = np.stack([after.sum(0, int) - stays_on, stays_on])
    probability: np.ndarray = (sounds + PRIOR_COUNT) / (times + 2 * PRIOR_COUNT)
    return probability


def note_marginals(rolls: tuple[np.ndarray, ...]) -> np.ndarray:
    """(2, 88), in the form of `note_transitions`: how often a note sounds at all."""
    after = np.concatenate([roll[1:] for roll in rolls])
    probability = (after.sum(0, int) + PRIOR_COUNT) / (len(after) + 2 * PRIOR_COUNT)
    return np.stack([probability, probability])


def _averages(rolls: tuple[np.ndarray, ...], probability_2xI: np.ndarray) -> dict[str, float]:
    """Both averages of the loss of a predictor that knows the previous frame alone."""
    losses = []
    for roll in rolls:
        probability_TxI = np.where(roll[:-1], probability_2xI[1], probability_2xI[0])
        losses.append(-np.log(np.where(roll[1:], probability_TxI, 1 - probability_TxI)).sum(1))
    return {
        "loss": float(np.mean(np.concatenate(losses))),
        "loss_per_sequence": float(np.mean([np.mean(loss_T) for loss_T in losses])),
    }
