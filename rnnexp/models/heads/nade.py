"""NADE: an exact distribution of a frame's bits, one after the other, given the features.

p(v) = prod_i p(v_i | v_1 .. v_{i-1}), with a hidden layer that all conditionals share:

    h_i = sigmoid(c + sum_{j < i} v_j W_j),    p(v_i = 1 | ...) = sigmoid(b_i + V_i . h_i)

Larochelle & Murray 2011, "The neural autoregressive distribution estimator". The biases are
affine in the features, b = b_0 + f U_b and c = c_0 + f U_c: over a recurrent cell this is the
RNN-NADE of Boulanger-Lewandowski et al. 2012. The sums of all units need one pass over them,
O(D H) a frame.

Sizes: D bits, H hidden units, F features. Start: W, V, U_b and U_c Glorot uniform, biases 0.
Parameters: 2 D H + (F + 1) (D + H).
"""

import math

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch, Key, State, Tree
from rnnexp.models.heads.frames import (
    Biases,
    frame_accuracy,
    frame_nats,
    matrix,
    require_frames,
)
from rnnexp.scan.remat import in_segments
from rnnexp.tasks.base import Score


class Nade(nnx.Module):
    """The head; see the top of the file."""

    same_units = True
    binary = True

    def __init__(self, feature_size: int, output_size: int, hidden_size: int, key: Key):
        self.size = output_size
        key_w, key_v, key_biases = jax.random.split(key, 3)
        self.w = matrix(key_w, output_size, hidden_size)
        self.v = matrix(key_v, output_size, hidden_size)
        self.biases = Biases(feature_size, output_size, hidden_size, key_biases)

    def logits(self, features: Array, frames: Array) -> Array:
        """Logits of every bit of frames (..., D) given the true bits before it, (..., D)."""
        b_NxD, c_NxH = self.biases(features)
        v_NxD = frames.reshape(-1, self.size)
        return conditionals(self.w[...], self.v[...], b_NxD, c_NxH, v_NxD).reshape(frames.shape)

    def nats(self, features: Array, frames: Array) -> Array:
        """-ln p of frames (..., D) given features (..., F): (...,)."""
        bits: Array = optax.sigmoid_binary_cross_entropy(self.logits(features, frames), frames)
        return jnp.sum(bits, -1)

    def draw(self, features: Array, key: Key, temperature: float = 1.0) -> Array:
        """Frames (..., D) drawn given features (..., F), bit by bit.

        The temperature divides the logits; at 0 a bit is 1 where its probability is above 1/2.
        """
        b_NxD, c_NxH = self.biases(features)
        drawn_NxD = drawn_in_turn(self.w[...], self.v[...], b_NxD, c_NxH, key, temperature)
        return drawn_NxD.reshape(*features.shape[:-1], self.size)

    def scores(self, features: Array, batch: Batch, key: Key) -> dict[str, Score]:
        """Nats a frame as in music tasks, and `accuracy` of one drawn frame a step."""
        require_frames(batch.targets, features, self.size)
        found = frame_nats(self.nats(features, batch.targets), batch.lengths_B)
        drawn = self.draw(features, key)
        return {**found, "accuracy": frame_accuracy(drawn, batch.targets, batch.lengths_B)}


def conditionals(
    w_DxH: Array, v_DxH: Array, b_NxD: Array, c_NxH: Array, frames_NxD: Array
) -> Array:
    """Logits (N, D) of every bit given the frame's bits before it.

    The backward pass recomputes segments of about sqrt(D) units: it keeps O(sqrt(D)) sums (N, H).
    """

    def unit(sums: State, row: tuple[Array, ...]) -> tuple[State, Array]:
        w_H, v_H, b_N, bit_N = row
        logit_N = b_N + jax.nn.sigmoid(sums["c"]) @ v_H
        return {"c": sums["c"] + bit_N[:, None] * w_H[None]}, logit_N

    def run(sums: State, rows: Tree) -> tuple[State, Array]:
        return jax.lax.scan(unit, sums, rows)

    rows = (w_DxH, v_DxH, b_NxD.T, frames_NxD.T)
    logits_DxN: Array = in_segments(run, {"c": c_NxH}, rows, math.isqrt(len(w_DxH)))[1]
    return logits_DxN.T


def drawn_in_turn(
    w_DxH: Array, v_DxH: Array, b_NxD: Array, c_NxH: Array, key: Key, temperature: float = 1.0
) -> Array:
    """Frames (N, D) of 0 and 1, every bit drawn given those drawn before it."""

    def unit(sum_NxH: Array, row: tuple[Array, ...]) -> tuple[Array, Array]:
        w_H, v_H, b_N, uniform_N = row
        logit_N = b_N + jax.nn.sigmoid(sum_NxH) @ v_H
        if temperature == 0:
            on_N = logit_N > 0
        else:
            on_N = uniform_N < jax.nn.sigmoid(logit_N / temperature)
        bit_N = on_N.astype(sum_NxH.dtype)
        return sum_NxH + bit_N[:, None] * w_H[None], bit_N

    uniform_DxN = jax.random.uniform(key, b_NxD.T.shape, b_NxD.dtype)
    bits_DxN: Array = jax.lax.scan(unit, c_NxH, (w_DxH, v_DxH, b_NxD.T, uniform_DxN))[1]
    return bits_DxN.T


def nade(feature_size: int, output_size: int, key: Key, *, hidden_size: int = 100) -> Nade:
    """The NADE head.

    Args:
      hidden_size: hidden units of the conditionals.

    Raises `UsageError` for a bad option.
    """
    if hidden_size < 1:
        raise UsageError(f"config.head.hidden_size must be at least 1, not {hidden_size}")
    return Nade(feature_size, output_size, hidden_size, key)
