"""What heads over frames of bits share: their biases, their scores, what they can score at all.

A frame is the vector of bits that one step predicts, such as the 88 notes of a piano roll.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Key
from rnnexp.tasks.base import Score
from rnnexp.tasks.scores import once, over_steps, per_sequence


class Biases(nnx.Module):
    """Visible and hidden biases, affine in the features: b = b_0 + f U_b and c = c_0 + f U_c.

    U_b (F, D) and U_c (F, H) start Glorot uniform, b_0 and c_0 with 0.
    """

    def __init__(self, feature_size: int, output_size: int, hidden_size: int, key: Key):
        key_b, key_c = jax.random.split(key)
        self.u_b = matrix(key_b, feature_size, output_size)
        self.u_c = matrix(key_c, feature_size, hidden_size)
        self.b = nnx.Param(jnp.zeros(output_size))
        self.c = nnx.Param(jnp.zeros(hidden_size))

    def __call__(self, features: Array) -> tuple[Array, Array]:
        """b (N, D) and c (N, H) of features (..., F), the leading axes as one."""
        f_NxF = features.reshape(-1, features.shape[-1])
        b_NxD = f_NxF @ self.u_b[...] + self.b[...][None]
        return b_NxD, f_NxF @ self.u_c[...] + self.c[...][None]


def matrix(key: Key, rows: int, columns: int) -> nnx.Param[Array]:
    """A matrix of parameters, Glorot uniform, in the default float type."""
    dtype = jax.dtypes.canonicalize_dtype(float)
    return nnx.Param(nnx.initializers.glorot_uniform()(key, (rows, columns), dtype))


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
