"""What a training step minimises, where that is not the mean of the task's loss.

`config.loss.name` names a loss of `rnnexp.learning`, `config.loss.reduction` how its values become
one number. The task's own loss stays `loss` in every record, with the baseline in its units, and
selects the best checkpoint if it is the headline. What is minimised stands beside it as
`objective`; recorded adjoints are those of the objective.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import FrozenConfigDict

from rnnexp.config.choices import keywords
from rnnexp.config.schema import flat
from rnnexp.core.errors import UsageError, require_choice
from rnnexp.core.registry import GRAPH_MODES, TO_ONE
from rnnexp.core.types import Array, Batch
from rnnexp.learning import LOSSES
from rnnexp.learning.losses import Loss
from rnnexp.tasks.base import Score, Task
from rnnexp.tasks.scores import once
from rnnexp.train.abstract_call import Entry

REDUCTIONS = ("mean", "sum")
"""`mean`: over all steps that count of all examples of a batch; `sum`: over the steps of an
example, then the mean over the examples."""
NAME = "objective"
"""Of the score that is minimised, among those of a batch."""


class Objective(NamedTuple):
    """What is minimised: the loss that is in place of the task's (None: the task's), and whether
    its values are summed over an example's steps."""

    loss: Loss | None
    summed: bool

    def score(
        self, task: Task, scored: Mapping[str, Score], outputs: Array, batch: Batch
    ) -> dict[str, Score]:
        """The score that is minimised, by its name.

        Args:
          scored: the scores of the batch, of which "loss" is the task's.
        """
        found = scored["loss"]
        if self.loss is not None:
            found = self._own(self.loss, task, outputs, batch)
        return {NAME: once(found.total_B) if self.summed else found}

    def _own(self, loss: Loss, task: Task, outputs: Array, batch: Batch) -> Score:
        mask = counted(task, outputs, batch)
        values = loss(outputs, batch.targets, mask)
        if values.shape != mask.shape:  # one an example
            return once(values)
        kept = jnp.where(mask, values, jnp.zeros_like(values))
        if task.mode in TO_ONE:
            return Score(kept, mask.astype(values.dtype))
        return Score(jnp.sum(kept, 0), jnp.sum(mask.astype(values.dtype), 0))


def minimised(means: Mapping[str, Array]) -> Array:
    """The mean that is minimised, of all means of a batch."""
    return means.get(NAME, means["loss"])


def counted(task: Task, outputs: Array, batch: Batch) -> Array:
    """Whether the task's own loss depends on an output, (B,) or (T, B).

    The derivative of the loss says so, at outputs that are random, so that it is 0 nowhere else.
    """

    def total(outputs: Array) -> Array:
        return jnp.sum(task.scores(outputs, batch)["loss"].total_B)

    anywhere = jax.random.normal(jax.random.key(0), outputs.shape, outputs.dtype)
    return jnp.any(jax.grad(total)(anywhere) != 0, axis=-1)


def objective_of(config: FrozenConfigDict) -> Objective | None:
    """The objective of a configuration; None for the mean of the task's loss.

    Raises `UsageError` for an unknown loss or reduction, or an option that a factory refuses.
    """
    require_choice("config.loss.reduction", config.loss.reduction, REDUCTIONS)
    name = config.loss.name
    given = keywords("loss.name", name, flat(config))
    loss = Entry("loss", name).make(LOSSES.entry(name).factory(), **given)
    summed = config.loss.reduction == "sum"
    if name == "default":
        return Objective(None, summed) if summed else None
    if not callable(loss):
        missing = "; is a `return` missing?" if loss is None else ""
        raise UsageError(
            f"loss {name!r}: the factory gives {loss!r}, expected a function (outputs, targets, "
            f"counted) -> values{missing}"
        )
    return Objective(loss, summed)


def require_task(name: str, task: Task, *, scores_itself: bool) -> None:
    """Raise `UsageError` unless a loss other than the task's can be put in its place."""
    why = ""
    if scores_itself:
        why = "the head or the cell of this run scores itself"
    elif task.mode in GRAPH_MODES:
        why = f"{task.name} is {task.mode}, and what its outputs are is known to its own loss alone"
    if why:
        raise UsageError(f"config.loss.name={name}: {why}; leave it at 'default'")
