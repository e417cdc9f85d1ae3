"""Checks that scores are one an example, and keep the examples of a batch apart.

Outputs (B, 1) minus targets (B,) are (B, B): every example is compared with the targets of all,
and the sums have the right shape. Such a difference raises the rank of an operand, which
`rnnexp.train.check_task` sees on shapes. Only scores that do this are computed here, on random
numbers, and asked whether an example's depend on another's outputs or targets.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.core.registry import TO_ONE
from rnnexp.core.types import Array, Batch, Tree
from rnnexp.tasks.base import Score, Task
from rnnexp.train.abstract_call import Entry, described, is_real


def require_scores(entry: Entry, scores: Any, batch_size: int) -> None:
    """Raise `UsageError` unless scores, of a task or a head, are totals and counts by example."""
    if not isinstance(scores, Mapping):
        raise entry.error("scores", f"gives {described(scores)}, expected a dict of Score by name")
    for name, score in scores.items():
        if not isinstance(score, Score):
            raise entry.error("scores", f"gives {name} as {described(score)}, expected a Score")
        for field, value in score._asdict().items():
            minimised = (name, field) == ("loss", "total_B")
            numbers = is_real(value) or (not minimised and jnp.issubdtype(value.dtype, jnp.integer))
            if value.shape != (batch_size,) or not numbers:
                raise entry.error(
                    "scores",
                    f"gives {field} of {name} as {described(value)}, expected floats of shape "
                    f"({batch_size},), one an example",
                )


def mixed_score(task: Task, outputs: Any, batch: Batch) -> str:
    """The name of a score in which examples mix; empty if none is found.

    `outputs` and the fields of `batch` are shapes and types.
    """
    random = np.random.default_rng(0)
    axis = 0 if task.mode in TO_ONE else 1
    given: Batch = jax.tree.map(lambda like: _drawn(random, like), batch)
    for name, steps in (
        ("lengths_B", batch.inputs_TxBxI.shape[0]), ("target_lengths_B", task.target_steps)
    ):  # fmt: skip
        if (lengths_B := getattr(given, name)) is not None:
            given = given._replace(**{name: np.full_like(lengths_B, steps)})
    one = _drawn(random, outputs)

    @jax.jit
    def totals(outputs: Array, batch: Batch) -> Tree:
        return {name: score.total_B for name, score in task.scores(outputs, batch).items()}

    changed: Any = _first_changed(given.targets, axis, task.output_size)
    other = given._replace(targets=changed)
    before, after = totals(one, given), totals(_first_changed(one, axis, 0), other)
    names: list[str] = [*before]
    for name in names:
        if not np.allclose(before[name][1:], after[name][1:], rtol=1e-5, equal_nan=True):
            return name
    return ""


def _first_changed(values: Any, axis: int, classes: int) -> np.ndarray:
    """A copy in which the first example has other floats, or another class, if there are two."""
    changed = np.moveaxis(np.array(values), axis, 0)
    floats = jnp.issubdtype(changed.dtype, jnp.floating)
    changed[0] = -2.0 * changed[0] if floats else int(classes > 1)
    return np.moveaxis(changed, 0, axis)


def _drawn(random: np.random.Generator, like: Any) -> np.ndarray:
    """Random floats, or zeros of another type, which are classes that there are."""
    floats = jnp.issubdtype(like.dtype, jnp.floating)
    values = random.normal(size=like.shape) if floats else np.zeros(like.shape)
    return values.astype(like.dtype)
