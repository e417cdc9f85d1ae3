"""Who scores a model's outputs: its task, its head, or a cell that is the whole network."""

from collections.abc import Callable, Mapping
from typing import Any

import jax

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch, Key
from rnnexp.models.generate import Draw
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.transduction import Transducer
from rnnexp.tasks.base import Score
from rnnexp.tasks.scores import once

Scores = Callable[[Array, Batch], Mapping[str, Score]]
"""The scores of a batch; "loss" is trained."""


def scores_of(
    model: SequenceModel | Transducer, task_scores: Scores, key: Key | None = None
) -> Scores:
    """`(outputs, batch) -> {name: Score}` of a model: the task's, or the model's own.

    Args:
      key: for what a head has to draw; None: a fixed one.
    """
    own = own_scores(model)
    if own is None:
        return task_scores
    drawn = jax.random.key(0) if key is None else key
    return lambda features, batch: own(features, batch, drawn)


def evaluation_scores_of(model: SequenceModel | Transducer, task_scores: Scores) -> Scores:
    """The scores of an evaluation: `scores_of` with a fixed key, or those that the head or cell has
    for evaluations."""
    own = own_scores(model, evaluation=True)
    if own is None:
        return task_scores
    return lambda features, batch: own(features, batch, jax.random.key(0))


def own_scores(
    model: SequenceModel | Transducer, *, evaluation: bool = False
) -> Callable[[Array, Batch, Key], Mapping[str, Score]] | None:
    """The scores of a head or a network that scores itself; None of any other."""
    layer = model.units()[0].layer
    if isinstance(model, Transducer) or model.reads or layer.cell.scores is None:
        return head_scores(model, evaluation=evaluation)
    found = layer.cell.scores
    if evaluation and layer.cell.evaluation_scores is not None:
        found = layer.cell.evaluation_scores

    def scores(outputs: Array, batch: Batch, key: Key) -> dict[str, Score]:
        own = found(layer.params(), outputs, batch.targets, key)
        return {name: once(value_B) for name, value_B in own.items()}

    return scores


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


def head_scores(
    model: SequenceModel | Transducer, *, evaluation: bool = False
) -> Callable[..., Any] | None:
    """The scores of a head that scores itself, in training or in an evaluation; None of any
    other."""
    if isinstance(model, Transducer) or not model.head_scores:
        return None
    scores: Callable[..., Any] = model.readout.scores
    return getattr(model.readout, "evaluation_scores", scores) if evaluation else scores
