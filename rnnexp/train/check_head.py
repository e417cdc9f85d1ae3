"""Checks that a head keeps the contract of `rnnexp.models.heads`, on shapes alone.

So are the scores of a cell that is a whole network and scores itself.
"""

from collections.abc import Iterable
from typing import Any

import jax
import numpy as np
from flax import nnx

from rnnexp.core.types import Batch
from rnnexp.models.scoring import head_scores
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.transduction import Transducer
from rnnexp.tasks.base import Score, Task
from rnnexp.tasks.batches import batch_shapes, first_batch, source_size
from rnnexp.train.abstract_call import Entry, array, described, is_real, key_shape
from rnnexp.train.check_scores import require_scores

BATCH_SIZE = 7


def check_head(name: str, model: SequenceModel | Transducer, task: Task) -> None:
    """Check the head of a model, whose arrays may be shapes.

    Raises `UsageError` in one line that names the head, what it gives and what is expected.
    """
    if isinstance(model, Transducer):
        return
    if not model.reads:
        _check_network(model, task)
        return
    entry = Entry("head", name)
    if not isinstance(model.readout, nnx.Module):
        raise entry.error(
            "the factory", f"gives {described(model.readout)}, expected a flax.nnx.Module"
        )
    batch = batch_shapes(task.train, BATCH_SIZE)
    leading = (BATCH_SIZE,) if model.to_one else (batch.inputs_TxBxI.shape[0], BATCH_SIZE)
    features = array(*leading, model.stack.output_size)
    if getattr(model.readout, "binary", False):
        require_bits(entry, task)
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
    evaluated = hasattr(model.readout, "evaluation_scores")
    for name in ("scores", "evaluation_scores") if evaluated else ("scores",):

        def scores(state: Any, features: Any, batch: Batch, key: Any, name: str = name) -> Any:
            return getattr(nnx.merge(graphdef, state), name)(features, batch, key)

        found = entry.call(
            name, scores, state=state, features=features, batch=batch, key=key_shape()
        )
        _check_found(entry, name, model, task, found, batch)


def _check_found(
    entry: Entry, function: str, model: SequenceModel, task: Task, found: Any, batch: Batch
) -> None:
    """What scores of a head are."""
    require_scores(entry, found, batch.inputs_TxBxI.shape[1])
    wanted = ["loss", task.headline]
    if getattr(model.readout, "same_units", False):  # whatever the task reports, it then gives
        wanted += task.baseline
    _require_names(entry, function, task, found, wanted)


def _require_names(
    entry: Entry, function: str, task: Task, found: Any, wanted: Iterable[str]
) -> None:
    """Raise `UsageError` for a score that the task needs and the function does not give."""
    for name in wanted:
        if name not in found:
            raise entry.error(
                function,
                f"gives {', '.join(found) or 'nothing'}, expected {name!r} among them: task "
                f"{task.name!r} needs it",
            )


def _check_network(model: SequenceModel, task: Task) -> None:
    """The scores of a cell that is the whole network, and scores itself, are as a head's."""
    cell = model.units()[0].layer.cell
    entry = Entry("cell", cell.name)
    if cell.binary:
        require_bits(entry, task)
    batch = batch_shapes(task.train, BATCH_SIZE)
    params = jax.eval_shape(cell.init, key_shape())
    for function in ("scores", "evaluation_scores"):
        if (scores := getattr(cell, function)) is None:
            continue
        found = entry.call(
            function, scores, params=params, outputs=array(BATCH_SIZE, cell.output_size),
            targets=batch.targets, key=key_shape(),
        )  # fmt: skip
        require_scores(entry, {k: Score(v, v) for k, v in found.items()}, BATCH_SIZE)
        _require_names(entry, function, task, found, ("loss", task.headline))


def require_bits(entry: Entry, task: Task) -> None:
    """Raise `UsageError` unless the targets of the first batch are all 0 or 1."""
    size = min(BATCH_SIZE, source_size(task.train) or BATCH_SIZE)
    targets = np.asarray(first_batch(task.train, jax.random.key(0), size).targets)
    others = targets[(targets != 0) & (targets != 1)]
    if others.size:
        raise entry.error(
            "targets",
            f"must be 0 or 1, and those of task {task.name!r} have {others.flat[0]:g}",
        )
