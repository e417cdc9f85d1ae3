"""Lyapunov spectrum of a cell: the mean growth rates of small perturbations of its state.

The exponents are the rates, in nats per step, at which the singular values of the product of
Jacobians ... J_2 J_1 of the *full* state grow (c and h of an LSTM, every tap of a delay line).
A largest exponent above 0 means chaos and exploding gradients; far below 0, forgetting and
vanishing gradients. Those of a driven cell depend on its inputs.

    inputs = jax.random.normal(jax.random.key(1), (2000, 8, cell.input_size))
    spectrum = lyapunov_spectrum(cell, params, inputs, warmup_steps=500, key=jax.random.key(0))
    trusted(spectrum)  # which exponents have converged

The warm-up is for two things: the state has to reach its attractor, and the tangent
vectors have to turn into the directions that belong to the exponents. An exponent of
-inf means that a direction is lost at a certain step for good: a delay line forgets its
oldest entry, a relu is off, or a tanh is so saturated that its slope is exactly 0 in
the precision at hand (float64 tells slopes that float32 rounds to 0). A counter in the
state (`t` of the clockwork cell) has the exponent 0; `leave_out=("t",)` takes it out.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell
from rnnexp.core.errors import UsageError, require_at_least
from rnnexp.core.types import Array, Key, Params, State
from rnnexp.gradflow.tangent_scan import free_directions
from rnnexp.laboratory import tangent_vectors
from rnnexp.laboratory.tangent_vectors import TangentGrowth, TangentSchedule
from rnnexp.scan.unroll import initial_state

TOLERANCE = 0.01  # nats per step


class Spectrum(NamedTuple):
    """Lyapunov exponents, largest first, and what is needed to trust them.

    Attributes:
      exponents_K: nats per step, the mean over time and trajectories.
      error_K: standard error of that mean, nats per step; 0 where the exponent is -inf.
        The larger of two estimates: from up to 16 blocks of time, averaged over the
        trajectories (valid if blocks are longer than the correlation time), and from the
        trajectories, averaged over time (valid if they are independent).
      kaplan_yorke: the dimension that `kaplan_yorke` returns; with fewer exponents than
        the state has coordinates, a lower bound if it equals their number.
      drift_K: mean over the later half of the blocks minus that over the earlier half,
        nats per step; 0 where the exponent is -inf.
      lost_K: fraction of the re-orthogonalisations in which the vector's own growth lay
        below rounding. Above 0 the exponent is uncertain, above 1/2 it is given as -inf
        (as for a Jacobian of low rank); float64 or a shorter interval can tell more.
    """

    exponents_K: Array
    error_K: Array
    kaplan_yorke: Array
    drift_K: Array
    lost_K: Array


def lyapunov_spectrum(
    cell: Cell,
    params: Params,
    x_TxBxI: Array,
    *,
    count: int | None = None,
    warmup_steps: int,
    interval_steps: int = 1,
    key: Key,
    start: State | None = None,
    leave_out: Sequence[str] = (),
) -> Spectrum:
    """The largest `count` exponents of a cell along B trajectories driven by inputs.

    Args:
      count: how many; None: as many as the flattened state has coordinates.
      warmup_steps: steps at the start that are not counted; up to `interval_steps` - 1
        more where the rest is not a multiple of it.
      interval_steps: steps between re-orthogonalisations. The exponents do not depend
        on it unless rounding hides all but the first vectors (`lost_K` above 0): the
        difference of two exponents times this number must stay well below -ln(eps), 36
        nats in float64 and 16 in float32. (Half as much again counts as -inf.)
      start: the state before the first step, leaves (B, ...); None: the cell's initial state.
      leave_out: leaves of the state along which no tangent vector starts.

    Raises `UsageError` for inputs of a wrong width, `count` or `leave_out` that the state does
    not have, or too few steps after the warm-up.
    """
    if x_TxBxI.ndim != 3 or x_TxBxI.shape[2] != cell.input_size or not x_TxBxI.shape[1]:
        raise UsageError(
            f"inputs must have the shape (T, B, {cell.input_size}), not {x_TxBxI.shape}"
        )
    steps, batch_size, _ = x_TxBxI.shape
    start = initial_state(cell, params, batch_size) if start is None else start
    plan = tangent_vectors.schedule(steps, warmup_steps, interval_steps)
    return _spectrum(cell, params, start, x_TxBxI, key, plan, count, leave_out)


def autonomous_spectrum(
    cell: Cell,
    params: Params,
    *,
    steps: int,
    batch_size: int,
    warmup_steps: int,
    key: Key,
    input_I: Array | None = None,
    start: State | None = None,
    start_scale: float = 1.0,
    count: int | None = None,
    interval_steps: int = 1,
    leave_out: Sequence[str] = (),
) -> Spectrum:
    """The exponents of a cell with the same input at every step.

    Args:
      steps: T, with the warm-up.
      batch_size: B, trajectories; that of `start`, if given.
      input_I: that input; None: zeros.
      start: the state before the first step, leaves (B, ...). None: the initial state plus
        Gaussian noise of deviation `start_scale` on the cell's probed leaves.

    The other arguments, and errors, are those of `lyapunov_spectrum`.
    """
    require_at_least(1, batch_size=batch_size)
    key_start, key_tangent = jax.random.split(key)
    if start is None:
        start = random_start(cell, params, batch_size, start_scale, key_start)
    if input_I is None:
        input_I = jnp.zeros(cell.input_size, start[cell.hidden].dtype)
    if input_I.shape != (cell.input_size,):
        raise UsageError(f"input_I must have the shape ({cell.input_size},), not {input_I.shape}")
    plan = tangent_vectors.schedule(steps, warmup_steps, interval_steps)
    return _spectrum(cell, params, start, input_I, key_tangent, plan, count, leave_out)


def kaplan_yorke(exponents_K: Array, zero: float = 0.0) -> Array:
    """The Kaplan-Yorke dimension, k + (l_1 + ... + l_k) / |l_{k+1}|.

    k is the largest number of exponents, from the largest on, whose sum is not negative: 0
    if the largest is negative, K (all) if no sum is. Kaplan & Yorke 1979, "Chaotic behavior of
    multidimensional difference equations". Exponents of any order; magnitudes up to `zero`
    count as 0.
    """
    ordered_K = -jnp.sort(-jnp.where(jnp.abs(exponents_K) <= zero, 0.0, exponents_K))
    sums_K = jnp.cumsum(ordered_K)
    k = jnp.sum(sums_K >= 0)
    size = exponents_K.shape[0]
    before = jnp.where(k > 0, sums_K[jnp.maximum(k - 1, 0)], 0.0)
    following = jnp.where(k < size, ordered_K[jnp.minimum(k, size - 1)], -jnp.inf)
    dimension = k.astype(sums_K.dtype) + before / jnp.abs(following)
    return jnp.where(jnp.any(jnp.isnan(exponents_K)), jnp.nan, dimension)


def trusted(spectrum: Spectrum, tolerance: float = TOLERANCE) -> Array:
    """Which exponents are known to within `tolerance` (nats per step), (K,) of bool.

    The standard error is at most the tolerance; the halves of the blocks differ by at
    most the tolerance or by two standard errors of their difference, which are four of
    the mean; and no vector was lost in rounding. False for NaN.
    """
    drift_K = jnp.abs(spectrum.drift_K)
    settled_K = (drift_K <= tolerance) | (drift_K <= 4.0 * spectrum.error_K)
    return (spectrum.error_K <= tolerance) & settled_K & (spectrum.lost_K == 0)


def random_start(cell: Cell, params: Params, batch_size: int, scale: float, key: Key) -> State:
    """The initial state with noise on the probed leaves (not on counters and copies)."""
    start = dict(initial_state(cell, params, batch_size))
    for leaf, part in zip(cell.probed, jax.random.split(key, len(cell.probed)), strict=True):
        noise = jax.random.normal(part, start[leaf].shape, start[leaf].dtype)
        start[leaf] = start[leaf] + scale * noise
    return start


def _spectrum(
    cell: Cell,
    params: Params,
    start: State,
    inputs: Array,
    key: Key,
    plan: TangentSchedule,
    count: int | None,
    leave_out: Sequence[str],
) -> Spectrum:
    """The spectrum; code that does not depend on the cell is compiled separately, once."""
    free_S = free_directions(cell, params, leave_out)
    count = tangent_vectors.resolve_count(free_S, count)
    batch_size, dtype = start[cell.hidden].shape[0], start[cell.hidden].dtype
    vectors = tangent_vectors.first_tangents(key, free_S, batch_size, count, dtype)
    growth = tangent_vectors.tangent_growth(cell, params, start, vectors, inputs, plan)
    return Spectrum(*_summarise(growth))


@jax.jit
def _summarise(growth: TangentGrowth) -> Spectrum:
    """Means, errors and drifts of the growth, ordered by the means."""
    rates_GxBxK, weights_G, lost_K = growth
    blocks, batch_size, count = rates_GxBxK.shape
    weights_Gx1 = weights_G[:, None]
    mean_K = jnp.sum(weights_Gx1 * jnp.mean(rates_GxBxK, 1), 0)
    lost_K = jnp.where(jnp.isneginf(mean_K), 0.0, lost_K)
    mean_K = jnp.where(lost_K > 0.5, -jnp.inf, mean_K)
    # a difference of two -inf would be NaN
    gone_K = jnp.isneginf(mean_K)
    rates_GxBxK = jnp.where(gone_K[None, None], 0.0, rates_GxBxK)
    centre_1xK = jnp.where(gone_K, 0.0, mean_K)[None]
    by_block_GxK = jnp.mean(rates_GxBxK, 1)
    by_trajectory_BxK = jnp.sum(weights_Gx1[..., None] * rates_GxBxK, 0)
    square_K = jnp.sum(weights_Gx1 * (by_block_GxK - centre_1xK) ** 2, 0) / (blocks - 1)
    if batch_size > 1:
        between_K = jnp.mean((by_trajectory_BxK - centre_1xK) ** 2, 0) / (batch_size - 1)
        square_K = jnp.maximum(square_K, between_K)
    half = blocks // 2
    early, late = (
        jnp.sum(weights_Gx1[part] * by_block_GxK[part], 0) / jnp.sum(weights_G[part])
        for part in (slice(None, half), slice(half, None))
    )
    order_K = jnp.argsort(-mean_K)
    rounding = 8.0 * count**0.5 * float(jnp.finfo(mean_K.dtype).eps)
    return Spectrum(
        mean_K[order_K],
        jnp.sqrt(square_K)[order_K],
        kaplan_yorke(mean_K, rounding),
        (late - early)[order_K],
        lost_K[order_K],
    )
