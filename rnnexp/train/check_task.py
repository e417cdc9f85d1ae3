"""Checks that a task keeps the contract of `rnnexp.tasks.base`, on shapes alone.

Every source is asked for a small batch, and the scores for that batch, without computing any of
it. A batch of targets in another layout would broadcast against the outputs, and train.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from rnnexp.core.errors import UsageError
from rnnexp.core.registry import MODES, STEPWISE, TO_ONE
from rnnexp.core.types import Batch, Tree
from rnnexp.tasks.base import Bucketed, Endless, Finite, Source, Stream, Task
from rnnexp.train.abstract_call import (
    Entry,
    array,
    default_float,
    described,
    is_count,
    is_real,
    key_shape,
)
from rnnexp.train.check_scores import mixed_score, require_scores

SPLITS = ("train", "valid", "test")
NUMBERED = ("sequence_to_one", "synchronous", "asynchronous", "story_to_answer")
"""Modes whose inputs may be numbers of symbols."""
BATCH_SIZES = (16, 8, 24, 32, 48)
"""Of the small batch: the first that is no other size of the task, so that axes differ."""


def check_task(name: str, task: Any, modes: Sequence[str] = MODES) -> Task:
    """The task that a factory gave.

    Args:
      name: of the entry, for messages.
      task: what the factory gave.
      modes: of the entry.

    Raises `UsageError` in one line that names the entry, the function or field, what it gives
    and what the contract asks for.
    """
    entry = Entry("task", name)
    if not isinstance(task, Task):
        missing = "; is a `return` missing?" if task is None else ""
        raise entry.error("the factory", f"gives {described(task)}, expected a Task{missing}")
    _check_fields(entry, task, modes)
    others = {task.num_steps, task.target_steps, task.input_size, task.output_size}
    batch_size = next(size for size in BATCH_SIZES if size not in others)
    longest, scored = 0, set()
    sources = {id(getattr(task, split)): split for split in reversed(SPLITS)}
    for split in reversed(sources.values()):
        for where, batch, steps in _batches(entry, task, split, batch_size):
            _check_batch(entry, task, where, batch, (steps, batch_size))
            longest = max(longest, batch.inputs_TxBxI.shape[0])
            signature = str(jax.tree.map(described, batch._replace(inputs_TxBxI=None)))
            if signature not in scored:
                scored.add(signature)
                _check_scores(entry, task, where, batch, batch_size)
    if longest != task.num_steps:
        raise entry.error(
            "num_steps", f"is {task.num_steps}, expected {longest}, the steps of the longest batch"
        )
    return task


def _check_fields(entry: Entry, task: Task, modes: Sequence[str]) -> None:
    """The values of a task that are not functions."""
    if task.mode not in modes:
        raise entry.error(
            "mode", f"is {task.mode!r}, expected {' or '.join(modes)}, as it was registered"
        )
    for field in ("input_size", "output_size", "num_steps"):
        if not is_count(value := getattr(task, field)):
            raise entry.error(field, f"is {described(value)}, expected a whole number from 1 on")
    least = int(task.mode == "asynchronous")
    if not is_count(task.target_steps, least) or (task.target_steps and not least):
        expected = "the steps of the longest target, 1 or more" if least else "0"
        raise entry.error(
            "target_steps",
            f"is {described(task.target_steps)}, expected {expected}: the task is {task.mode}",
        )
    if not is_count(task.forced_steps, 0) or task.forced_steps > task.num_steps:
        raise entry.error(
            "forced_steps",
            f"is {described(task.forced_steps)}, expected 0 to num_steps = {task.num_steps}",
        )
    if task.mode == "one_to_many" and task.input_size <= task.output_size:
        raise entry.error(
            "input_size",
            f"is {task.input_size}, expected more than output_size = {task.output_size}: a step "
            "shows the vector, and the symbol before one-hot, as the task is one_to_many",
        )
    if not isinstance(task.headline, str):
        raise entry.error("headline", f"is {described(task.headline)}, expected a score's name")
    for field, size in (("alphabet", "output_size"), ("input_alphabet", "input_size")):
        _check_alphabet(entry, field, getattr(task, field), size, getattr(task, size))
    _check_words(entry, task)
    _check_figures(entry, task)
    for split in SPLITS:
        _check_source(entry, split, getattr(task, split))


def _check_alphabet(entry: Entry, field: str, value: Any, size_name: str, size: int) -> None:
    """An alphabet has a symbol for every class."""
    if value is None:
        return
    if not isinstance(value, str) or len(value) != size or len(set(value)) != size:
        raise entry.error(
            field,
            f"is {value!r}, expected {size} different characters, as {size_name} is {size}",
        )


def _check_words(entry: Entry, task: Task) -> None:
    """There is a word for every input, and for every class that is written."""
    for field, size_name in (("words", "input_size"), ("output_words", "output_size")):
        words, size = getattr(task, field), getattr(task, size_name)
        if words is not None and (not isinstance(words, tuple) or len(words) != size):
            raise entry.error(
                field, f"is {described(words)}, expected {size} texts, as {size_name} is {size}"
            )
    if task.output_words is not None and task.mode != "asynchronous":
        raise entry.error("output_words", f"is given, expected None: the task is {task.mode}")


def _check_figures(entry: Entry, task: Task) -> None:
    """The baseline and the references are numbers by name."""
    for field in ("baseline", "references"):
        value = getattr(task, field)
        if not isinstance(value, Mapping):
            raise entry.error(field, f"is {described(value)}, expected a dict of numbers by name")
        for name, figure in value.items():
            if not _is_number(figure):
                raise entry.error(
                    field, f"has {name!r} as {described(figure)}, expected a finite number"
                )
    if not task.baseline:
        raise entry.error(
            "baseline", "is empty, expected a score of the best predictor without memory, by name"
        )


def _is_number(value: Any) -> bool:
    try:
        return not isinstance(value, str) and math.isfinite(value)
    except (TypeError, ValueError):
        return False


def _check_source(entry: Entry, split: str, source: Any) -> None:
    """A source is one of the four kinds, with as many examples as it says."""
    if not isinstance(source, Source):
        kinds = "Endless, Finite, Bucketed or Stream"
        raise entry.error(split, f"is {described(source)}, expected {kinds}")
    parts = source.buckets if isinstance(source, Bucketed) else (source,)
    if not parts:
        raise entry.error(split, "has no bucket, expected one or more")
    for part in parts:
        if isinstance(part, Endless):
            continue
        if not is_count(part.size):
            raise entry.error(
                split, f"has size {described(part.size)}, expected a whole number from 1 on"
            )
        lengths = [length for leaf in jax.tree.leaves(part.arrays) for length in jnp.shape(leaf)]
        if lengths and max(lengths) < part.size and _clamps(source, part.arrays, max(lengths)):
            raise entry.error(
                split,
                f"has size {part.size}, expected at most {max(lengths)}, the longest axis of its "
                "arrays",
            )


def _clamps(source: Source, arrays: Tree, last: int) -> bool:
    """Whether a source gives the last example of its arrays again for an index beyond it.

    A source may have more examples than its arrays, if its `take` maps indices into them.
    """
    if not isinstance(source, Finite | Bucketed):
        return True
    within, beyond = (
        source.take(arrays, jnp.array([last - 1, index], jnp.int32)) for index in (last - 1, last)
    )
    same = jax.tree.map(lambda a, b: bool(jnp.array_equal(a, b)), within, beyond)
    return all(jax.tree.leaves(same))


def _batches(
    entry: Entry, task: Task, split: str, batch_size: int
) -> Iterator[tuple[str, Any, int | None]]:
    """The name of a source's function, a small batch from it, and its steps (None: free)."""
    source: Source = getattr(task, split)
    key, indices_B = key_shape(), array(batch_size, dtype=jnp.int32)
    take = f"{split}.take"
    match source:
        case Endless():
            draw = f"{split}.draw"
            yield draw, entry.call(draw, source.draw, key=key, batch_size=batch_size), None
            entry.check_key(draw, source.draw, batch_size, once=split != "train")
        case Finite():
            batch = entry.call(take, source.take, arrays=source.arrays, indices=indices_B)
            yield take, batch, None
            if source.augment is not None:
                _check_augment(entry, split, source, key, batch)
        case Bucketed():
            for bucket in source.buckets:
                batch = entry.call(take, source.take, arrays=bucket.arrays, indices=indices_B)
                yield take, batch, bucket.steps
        case Stream():
            positions = array(source.window_steps, batch_size, dtype=jnp.int32)
            batch = entry.call(take, source.take, arrays=source.arrays, positions=positions)
            yield take, batch, source.window_steps
            if isinstance(batch, Batch):  # an evaluation ends where the stream does
                lengths_B: Any = array(batch_size, dtype=jnp.int32)
                yield take, batch._replace(lengths_B=lengths_B), source.window_steps


def _check_augment(entry: Entry, split: str, source: Finite, key: Any, batch: Any) -> None:
    """An augmented batch has the shapes and types of the batch."""
    assert source.augment is not None
    where = f"{split}.augment"
    varied = entry.call(where, source.augment, key=key, batch=batch)
    if str(jax.tree.map(described, varied)) != str(jax.tree.map(described, batch)):
        raise entry.error(where, "gives another batch than it is given, expected its shapes")


def _check_batch(
    entry: Entry, task: Task, where: str, batch: Any, size: tuple[int | None, int]
) -> None:
    """A batch has the sizes of its task; `size` are its steps (None: any) and examples."""
    steps, batch_size = size
    if not isinstance(batch, Batch):
        raise entry.error(where, f"gives {described(batch)}, expected a rnnexp.core.types.Batch")
    x = batch.inputs_TxBxI
    for field in ("inputs_TxBxI", "targets", "lengths_B", "target_lengths_B"):
        value = getattr(batch, field)
        optional = field.endswith("lengths_B")
        if not (hasattr(value, "shape") or (optional and value is None)):
            raise entry.error(where, f"gives {field} as {described(value)}, expected an array")
    _check_inputs(entry, task, where, x, batch_size)
    if (wrong := _wrong_steps(task, batch, steps)) != "":
        raise entry.error(where, f"gives sequences of {x.shape[0]} steps, expected {wrong}")
    _check_lengths(entry, task, where, batch, batch_size)
    _check_targets(entry, task, where, batch, (x.shape[0], batch_size))
    for leaf in jax.tree.leaves(batch.context):
        if getattr(leaf, "shape", ())[:1] != (batch_size,):
            raise entry.error(
                where,
                f"gives a leaf of the context as {described(leaf)}, expected arrays whose first "
                f"axis is the batch ({batch_size})",
            )


def _check_inputs(entry: Entry, task: Task, where: str, x: Any, batch_size: int) -> None:
    """Inputs are floats, (T, B, input_size), or numbers of symbols, (T, B)."""
    numbers = x.ndim == 2 and task.mode in NUMBERED and jnp.issubdtype(x.dtype, jnp.integer)
    sizes = (batch_size,) if numbers else (batch_size, task.input_size)
    if x.ndim != len(sizes) + 1 or x.shape[1:] != sizes:
        raise entry.error(
            where,
            f"gives inputs of shape {x.shape}, expected ({task.num_steps}, {batch_size}, "
            f"{task.input_size}): num_steps, the batch, input_size",
        )
    expected = jnp.dtype(jnp.int32 if numbers else default_float())
    if x.dtype != expected:
        raise entry.error(where, f"gives inputs of type {x.dtype}, expected {expected.name}")


def _wrong_steps(task: Task, batch: Batch, steps: int | None) -> str:
    """How many steps a batch should have, if it has others; `steps` are its bucket's or window's.

    Without lengths all sequences are of `num_steps`.
    """
    got = batch.inputs_TxBxI.shape[0]
    if steps is not None and got != steps:
        return f"{steps}, as its bucket or window says"
    if steps is None and batch.lengths_B is None and got != task.num_steps:
        return f"num_steps = {task.num_steps}"
    return f"at most num_steps = {task.num_steps}" if got > task.num_steps else ""


def _check_lengths(entry: Entry, task: Task, where: str, batch: Batch, batch_size: int) -> None:
    """Lengths are a whole number an example; those of targets go with the asynchronous mode."""
    for field in ("lengths_B", "target_lengths_B"):
        value = getattr(batch, field)
        if value is not None and (
            value.shape != (batch_size,) or not jnp.issubdtype(value.dtype, jnp.integer)
        ):
            raise entry.error(
                where,
                f"gives {field} as {described(value)}, expected whole numbers of shape "
                f"({batch_size},), one an example",
            )
    if task.mode == "asynchronous" and batch.target_lengths_B is None:
        raise entry.error(
            where, "gives no target_lengths_B, expected one an example: the task is asynchronous"
        )


def _check_targets(
    entry: Entry, task: Task, where: str, batch: Batch, size: tuple[int, int]
) -> None:
    """Targets lie along the axes of their mode."""
    steps, batch_size = size
    leading: tuple[int, ...] = (batch_size,)
    if task.mode not in TO_ONE:
        leading = (task.target_steps if task.mode == "asynchronous" else steps, batch_size)
    shape = batch.targets.shape
    exact = task.mode == "asynchronous"
    if shape != leading if exact else shape[: len(leading)] != leading:
        expected = ", ".join(map(str, leading))
        raise entry.error(
            where,
            f"gives targets of shape {shape}, expected ({expected}{'' if exact else ', ...'}): "
            f"the task is {task.mode}, with a batch of {batch_size}",
        )


def _check_scores(entry: Entry, task: Task, where: str, batch: Batch, batch_size: int) -> None:
    """Scores are totals and counts of every example, and have the names that others use."""
    steps = {"asynchronous": task.target_steps}
    steps |= dict.fromkeys(STEPWISE, batch.inputs_TxBxI.shape[0])
    leading = (steps[task.mode],) if task.mode in steps else ()
    outputs = array(*leading, batch_size, task.output_size)
    arguments = {"outputs": outputs, "batch": batch}
    raises_rank = False
    try:
        with jax.numpy_rank_promotion("raise"):
            scores = entry.call("scores", task.scores, **arguments)
    except UsageError:  # where it has another reason, this says it again
        scores = entry.call("scores", task.scores, **arguments)
        raises_rank = True
    require_scores(entry, scores, batch_size)
    if raises_rank and (mixed := mixed_score(task, outputs, batch)):
        raise entry.error(
            "scores",
            f"gives total_B of {mixed} in which examples mix: an example's depends on the outputs "
            f"or targets of another; expected outputs {outputs.shape} and targets "
            f"{batch.targets.shape} to be compared example by example, with equally many axes",
        )
    _check_derived(entry, task, scores)
    _check_names(entry, task, [*scores])
    if task.teacher is not None:
        _check_teacher(entry, task, task.teacher, batch)


def _check_derived(entry: Entry, task: Task, scores: Mapping[str, Any]) -> None:
    """Derived figures are one number each, with names of their own."""
    means = {name: array() for name in scores}
    for name, function in task.derived.items():
        if name in scores:
            raise entry.error("derived", f"names {name!r}, expected another name than a score's")
        found = entry.call(f"derived[{name!r}]", lambda means, f=function: f(means), means=means)
        if getattr(found, "shape", None) != () or not is_real(found):
            raise entry.error(
                "derived", f"gives {name!r} as {described(found)}, expected one float"
            )


def _check_names(entry: Entry, task: Task, scores: Sequence[str]) -> None:
    """The names of scores that the task uses are among those that it gives."""
    if "loss" not in scores:
        raise entry.error(
            "scores", f"gives {', '.join(scores) or 'nothing'}, expected 'loss': it is minimised"
        )
    known = [*scores, *(["exact"] if task.mode == "asynchronous" else []), *task.derived]
    for field, names in (("headline", (task.headline,)), ("baseline", task.baseline)):
        for name in names:
            if name not in known:
                raise entry.error(
                    field, f"names {name!r}, expected one of the scores: {', '.join(known)}"
                )


def _check_teacher(entry: Entry, task: Task, teacher: Callable[[Batch], Any], batch: Batch) -> None:
    """A teacher gives the true outputs of every step."""
    shape = (*batch.inputs_TxBxI.shape[:2], task.output_size)
    taught = entry.call("teacher", teacher, batch=batch)
    if getattr(taught, "shape", None) != shape or not is_real(taught):
        raise entry.error("teacher", f"gives {described(taught)}, expected floats of shape {shape}")
