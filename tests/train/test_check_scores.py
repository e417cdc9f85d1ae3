"""Scores in which examples mix are found, and only those."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch
from rnnexp.tasks.base import Endless, Score, Task
from rnnexp.tasks.scores import once
from rnnexp.train.check_scores import mixed_score
from rnnexp.train.check_task import check_task
from tests.helpers.hostile import O, T, batch, keyed, task


def one_number(scores: Callable[[Array, Batch], dict[str, Score]]) -> Task:
    """A task with one number a sequence, and targets without an axis for it."""
    return task(
        mode="sequence_to_one",
        output_size=1,
        scores=scores,
        source=Endless(lambda key, B: keyed(key, batch(B, targets=jnp.zeros(B)))),
    )


def mixes(outputs_Bx1: Array, batch: Batch) -> dict[str, Score]:
    return {"loss": once(jnp.sum(jnp.square(outputs_Bx1 - batch.targets), -1))}


def apart(outputs_Bx1: Array, batch: Batch) -> dict[str, Score]:
    return {"loss": once(jnp.square(outputs_Bx1[:, 0] - batch.targets))}


def weighted(outputs_TxBxO: Array, batch: Batch) -> dict[str, Score]:
    """Weights (O,) have fewer axes than the outputs, and mix nothing."""
    error = jnp.arange(1.0, 1.0 + O) * jnp.square(outputs_TxBxO - batch.targets)
    return {"loss": once(jnp.sum(error, (0, 2)))}


def over_batch(outputs_TxBxO: Array, batch: Batch) -> dict[str, Score]:
    """A mean over the batch, taken off by a broadcast."""
    centred = outputs_TxBxO - jnp.mean(outputs_TxBxO, (0, 1))
    return {"loss": once(jnp.sum(jnp.square(centred), (0, 2)))}


def classes(outputs_TxBxO: Array, batch: Batch) -> dict[str, Score]:
    """Targets are classes, and lengths are given."""
    kept_TxB = jnp.arange(T)[:, None] < jnp.asarray(batch.lengths_B)
    chosen = jnp.take_along_axis(outputs_TxBxO, batch.targets[..., None], -1)[..., 0]
    return {"loss": once(jnp.sum(jnp.where(kept_TxB, -chosen, 0.0), 0))}


def labelled(B: int) -> Any:
    return batch(B, targets=jnp.zeros((T, B), jnp.int32), lengths_B=jnp.full(B, T))


SOUND = {
    "apart": one_number(apart),
    "weighted": task(scores=weighted),
    "classes": task(scores=classes, source=Endless(lambda key, B: keyed(key, labelled(B)))),
}


@pytest.mark.parametrize("name", SOUND)
def test_what_keeps_examples_apart_is_left_alone(name: str) -> None:
    with jnp_as_users_have_it():
        assert check_task("mine", SOUND[name], (SOUND[name].mode,)) is SOUND[name]


@pytest.mark.parametrize("hostile", [one_number(mixes), task(scores=over_batch)])
def test_what_mixes_them_is_refused(hostile: Task) -> None:
    with (
        jnp_as_users_have_it(),
        pytest.raises(UsageError, match="'mine': scores gives total_B of loss in which examples"),
    ):
        check_task("mine", hostile, (hostile.mode,))


def test_other_faults_of_such_scores_are_said_first() -> None:
    means = one_number(lambda outputs, batch: {"loss": jnp.mean(outputs - batch.targets)})  # type: ignore[dict-item]
    with (
        jnp_as_users_have_it(),
        pytest.raises(UsageError, match=r"scores gives loss as float32 \(\), expected a Score"),
    ):
        check_task("mine", means, (means.mode,))


def test_a_score_is_named() -> None:
    with jnp_as_users_have_it():
        sizes = batch(4, targets=jnp.zeros(4))
        assert mixed_score(one_number(mixes), jnp.zeros((4, 1)), sizes) == "loss"
        assert mixed_score(one_number(apart), jnp.zeros((4, 1)), sizes) == ""


def jnp_as_users_have_it() -> Any:
    """Without the strictness of tests, which refuses a broadcast that raises a rank."""
    return jax.numpy_rank_promotion("allow")
