"""Exponential rate and half-life of a profile ||dL/dh_t|| over the lag T - 1 - t of step t."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnexp.core.types import Array
from rnnexp.gradflow.adjoints import Profile
from rnnexp.models.stack import Unit


class Decay(NamedTuple):
    """How a gradient norm changes with the lag.

    Attributes:
      slope: least-squares slope of ln(norm) over the lag, in nats per step. Negative:
        vanishing; positive: exploding. NaN with fewer than two usable lags.
      half_life: steps after which the norm halves, ln 2 / -slope; inf without decay.
      zero_lags: how many lags have a norm of exactly 0 (no gradient, or underflow); the fit
        leaves them out.
    """

    slope: Array
    half_life: Array
    zero_lags: Array


def fit_decay(norms_T: Array) -> Decay:
    """Fit ln(norm) = a + slope * lag over all lags with a finite, non-zero norm."""
    steps = norms_T.shape[0]
    lag_T = jnp.arange(steps - 1, -1, -1).astype(norms_T.dtype)
    usable_T = jnp.isfinite(norms_T) & (norms_T > 0)
    log_T = jnp.log(jnp.where(usable_T, norms_T, jnp.ones_like(norms_T)))
    weight_T = usable_T.astype(norms_T.dtype)
    count = jnp.maximum(jnp.sum(weight_T), 1.0)
    lag_T = (lag_T - jnp.sum(weight_T * lag_T) / count) * weight_T
    log_T = (log_T - jnp.sum(weight_T * log_T) / count) * weight_T
    spread = jnp.sum(lag_T * lag_T)
    slope = jnp.sum(lag_T * log_T) / jnp.where(spread > 0, spread, jnp.nan)
    half_life = jnp.where(slope < 0, jnp.log(2.0) / -slope, jnp.inf)
    half_life = jnp.where(jnp.isnan(slope), jnp.nan, half_life)
    return Decay(slope, half_life, jnp.sum(norms_T == 0))


def decay_scalars(units: Sequence[Unit], profiles: Sequence[Profile]) -> dict[str, Array]:
    """Slope, half-life and zero lags of every profile: `slope/layer_0/h` and so on.

    A backward unit ends at the sequence's first step, so its lags count from there.
    """
    ordered: dict[int, dict[str, Array]] = {}  # by number of steps, for one fit of each
    for unit, profile in zip(units, profiles, strict=True):
        for leaf, norms_T in profile.items():
            named = ordered.setdefault(norms_T.shape[0], {})
            named[f"{unit.name}/{leaf}"] = norms_T[::-1] if unit.backward else norms_T
    scalars: dict[str, Array] = {}
    for named in ordered.values():
        decays = jax.vmap(fit_decay)(jnp.stack(list(named.values())))
        for figure, values in decays._asdict().items():
            scalars |= {f"{figure}/{of}": value for of, value in zip(named, values, strict=True)}
    return scalars


def stack_profiles(profiles: Sequence[Profile], steps: int) -> dict[str, Array]:
    """Profiles of all units as (L, T) by leaf, shorter ones zero-padded in front."""

    def padded(norms_T: Array) -> Array:
        return jnp.pad(norms_T, (steps - norms_T.shape[0], 0))

    return {leaf: jnp.stack([padded(p[leaf]) for p in profiles]) for leaf in profiles[0]}
