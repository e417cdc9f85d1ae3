"""Who scores a model's outputs: its task, or its head."""

from collections.abc import Callable, Mapping
from typing import Any

import jax

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch, Key
from rnnexp.models.generate import Draw
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.transduction import Transducer
from rnnexp.tasks.base import Score

Scores = Callable[[Array, Batch], Mapping[str, Score]]
"""The scores of a batch; "loss" is trained."""


def scores_of(
    model: SequenceModel | Transducer, task_scores: Scores, key: Key | None = None
) -> Scores:
    """`(outputs, batch) -> {name: Score}` of a model: the task's, or those of its head.

    Args:
      key: for what a head has to draw; None: a fixed one.
    """
    own = head_scores(model)
    if own is None:
        return task_scores
    drawn = jax.random.key(0) if key is None else key
    return lambda features, batch: own(features, batch, drawn)


def head_draw(model: SequenceModel, temperature: float) -> Draw | None:
    """How a head that scores itself draws the next inputs; None of any other.

    Raises `UsageError` if it has no draws.
    """
    if not model.head_scores:
        return None
    if not hasattr(model.readout, "draw"):
        raise UsageError("the head scores itself and draws nothing: it has no function `draw`")
    draw: Callable[..., Array] = model.readout.draw
    return lambda key, features_BxF: draw(features_BxF, key, temperature)


def head_scores(model: SequenceModel | Transducer) -> Callable[..., Any] | None:
    """The scores of a head that scores itself; None of any other."""
    if isinstance(model, Transducer) or not model.head_scores:
        return None
    scores: Callable[..., Any] = model.readout.scores
    return scores
