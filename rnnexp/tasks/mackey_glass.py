"""Mackey-Glass: predict a chaotic series with delay, one step ahead or running free.

    x'(t) = 0.2 x(t - tau) / (1 + x(t - tau)^10) - 0.1 x(t)

Mackey & Glass 1977, "Oscillation and chaos in physiological control systems"; as a test
of prediction Jaeger & Haas 2004, "Harnessing nonlinearity". Inputs are x_t at unit times,
targets x_{t+1}. NRMSE is sqrt(nmse). The last 100 steps of an evaluation have no teacher,
and `free_nmse` is over these alone. As x_t is still the input, a network predicts from its
own outputs only with `feedback_only=True`, where the inputs are 0.

The integration is the method of steps: over one delay the feedback term is a known
function of time, F, and the rest is linear, so that exactly

    x(t + s) = e^{-0.1 s} x(t) + integral over r from 0 to s of e^{-0.1 (s - r)} F(t + r)

The integral is that of the cubic through the four nearest points of a grid of step 0.2,
error O(step^4): one matrix product a delay. Halving the step changes the first 100 samples
by less than 1e-6 in float64; float32 adds up to 3e-6. Every sequence has a constant
history of random level, and starts at a random time after a transient of 2000.

The best predictor without memory has no closed form. The baseline is the mean, whose loss
is the variance of the series (nmse = 1); a reference is the input as the answer, as
neighbouring samples are alike. Both are measured constants.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch, Key
from rnnexp.tasks.base import Endless, Score, Task, one_length
from rnnexp.tasks.scores import over_steps

GAIN, DECAY, POWER = 0.2, 0.1, 10
GRID = 5
"""Points of the integration in a unit of time."""
TRANSIENT, SPREAD = 2000, 500
"""Sequences start at a time drawn from [TRANSIENT, TRANSIENT + SPREAD)."""
LEVELS = (0.5, 1.3)
FREE_STEPS = 100
VARIANCE = {17: 0.0511, 30: 0.0787}
"""By tau, over time and sequences."""
REPEATING = {17: 0.0213, 30: 0.0117}
"""By tau: E[(x_{t+1} - x_t)^2] / variance."""
CUBIC = ((9, 19, -5, 1), (-1, 13, 13, -1), (1, -5, 19, 9))
"""24 times the integral over the first, middle, last of three steps, from the four points."""


def mackey_glass(*, tau: int = 17, length_steps: int = 200, feedback_only: bool = False) -> Task:
    """Predict the next sample of the series of delay `tau` (17 or 30), the last 100 free.

    Args:
      tau: the delay; 17 is mildly chaotic, 30 strongly.
      length_steps: steps of a sequence, in training and evaluation, above 100.
      feedback_only: all inputs are 0; only networks whose output (the teacher's while there
        is one) is fed back see the series.

    Raises `UsageError` for another tau or length.
    """
    if tau not in VARIANCE:
        raise UsageError(f"tau must be 17 or 30, not {tau}")
    if length_steps <= FREE_STEPS:
        raise UsageError(
            f"length_steps must be above {FREE_STEPS} (the free steps), not {length_steps}"
        )
    variance = VARIANCE[tau]
    visible = 0.0 if feedback_only else 1.0
    source = Endless(lambda key, batch_size: draw(key, batch_size, length_steps, tau, visible))
    return Task(
        name="mackey_glass",
        mode="synchronous",
        input_size=1,
        output_size=1,
        num_steps=length_steps,
        train=source,
        valid=source,
        test=source,
        scores=scorer(variance),
        baseline={"loss": variance, "nmse": 1.0, "free_nmse": 1.0},
        headline="free_nmse" if feedback_only else "nmse",
        higher_is_better=False,
        causal=True,
        references={"nmse of the input as the answer": REPEATING[tau]},
        teacher=lambda batch: batch.targets,
        forced_steps=length_steps - FREE_STEPS,
        lengths=one_length(
            "steps",
            length_steps,
            lambda n: mackey_glass(tau=tau, length_steps=n, feedback_only=feedback_only),
        ),
    )


def draw(key: Key, batch_size: int, length_steps: int, tau: int, visible: float) -> Batch:
    """Samples x_t times `visible`, and x_{t+1}, both (T, B, 1)."""
    key_level, key_start = jax.random.split(key)
    low, high = LEVELS
    level_B = jax.random.uniform(key_level, (batch_size,), minval=low, maxval=high)
    history_MxB = jnp.broadcast_to(level_B[None], (tau * GRID + 1, batch_size))
    units = TRANSIENT + SPREAD + length_steps
    series_TxB = simulate(history_MxB, tau=tau, units=units)
    start_B = jax.random.randint(
        key_start, (batch_size,), TRANSIENT, TRANSIENT + SPREAD, dtype=jnp.int32
    )
    window_TxB = start_B[None] + jnp.arange(length_steps + 1, dtype=jnp.int32)[:, None]
    x_TxBx1 = jnp.take_along_axis(series_TxB, window_TxB, 0)[..., None]
    return Batch(visible * x_TxBx1[:-1], x_TxBx1[1:])


def simulate(history_MxB: Array, *, tau: int, units: int, grid: int = GRID) -> Array:
    """The series (units, B) at times 1, 2, ... after a history on [-tau, 0].

    Args:
      history_MxB: M = tau * grid + 1 values, 1 / grid apart, both ends included.
    """
    dtype = history_MxB.dtype
    matrix = jnp.asarray(integrals(tau, grid), dtype)
    fading_Mx1 = jnp.asarray(np.exp(-DECAY * times(tau, grid)[1:, None]), dtype)

    def body(x_MxB: Array, _: None) -> tuple[Array, Array]:
        feedback_MxB = GAIN * x_MxB / (1 + x_MxB**POWER)
        driven_MxB = jnp.matmul(matrix, feedback_MxB, precision=jax.lax.Precision.HIGHEST)
        new_MxB = fading_Mx1 * x_MxB[-1:] + driven_MxB
        return jnp.concatenate([x_MxB[-1:], new_MxB]), new_MxB[grid - 1 :: grid]

    delays = -(-units // tau)
    _, samples = jax.lax.scan(body, history_MxB, length=delays)
    return samples.reshape(delays * tau, -1)[:units]


def times(tau: int, grid: int) -> np.ndarray:
    """The grid on [0, tau], both ends included."""
    points: np.ndarray = np.arange(tau * grid + 1) / grid
    return points


def integrals(tau: int, grid: int) -> np.ndarray:
    """The matrix from F on the grid to its decaying integrals up to each later point."""
    steps = tau * grid
    increments = np.zeros((steps, steps + 1))
    for step in range(steps):
        first = min(max(step - 1, 0), steps - 3)
        increments[step, first : first + 4] = np.array(CUBIC[step - first]) / (24 * grid)
    t = times(tau, grid)
    summed: np.ndarray = np.cumsum(increments, 0) * np.exp(-DECAY * (t[1:, None] - t[None, :]))
    return summed


def scorer(variance: float) -> Callable[[Array, Batch], dict[str, Score]]:
    """The squared error, its ratio to the variance, and that over the last 100 steps."""

    def scores(outputs_TxBx1: Array, batch: Batch) -> dict[str, Score]:
        error_TxB = jnp.square(outputs_TxBx1 - batch.targets)[..., 0]
        return {
            "loss": over_steps(error_TxB),
            "nmse": over_steps(error_TxB / variance),
            "free_nmse": over_steps(error_TxB[-FREE_STEPS:] / variance),
        }

    return scores
