"""Every fault of a task is one line that names the entry, the function, what came, what was due."""

import re
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch, Key, Tree
from rnnexp.tasks.base import Bucket, Bucketed, Endless, Finite, Score, Stream
from rnnexp.tasks.scores import once
from rnnexp.train.check_task import check_task
from tests.helpers.hostile import I, O, T, batch, draw, keyed, scores, task


def drawn(change: Callable[[int], Any]) -> Endless:
    """A source of what `change` makes of the batch size."""
    return Endless(lambda key, batch_size: keyed(key, change(batch_size)))


def scored(change: Callable[[dict[str, Score]], Any]) -> Callable[[Array, Batch], Any]:
    return lambda outputs, batch: change(scores(outputs, batch))


def to_one(**changes: Any) -> Any:
    """A task with one output a sequence."""
    return task(
        mode="sequence_to_one",
        source=changes.pop("source", drawn(lambda B: batch(B, targets=jnp.zeros((B, O))))),
        scores=lambda outputs, batch: {"loss": once(jnp.sum(outputs - batch.targets, -1))},
        **changes,
    )


def written(batch_size: int, **changes: Any) -> Batch:
    return batch(
        batch_size,
        targets=jnp.zeros((4, batch_size), jnp.int32),
        target_lengths_B=jnp.full(batch_size, 4),
    )._replace(**changes)


def asynchronous(**changes: Any) -> Any:
    """A task that writes 4 symbols."""
    values: dict[str, Any] = {
        "source": drawn(written),
        "scores": lambda outputs, batch: {"loss": once(jnp.sum(outputs, (0, 2)))},
        "target_steps": 4,
        "headline": "exact",
    }
    return task(mode="asynchronous", **values | changes)


def take(arrays: Tree, indices_B: Array) -> Batch:
    x_TxBxI = jnp.swapaxes(arrays[indices_B], 0, 1)
    return Batch(x_TxBxI, x_TxBxI[..., :O], jnp.full(len(indices_B), 2))


def noisy(key: Key, batch: Batch) -> Batch:
    return batch._replace(inputs_TxBxI=jax.random.normal(key, batch.inputs_TxBxI.shape))


def read(arrays: Tree, positions_TxB: Array) -> Batch:
    x_TxBxI = arrays[positions_TxB]
    return Batch(x_TxBxI, x_TxBxI[..., :O])


def buckets(*steps: int, said: int = 0) -> Bucketed:
    """A source of buckets of 20 sequences of so many steps, or of as many as is said."""
    return Bucketed(
        tuple(Bucket(jnp.zeros((20, length, I)), 20, said or length) for length in steps), take
    )


def numbered(key: Key, batch_size: int, dtype: Any = jnp.int32) -> Batch:
    """Numbers of symbols as inputs."""
    numbers_TxB = jax.random.randint(key, (T, batch_size), 0, I, dtype)
    return Batch(numbers_TxB, jnp.zeros((T, batch_size, O)))


def transposed(key: Key, batch_size: int) -> Batch:
    return Batch(jnp.zeros((batch_size, T, I)), jnp.zeros((batch_size, T, O)))


def swapped(batch_size: Any, key: Any) -> Batch:
    return draw(key, batch_size)


def fails(key: Key, batch_size: int) -> Batch:
    raise FileNotFoundError("no such file: prices.csv")


def by_numpy(key: Key, batch_size: int) -> Batch:
    x = np.random.default_rng().normal(size=(T, batch_size, I))
    return batch(batch_size, inputs_TxBxI=jnp.asarray(x))


def same(key: Key, batch_size: int) -> Batch:
    return batch(batch_size)


SOUND = {
    "endless": task(),
    "finite": task(source=Finite(jnp.zeros((20, T, I)), 20, take)),
    "augmented": task(source=Finite(jnp.zeros((20, T, I)), 20, take, augment=noisy)),
    "words": task(words=("", "a", "b")),
    "numbers of symbols": task(source=Endless(numbered)),
    "derived": task(
        derived={"perplexity": lambda means: jnp.exp(means["loss"])}, headline="perplexity"
    ),
    "shorter test": task(
        test=drawn(lambda B: Batch(jnp.zeros((3, B, I)), jnp.zeros((3, B, O)), jnp.full(B, 3)))
    ),
    "buckets": task(source=buckets(T, 3)),
    "stream": task(source=Stream(jnp.zeros((90, I)), 90, T, read)),
    "the same validation always": task(valid=Endless(same)),
    "to one": to_one(),
    "asynchronous": asynchronous(),
    "numbers for an encoder": asynchronous(
        source=Endless(lambda key, B: written(B, inputs_TxBxI=numbered(key, B).inputs_TxBxI)),
        words=("", "a", "b"),
        output_words=tuple("abcdefgh"[:O]),
    ),
    "any mapping of scores": task(scores=scored(MappingProxyType)),
    "whole counts": task(
        scores=lambda o, b: {
            "loss": Score(jnp.sum(o, (0, 2)), jnp.full(o.shape[1], T)),
            "right": Score(jnp.sum(o > 0, (0, 2)), jnp.full(o.shape[1], T)),
        }
    ),
    "teacher": task(teacher=lambda batch: batch.targets, forced_steps=3),
    "as many steps as examples": task(
        num_steps=16,
        source=drawn(lambda B: Batch(jnp.zeros((16, B, I)), jnp.zeros((16, B, O)))),
    ),
}

FAULTS: dict[str, tuple[Any, str]] = {
    "numbers of another type": (
        task(source=Endless(lambda key, size: numbered(key, size, jnp.int8))),
        "gives inputs of type int8, expected int32",
    ),
    "numbers where a vector begins": (
        task(mode="one_to_many", input_size=O + 1, source=Endless(numbered)),
        f"gives inputs of shape ({T}, 16), expected ({T}, 16, {O + 1})",
    ),
    "derived array": (
        task(derived={"all": lambda means: jnp.zeros(3)}),
        "derived gives 'all' as float32 (3,), expected one float",
    ),
    "derived of nothing": (
        task(derived={"odd": lambda means: means["odds"]}),
        "derived['odd'] raises KeyError",
    ),
    "derived score": (
        task(derived={"loss": lambda means: means["loss"]}),
        "derived names 'loss', expected another name than a score's",
    ),
    "words": (task(words=("a", "b")), "words is a value of type tuple, expected 3 texts, as input"),
    "words that are written": (
        asynchronous(output_words=("a", "b", "c", "d", "e", "f", "g", "h", "i")),
        "output_words is a value of type tuple, expected ",
    ),
    "words written step by step": (
        task(output_words=tuple("abcdefgh"[:O])),
        "output_words is given, expected None: the task is synchronous",
    ),
    "augmented shapes": (
        task(
            source=Finite(
                jnp.zeros((20, T, I)), 20, take, lambda key, batch: batch._replace(lengths_B=None)
            )
        ),
        "train.augment gives another batch than it is given",
    ),
    "augment fails": (
        task(source=Finite(jnp.zeros((20, T, I)), 20, take, lambda key, batch: fails(key, 1))),
        "train.augment raises FileNotFoundError",
    ),
    "none": (None, "the factory gives None, expected a Task; is a `return` missing?"),
    "no task": (draw, "the factory gives a value of type function, expected a Task"),
    "mode": (to_one(), "mode is 'sequence_to_one', expected synchronous, as it was registered"),
    "unknown mode": (task(mode="steps"), "mode is 'steps', expected synchronous"),
    "targets of another mode": (
        task(source=drawn(lambda B: batch(B, targets=jnp.zeros((B, O))))),
        "train.draw gives targets of shape (16, 2), expected (6, 16, ...): the task is synchronous",
    ),
    "input size": (task(input_size=2), "gives inputs of shape (6, 16, 3), expected (6, 16, 2)"),
    "size of a fraction": (task(output_size=2.0), "output_size is 2.0 (float), expected a whole"),
    "no output": (task(output_size=0), "output_size is 0 (int), expected a whole number from 1 on"),
    "steps": (
        task(num_steps=T + 1),
        "train.draw gives sequences of 6 steps, expected num_steps = 7",
    ),
    "too few steps": (
        task(num_steps=T - 1),
        "train.draw gives sequences of 6 steps, expected num_steps = 5",
    ),
    "steps with lengths": (
        task(num_steps=9, source=Finite(jnp.zeros((20, T, I)), 20, take)),
        "num_steps is 9, expected 6, the steps of the longest batch",
    ),
    "steps of a test": (
        task(test=drawn(lambda B: Batch(jnp.zeros((9, B, I)), jnp.zeros((9, B, O))))),
        "test.draw gives sequences of 9 steps, expected num_steps = 6",
    ),
    "steps of a bucket": (
        task(source=buckets(T, 3, said=T)),
        "train.take gives sequences of 3 steps, expected 6, as its bucket or window says",
    ),
    "longer than all": (
        task(source=buckets(T, 8)),
        "train.take gives sequences of 8 steps, expected at most num_steps = 6",
    ),
    "transposed": (
        task(source=Endless(transposed)),
        "train.draw gives inputs of shape (16, 6, 3), expected (6, 16, 3): num_steps, the batch",
    ),
    "no features": (
        task(source=drawn(lambda B: batch(B, inputs_TxBxI=jnp.zeros((T, B))))),
        "gives inputs of shape (6, 16), expected (6, 16, 3)",
    ),
    "whole numbers": (
        task(source=drawn(lambda B: batch(B, inputs_TxBxI=jnp.zeros((T, B, I), jnp.int32)))),
        "train.draw gives inputs of type int32, expected float32",
    ),
    "half precision": (
        task(source=drawn(lambda B: batch(B, inputs_TxBxI=jnp.zeros((T, B, I), jnp.bfloat16)))),
        "train.draw gives inputs of type bfloat16, expected float32",
    ),
    "pair": (
        task(valid=drawn(lambda B: (batch(B).inputs_TxBxI, batch(B).targets))),
        "valid.draw gives a value of type tuple, expected a rnnexp.core.types.Batch",
    ),
    "no batch": (
        task(source=drawn(lambda B: None)),
        "train.draw gives None; is a `return` missing",
    ),
    "no targets": (
        task(source=drawn(lambda B: batch(B, targets=None))),
        "train.draw gives targets as None, expected an array",
    ),
    "targets: text": (
        task(source=drawn(lambda B: batch(B, targets="abc"))),
        "train.draw gives targets as 'abc' (str), expected an array",
    ),
    "targets: pair": (
        task(source=drawn(lambda B: batch(B, targets=(jnp.zeros(B), jnp.zeros(B))))),
        "train.draw gives targets as a value of type tuple, expected an array",
    ),
    "swapped": (
        task(source=Endless(swapped)),
        "it takes (batch_size, key), but is called with (key, batch_size)",
    ),
    "raises": (
        task(test=Endless(fails)),
        "test.draw raises FileNotFoundError: no such file: prices.csv (",
    ),
    "one batch size": (
        task(source=drawn(lambda B: batch(5))),
        "train.draw gives inputs of shape (6, 5, 3), expected (6, 16, 3)",
    ),
    "no randomness": (
        task(source=Endless(same)),
        "train.draw does not use its key, so all batches are the same; expected a batch drawn from",
    ),
    "numpy's randomness": (
        task(valid=Endless(by_numpy)),
        "valid.draw draws random numbers that are not from its key, as numpy.random does",
    ),
    "lengths": (
        task(source=drawn(lambda B: batch(B, lengths_B=jnp.full(T, 3)))),
        "train.draw gives lengths_B as int32 (6,), expected whole numbers of shape (16,)",
    ),
    "lengths: floats": (
        task(source=drawn(lambda B: batch(B, lengths_B=jnp.full(B, 3.0)))),
        "train.draw gives lengths_B as float32 (16,), expected whole numbers",
    ),
    "targets in front": (
        to_one(source=drawn(lambda B: batch(B, targets=jnp.zeros((T, B))))),
        "train.draw gives targets of shape (6, 16), expected (16, ...): the task is sequence",
    ),
    "target steps": (
        asynchronous(target_steps=5),
        "train.draw gives targets of shape (4, 16), expected (5, 16): the task is asynchronous",
    ),
    "no target steps": (
        asynchronous(target_steps=0),
        "target_steps is 0 (int), expected the steps of the longest target, 1 or more",
    ),
    "target steps of a synchronous task": (
        task(target_steps=4),
        "target_steps is 4 (int), expected 0: the task is synchronous",
    ),
    "no target lengths": (
        asynchronous(source=drawn(lambda B: written(B, target_lengths_B=None))),
        "train.draw gives no target_lengths_B, expected one an example: the task is asynchronous",
    ),
    "no source": (task(valid=None), "valid is None, expected Endless, Finite, Bucketed or Stream"),
    "a function for a source": (task(train=draw), "train is a value of type function, expected"),
    "no bucket": (task(source=buckets()), "train has no bucket, expected one or more"),
    "no example": (
        task(source=Finite(jnp.zeros((20, T, I)), 0, take)),
        "train has size 0 (int), expected a whole number from 1 on",
    ),
    "more examples than there are": (
        task(source=Finite(jnp.zeros((20, T, I)), 21, take)),
        "train has size 21, expected at most 20, the longest axis of its arrays",
    ),
    "scores: none": (task(scores=lambda o, b: None), "scores gives None; is a `return` missing?"),
    "scores: number": (
        task(scores=lambda outputs, batch: jnp.mean(outputs)),
        "scores gives float32 (), expected a dict of Score by name",
    ),
    "scores: means": (
        task(scores=lambda outputs, batch: {"loss": jnp.mean(outputs)}),
        "scores gives loss as float32 (), expected a Score",
    ),
    "scores: mean of all": (
        task(scores=lambda o, b: {"loss": Score(jnp.mean(o), jnp.ones(()))}),
        "scores gives total_B of loss as float32 (), expected floats of shape (16,)",
    ),
    "scores: by step": (
        task(scores=lambda o, b: {"loss": Score(jnp.sum(o, -1), jnp.ones(o.shape[:2]))}),
        "scores gives total_B of loss as float32 (6, 16), expected floats of shape (16,)",
    ),
    "scores: whole loss": (
        task(scores=lambda o, b: {"loss": once(jnp.sum(o > 0, (0, 2)))}),
        "scores gives total_B of loss as int32 (16,), expected floats of shape (16,)",
    ),
    "scores: count": (
        task(scores=lambda o, b: {"loss": Score(jnp.sum(o, (0, 2)), cast(Any, 1.0))}),
        "scores gives loss.count_B as 1.0 (float), expected an array",
    ),
    "scores: swapped": (
        task(scores=lambda batch, outputs: scores(outputs, batch)),
        "it takes (batch, outputs), but is called with (outputs, batch)",
    ),
    "no loss": (
        task(scores=scored(lambda s: {"error": s["loss"]}), headline="error"),
        "scores gives error, expected 'loss': it is minimised",
    ),
    "headline": (
        task(headline="accuracy"),
        "headline names 'accuracy', expected one of the scores: loss",
    ),
    "headline: none": (task(headline=None), "headline is None, expected a score's name"),
    "no baseline": (task(baseline={}), "baseline is empty, expected a score of the best predictor"),
    "baseline: number": (task(baseline=1.0), "baseline is 1.0 (float), expected a dict of numbers"),
    "baseline: nan": (
        task(baseline={"loss": float("nan")}),
        "baseline has 'loss' as nan (float), expected a finite number",
    ),
    "baseline of another score": (
        task(baseline={"mse": 1.0}),
        "baseline names 'mse', expected one of the scores: loss",
    ),
    "references": (
        task(references={"loss": "1"}),
        "references has 'loss' as '1' (str), expected a finite number",
    ),
    "teacher": (
        task(teacher=lambda batch: batch.targets[0]),
        "teacher gives float32 (16, 2), expected floats of shape (6, 16, 2)",
    ),
    "forced steps": (task(forced_steps=T + 1), "forced_steps is 7 (int), expected 0 to num_steps"),
    "alphabet": (task(alphabet="abc"), "alphabet is 'abc', expected 2 different characters"),
    "alphabet twice": (task(alphabet="aa"), "alphabet is 'aa', expected 2 different characters"),
    "input alphabet": (
        task(alphabet="ab", input_alphabet="ab"),
        "input_alphabet is 'ab', expected 3 different characters, as input_size is 3",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line(fault: str) -> None:
    hostile, text = FAULTS[fault]
    modes = ("synchronous",) if "mode" in fault else (getattr(hostile, "mode", ""),)
    with pytest.raises(UsageError, match=re.escape(text)) as caught:
        check_task("mine", hostile, modes)
    line = str(caught.value)
    assert line.startswith("task 'mine': ")
    assert "\n" not in line
    if " raises " in line:  # the line of the user's function, not of JAX's
        assert re.search(r"\((.*test_check_task|.*hostile)\.py:\d+\)$", line), line


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_task_is_given_back(name: str) -> None:
    assert check_task("mine", SOUND[name], (SOUND[name].mode,)) is SOUND[name]


def test_nothing_is_computed() -> None:
    """Arrays larger than any memory are no obstacle."""

    def endless_memory(key: Key, batch_size: int) -> Batch:
        x = jax.random.normal(key, (1 << 20, batch_size, 1 << 10))
        return Batch(x, x)

    huge = task(
        source=Endless(endless_memory), num_steps=1 << 20, input_size=1 << 10, output_size=1 << 10
    )
    assert check_task("mine", huge) is huge
