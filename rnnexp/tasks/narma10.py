"""NARMA10: a nonlinear autoregressive moving average of order 10.

    y_{t+1} = 0.3 y_t + 0.05 y_t (y_t + ... + y_{t-9}) + 1.5 u_{t-9} u_t + 0.1

Atiya & Parlos 2000, "New results on recurrent network training"; u is U[0, 0.5]. Inputs
are u_t, targets y_{t+1}, everything before the first step is 0. The first `WARMUP` steps,
in which y settles, are not scored. NRMSE is sqrt(nmse).

The system is unstable: above y = 1 it tends to diverge. A sequence with y > 1 is discarded
and drawn again, so the distribution is that under the condition y <= 1. Of 200 steps this
affects 0.3% of the sequences (0.06% reach infinity), of 1,000 steps 1.7%.

Given u_t alone, y_{t+1} has the mean E[y] + 1.5 E[u] (u_t - E[u]), since u_t is independent
of the past (the condition changes this by less than 1%). The best predictor without memory
thus scores var(y) - (3/8)^2 / 48. E[y] and var(y) are measured over 10^6 sequences; always
answering E[y] scores var(y), nmse = 1.
"""

import jax
import jax.numpy as jnp

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch, Key
from rnnexp.tasks.base import Endless, Score, Task, one_length
from rnnexp.tasks.scores import over_steps

ORDER = 10
WARMUP = 50
LIMIT = 1.0
MEAN, VARIANCE = 0.3880, 0.01177
SLOPE = 1.5 / 4
"""1.5 E[u]: the mean change of y_{t+1} by u_t."""
MEMORYLESS = VARIANCE - SLOPE**2 * 0.5**2 / 12


def narma10(*, length_steps: int = 200) -> Task:
    """Follow the system over `length_steps`, of which the first 50 are not scored.

    Args:
      length_steps: steps of a sequence, above 50.

    Raises `UsageError` unless there are steps to score.
    """
    if length_steps <= WARMUP:
        raise UsageError(f"length_steps must be above {WARMUP} (warm-up), not {length_steps}")
    source = Endless(lambda key, batch_size: draw(key, batch_size, length_steps))
    return Task(
        name="narma10",
        mode="synchronous",
        input_size=1,
        output_size=1,
        num_steps=length_steps,
        train=source,
        valid=source,
        test=source,
        scores=scores,
        baseline={"loss": MEMORYLESS, "nmse": MEMORYLESS / VARIANCE},
        headline="nmse",
        higher_is_better=False,
        causal=False,
        references={"nmse of the mean": 1.0},
        teacher=lambda batch: batch.targets,
        lengths=one_length("steps", length_steps, lambda n: narma10(length_steps=n)),
    )


def draw(key: Key, batch_size: int, length_steps: int) -> Batch:
    """Inputs u_t and targets y_{t+1}, both (T, B, 1); sequences above the limit are redrawn."""

    def propose(key: Key) -> tuple[Array, Array]:
        u_TxB = jax.random.uniform(key, (length_steps, batch_size), maxval=0.5)
        return u_TxB, simulate(u_TxB)

    def redraw(carry: tuple[Key, Array, Array]) -> tuple[Key, Array, Array]:
        key, u_TxB, y_TxB = carry
        key, key_now = jax.random.split(key)
        keep_1xB = bounded(y_TxB)[None]
        new_u_TxB, new_y_TxB = propose(key_now)
        return (key, jnp.where(keep_1xB, u_TxB, new_u_TxB), jnp.where(keep_1xB, y_TxB, new_y_TxB))

    key, key_now = jax.random.split(key)
    first = (key, *propose(key_now))
    _, u_TxB, y_TxB = jax.lax.while_loop(lambda carry: ~jnp.all(bounded(carry[2])), redraw, first)
    return Batch(u_TxB[..., None], y_TxB[..., None])


def bounded(y_TxB: Array) -> Array:
    """Which sequences stay within the limit at every step, (B,); false for NaN."""
    return jnp.all(y_TxB <= LIMIT, 0)


def simulate(u_TxB: Array) -> Array:
    """The outputs y_1 ... y_T for the inputs u_0 ... u_{T-1}, from y = 0 and u = 0."""

    def body(past: tuple[Array, Array], u_B: Array) -> tuple[tuple[Array, Array], Array]:
        u_KxB, y_KxB = past  # the latest 10, oldest first
        u_KxB = jnp.concatenate([u_KxB[1:], u_B[None]])
        y_B = y_KxB[-1]
        new_B = 0.3 * y_B + 0.05 * y_B * jnp.sum(y_KxB, 0) + 1.5 * u_KxB[0] * u_B + 0.1
        return (u_KxB, jnp.concatenate([y_KxB[1:], new_B[None]])), new_B

    rest_KxB = jnp.zeros((ORDER, u_TxB.shape[1]), u_TxB.dtype)
    return jax.lax.scan(body, (rest_KxB, rest_KxB), u_TxB)[1]


def scores(outputs_TxBx1: Array, batch: Batch) -> dict[str, Score]:
    """The squared error after the warm-up, and its ratio to the variance."""
    error_TxB = jnp.square(outputs_TxBx1 - batch.targets)[WARMUP:, :, 0]
    return {"loss": over_steps(error_TxB), "nmse": over_steps(error_TxB / VARIANCE)}
