"""What a trained memory network attends to: its weights on the sentences of a story, hop by hop."""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.core.errors import UsageError
from rnnexp.core.masking import states_before
from rnnexp.core.types import Array, Batch
from rnnexp.gradflow.position_losses import apply
from rnnexp.models.forward import EVALUATION
from rnnexp.models.sequence import SequenceModel
from rnnexp.run.sample import Trained, load_trained
from rnnexp.scan.step import over_batch, prepare_batch
from rnnexp.scan.unroll import Trajectory
from rnnexp.tasks.base import Endless, Finite
from rnnexp.tasks.batches import evaluation_batch, source_arrays, source_size, stream_keys


class Attended(NamedTuple):
    """A question of a task and how a network answers it.

    Attributes:
      axis: of the network's steps.
      sentences: of the story, the oldest first.
      answer, given: the right answer, and the network's.
      chance: the probability that the network gives the right answer.
      weights_KxM: of each step, on each sentence.
      empty_K: of each step, on all empty slots of the memory together; None without them.
    """

    axis: str
    sentences: list[str]
    question: str
    answer: str
    given: str
    chance: float
    weights_KxM: np.ndarray
    empty_K: np.ndarray | None


def attended(path: Path, example: int = 0, data_dir: Path | None = None) -> Attended:
    """How the best checkpoint of a run (its last if there is no best) answers a test question.

    Args:
      path: the run's directory.
      example: the question's number in the test set, from 0; tasks that draw theirs have any.
      data_dir: where to look for data files first.

    Raises:
      UsageError: the cell has no attention or the task no stories, there is no such example or no
        checkpoint, or the code or data is no longer that with which the run was made.
    """
    trained = load_trained(path, data_dir, with_data=True)
    task, model = trained.plan.recipe.task, trained.model
    unit = model.units()[0]
    if not isinstance(model, SequenceModel) or unit.layer.cell.attention is None:
        raise UsageError(f"{path}: the cell {unit.layer.cell.name} attends to no sentences")
    if task.words is None:
        raise UsageError(f"{path}: {task.name} has no stories in words")
    batch = _example(trained, example)
    got = apply(model, batch, EVALUATION._replace(keep_states=True))
    chances = np.asarray(jax.nn.softmax(got.outputs[0]))
    answer = int(batch.targets[0])
    present = np.asarray(batch.context["story"][0, :, 0]) > 0
    weights = np.asarray(_weights(model, got.trajectories[0]))[:, 0]
    return Attended(
        unit.layer.cell.axis,
        [_text(task.words, row) for row in np.asarray(batch.context["story"][0])[present]],
        _text(task.words, np.asarray(batch.context["question"][0])),
        task.words[answer],
        task.words[int(np.argmax(chances))],
        float(chances[answer]),
        weights[:, : len(present)][:, present],
        weights[:, -1] if weights.shape[1] > len(present) else None,
    )


def _example(trained: Trained, number: int) -> Batch:
    """The test example of that number, as a batch of one."""
    task = trained.plan.recipe.task
    source, size = task.test, source_size(task.test)
    if number < 0 or (size is not None and number >= size):
        last = "on" if size is None else f"to {size - 1:,}"
        raise UsageError(f"example {number:,}: the test set of {task.name} has those from 0 {last}")
    if not isinstance(source, Endless | Finite):
        raise UsageError(f"{task.name} has no test questions one by one")
    key = stream_keys(trained.plan.config.seed)["test"]
    return evaluation_batch(source, source_arrays(source), key, jnp.array(number), 1, number + 1)[0]


def _weights(model: SequenceModel, seen: Trajectory) -> Array:
    """The weights of every step, (K, B, M) or (K, B, M + 1)."""
    layer = model.units()[0].layer
    params = prepare_batch(layer.cell, layer.params(), seen.context)
    attention = layer.cell.attention
    assert attention is not None
    before = states_before(seen.start, seen.states)
    weights: Array = jax.vmap(lambda state: over_batch(attention)(params, state))(before)
    return weights


def _text(words: tuple[str, ...], numbers: np.ndarray) -> str:
    """The words of these numbers but for the filling."""
    return " ".join(words[number] for number in numbers.tolist() if number)
