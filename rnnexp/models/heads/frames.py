"""What heads over frames of bits share: their scores, and what they can score at all.

A frame is the vector of bits that one step predicts, such as the 88 notes of a piano roll.
"""

import jax.numpy as jnp
from flax import nnx

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array
from rnnexp.tasks.base import Score
from rnnexp.tasks.scores import once, over_steps, per_sequence

glorot = nnx.initializers.glorot_uniform()
"""The initialiser of the heads' matrices; their biases are 0."""


def require_frames(targets: Array, features: Array, size: int) -> None:
    """Raise `UsageError` unless targets are frames of so many numbers, one for every feature
    vector."""
    expected = (*features.shape[:-1], size)
    if targets.shape != expected or not jnp.issubdtype(targets.dtype, jnp.floating):
        raise UsageError(
            f"the targets are {targets.dtype} {targets.shape}, and this head predicts frames of "
            f"bits: floats {expected}, 0 or 1"
        )


def frame_nats(nats: Array, lengths_B: Array | None = None) -> dict[str, Score]:
    """Negative log-likelihoods of frames, (T, B) or (B,), as scores: pooled over valid steps, and
    averaged by sequence where there are steps."""
    if nats.ndim == 1:
        return {"loss": once(nats)}
    return {"loss": over_steps(nats, lengths_B), "loss_per_sequence": per_sequence(nats, lengths_B)}


def frame_accuracy(drawn: Array, targets: Array, lengths_B: Array | None = None) -> Score:
    """TP / (TP + FP + FN) of drawn frames, (T, B, O) or (B, O), pooled over all valid frames.

    Bay, Ehmann & Downie 2009, "Evaluation of multiple-F0 estimation and tracking systems", as in
    Boulanger-Lewandowski et al. 2012. With one draw a frame, both counts have the right mean.
    """
    right = jnp.sum(drawn * targets, -1)
    either = jnp.sum(jnp.maximum(drawn, targets), -1)
    if right.ndim == 1:
        return Score(right, either)
    return Score(over_steps(right, lengths_B).total_B, over_steps(either, lengths_B).total_B)
