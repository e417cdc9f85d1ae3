"""Checks that optimiser, schedule and loss keep the contracts of `rnnexp.learning`, on shapes.

And that validations have the score whose goal ends a run.
"""

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import FrozenConfigDict

from rnnexp.core.errors import UsageError, require_choice
from rnnexp.core.registry import TO_ONE
from rnnexp.core.tree import named_leaves
from rnnexp.core.types import Tree
from rnnexp.learning import LOSSES
from rnnexp.learning.losses import Loss
from rnnexp.models.scoring import own_scores
from rnnexp.tasks.base import Task
from rnnexp.tasks.batches import batch_shapes, first_batch, source_arrays, source_size
from rnnexp.train.abstract_call import Entry, array, described, is_real, key_shape
from rnnexp.train.evaluate import evaluate_function
from rnnexp.train.objective import counted, require_task
from rnnexp.train.optim import Hyper, optimizer, update_params
from rnnexp.train.program import Recipe

BATCH_SIZES = (7, 11, 13, 17)
"""Of the small batch: the first that is no other size of the task, so that axes differ."""


def check_parts(config: FrozenConfigDict, recipe: Recipe, params: Tree, hyper: Hyper) -> None:
    """Check the optimiser, the schedule, the loss and the goal of a run.

    Raises `UsageError` in one line that names the part, what it gives and what is expected.
    """
    _check_optimizer(recipe, params, hyper)
    _check_schedule(config.optimizer.schedule, recipe)
    if recipe.objective is not None and recipe.objective.loss is not None:
        itself = own_scores(recipe.model(params)) is not None
        check_loss(config.loss.name, recipe.objective.loss, recipe.task, scores_itself=itself)
    if config.early_stopping.goal:
        _check_goal(config, recipe, params)


def _check_goal(config: FrozenConfigDict, recipe: Recipe, params: Tree) -> None:
    """Validations have the score whose goal ends the run."""
    evaluate = evaluate_function(recipe, "valid", config.eval.batch_size, config.eval.examples)
    found = jax.eval_shape(evaluate, params, key_shape(), source_arrays(recipe.task.valid))
    require_choice("config.early_stopping.goal", config.early_stopping.goal, found)


def _check_optimizer(recipe: Recipe, params: Tree, hyper: Hyper) -> None:
    """Updates are like the parameters, and the state keeps its shapes and types."""
    entry = Entry("optimizer", recipe.optimizer)

    def init(params: Tree, hyper: Hyper) -> Tree:
        rate = hyper["learning_rate"]
        return optimizer(recipe.optimizer, hyper, rate, recipe.optimizer_options).init(params)

    def update(grads: Tree, state: Tree, params: Tree, hyper: Hyper) -> Tree:
        return update_params(
            recipe.optimizer, hyper, hyper["learning_rate"], grads, state, params,
            recipe.optimizer_options,
        )  # fmt: skip

    given = {"params": params, "hyper": dict(hyper)}
    before = entry.call("init", init, **given)
    updates, after = entry.call("update", update, grads=params, state=before, **given)
    _require_like(entry, "update gives updates", updates, params, "the parameters")
    _require_like(entry, "update gives a state", after, before, "the state before")


def _require_like(entry: Entry, what: str, found: Tree, wanted: Tree, whose: str) -> None:
    """Raise `UsageError` unless two trees have the same structure, shapes and types."""
    by_name, of_found = named_leaves(wanted), named_leaves(found)
    if by_name.keys() != of_found.keys():
        raise entry.error(what, f"with another structure than {whose}")
    for name, leaf in of_found.items():
        if (leaf.shape, leaf.dtype) != (by_name[name].shape, by_name[name].dtype):
            named = f"with {name} as" if name else "of"
            raise entry.error(
                what, f"{named} {described(leaf)}, expected {described(by_name[name])}"
            )


def _check_schedule(name: str, recipe: Recipe) -> None:
    """A factor is one number."""
    entry = Entry("schedule", name)
    factor = entry.call("the schedule", recipe.rate_factor, count=array(dtype=jnp.int32))
    if factor.shape != ():
        raise entry.error("the schedule", f"gives {described(factor)}, expected one number")


def check_loss(name: str, loss: Loss, task: Task, *, scores_itself: bool) -> None:
    """Check that a loss fits a task, and that its values are one an output or one an example.

    Raises `UsageError` in one line.
    """
    require_task(name, task, scores_itself=scores_itself)
    wanted = LOSSES.entry(name).targets
    if wanted is not None and wanted != (kind := targets_of(task)):
        rows = ((other, LOSSES.entry(other).targets) for other in LOSSES.names())
        fit = [other for other, targets in rows if targets in (None, kind)]
        raise UsageError(
            f"config.loss.name={name}: this loss is for {wanted}, and the targets of {task.name} "
            f"are {kind}; known for those: {', '.join(fit)}"
        )
    entry, others = Entry("loss", name), {task.num_steps, task.target_steps, task.output_size}
    size = next(size for size in BATCH_SIZES if size not in others)
    batch = batch_shapes(task.train, size)
    leading = (size,) if task.mode in TO_ONE else (batch.targets.shape[0], size)
    outputs = array(*leading, task.output_size)
    mask = jax.eval_shape(lambda outputs, batch: counted(task, outputs, batch), outputs, batch)
    values = entry.call("loss", loss, outputs=outputs, targets=batch.targets, counted=mask)
    if not hasattr(values, "shape") or not is_real(values):
        raise entry.error("loss", f"gives {described(values)}, expected an array of floats")
    if values.shape not in (leading, (size,)):
        one = f"{leading}, one an output" if len(leading) == 1 else f"{leading} or {(size,)}"
        raise entry.error(
            "loss",
            f"gives values of shape {values.shape}, expected {one}: outputs are {outputs.shape}, "
            f"targets {batch.targets.shape}",
        )


def targets_of(task: Task) -> str:
    """The kind of a task's targets, one of `rnnexp.core.registry.TARGETS`, from its first batch."""
    size = min(BATCH_SIZES[0], source_size(task.train) or BATCH_SIZES[0])
    targets = np.asarray(first_batch(task.train, jax.random.key(0), size).targets)
    if np.issubdtype(targets.dtype, np.integer):
        return "classes"
    return "bits" if np.all((targets == 0) | (targets == 1)) else "values"
