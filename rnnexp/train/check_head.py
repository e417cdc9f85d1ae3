"""Checks that a head keeps the contract of `rnnexp.models.heads`, on shapes alone."""

from typing import Any

from flax import nnx

from rnnexp.core.types import Batch
from rnnexp.models.scoring import head_scores
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.transduction import Transducer
from rnnexp.tasks.base import Task
from rnnexp.tasks.batches import batch_shapes
from rnnexp.train.abstract_call import Entry, array, described, is_real, key_shape
from rnnexp.train.check_scores import require_scores

BATCH_SIZE = 7


def check_head(name: str, model: SequenceModel | Transducer, task: Task) -> None:
    """Check the head of a model, whose arrays may be shapes.

    Raises `UsageError` in one line that names the head, what it gives and what is expected.
    """
    if isinstance(model, Transducer) or not model.reads:
        return
    entry = Entry("head", name)
    if not isinstance(model.readout, nnx.Module):
        raise entry.error(
            "the factory", f"gives {described(model.readout)}, expected a flax.nnx.Module"
        )
    batch = batch_shapes(task.train, BATCH_SIZE)
    leading = (BATCH_SIZE,) if model.to_one else (batch.inputs_TxBxI.shape[0], BATCH_SIZE)
    features = array(*leading, model.stack.output_size)
    if head_scores(model) is not None:
        _check_scores(entry, model, task, features, batch)
        return
    graphdef, state = nnx.split(model.readout)
    outputs = entry.call(
        "__call__",
        lambda state, features: nnx.merge(graphdef, state)(features),
        state=state,
        features=features,
    )
    expected = (*leading, task.output_size)
    if getattr(outputs, "shape", None) != expected or not is_real(outputs):
        raise entry.error(
            "__call__",
            f"gives {described(outputs)}, expected floats of shape {expected}: the outputs of "
            f"task {task.name!r} for features {features.shape}",
        )


def _check_scores(
    entry: Entry, model: SequenceModel, task: Task, features: Any, batch: Batch
) -> None:
    """Scores of a head are totals and counts of every example, the loss and the headline too."""
    graphdef, state = nnx.split(model.readout)

    def scores(state: Any, features: Any, batch: Batch, key: Any) -> Any:
        return nnx.merge(graphdef, state).scores(features, batch, key)

    found = entry.call(
        "scores", scores, state=state, features=features, batch=batch, key=key_shape()
    )
    require_scores(entry, found, batch.inputs_TxBxI.shape[1])
    for wanted in ("loss", task.headline):
        if wanted not in found:
            raise entry.error(
                "scores",
                f"gives {', '.join(found) or 'nothing'}, expected {wanted!r} among them: task "
                f"{task.name!r} needs it",
            )
