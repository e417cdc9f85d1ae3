"""What is minimised: sums and losses of one's own, against NumPy and the task's own loss."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnnexp
from rnnexp.core.errors import UsageError
from rnnexp.core.masking import valid_steps
from rnnexp.core.types import Batch
from rnnexp.tasks import TASKS
from rnnexp.tasks.base import Task
from rnnexp.tasks.batches import first_batch, stream_keys
from rnnexp.tasks.bit_vectors import answer_steps
from rnnexp.tasks.scores import over_steps
from rnnexp.train.objective import NAME, Objective, counted, objective_of
from tests.helpers.own_tables import own_tables  # noqa: F401
from tests.helpers.regularized_steps import first_step, logged
from tests.helpers.small_programs import configured, programs

PLAIN: dict[str, Any] = {
    "cell__hidden_size": 4, "train__batch_size": 4, "optimizer__name": "sgd",
    "optimizer__learning_rate": 0.5, "clip__name": "none",
}  # fmt: skip
RNG = np.random.default_rng(0)


def a_task(name: str, **options: Any) -> tuple[Task, Batch]:
    """A task with a batch of 6."""
    task = TASKS.entry(name).factory()(**options)
    return task, first_batch(task.train, jax.random.key(1), 6)


@pytest.mark.usefixtures("x64")
def test_a_summed_loss_has_the_gradients_of_the_mean_times_the_steps() -> None:
    """25 steps in every sequence: so do the adjoints that are recorded, and the loss stays."""
    small = PLAIN | {"task__delay_steps": 5}
    mean, plan = first_step("copy_memory/lstm", **small)
    total, _ = first_step("copy_memory/lstm", loss__reduction="sum", **small)
    steps = plan.recipe.task.num_steps
    assert steps == 25
    np.testing.assert_allclose(logged(total, "loss"), logged(mean, "loss"), rtol=1e-12)
    np.testing.assert_allclose(logged(total, NAME), steps * logged(mean, "loss"), rtol=1e-12)
    np.testing.assert_allclose(total.norms["h"], steps * mean.norms["h"], rtol=1e-9)
    moved = [jax.tree.map(jnp.subtract, plan.params, s.state.params) for s in (mean, total)]
    jax.tree.map(lambda m, t: np.testing.assert_allclose(t, steps * m, rtol=1e-8), *moved)
    assert NAME not in mean.scalars


def test_a_sum_is_over_the_steps_and_a_mean_over_the_examples(x64: None) -> None:
    lengths = np.array([5, 2, 3])
    values = RNG.normal(size=(5, 3))
    valid = np.arange(5)[:, None] < lengths
    expected = (values * valid).sum() / 3
    scored = {"loss": over_steps(jnp.array(values), jnp.array(lengths))}
    task, batch = a_task("reverse")
    found = Objective(None, True).score(task, scored, jnp.zeros(()), batch)[NAME].mean()
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert not np.isclose(scored["loss"].mean(), expected)


def test_the_outputs_that_count_are_those_that_the_tasks_loss_depends_on() -> None:
    task, batch = a_task("reverse")
    steps, outputs = len(batch.targets), jnp.zeros((*batch.targets.shape, task.output_size))
    assert batch.target_lengths_B is not None
    valid = valid_steps(steps, batch.target_lengths_B)
    assert 0 < np.mean(valid) < 1
    np.testing.assert_array_equal(counted(task, outputs, batch), valid)
    task, batch = a_task("ntm_copy")
    mask = np.asarray(counted(task, jnp.zeros((*batch.targets.shape[:2], task.output_size)), batch))
    assert 0 < np.mean(mask) < 1
    np.testing.assert_array_equal(mask, answer_steps(batch))
    task, batch = a_task("adding")
    assert np.all(counted(task, jnp.zeros((6, 1)), batch))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ["reverse/gru", "copy_memory/gru"])
def test_a_loss_that_is_the_tasks_has_its_gradients(name: str) -> None:
    """Cross-entropy is label smoothing by nothing, over the valid steps of unequal lengths."""
    usual, _ = first_step(name, **PLAIN)
    own, _ = first_step(name, loss__name="label_smoothing", loss__smoothing=0.0, **PLAIN)
    np.testing.assert_allclose(logged(own, NAME), logged(usual, "loss"), rtol=1e-12)
    np.testing.assert_allclose(own.norms["h"], usual.norms["h"], rtol=1e-9, atol=1e-300)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-15),
        own.state.params, usual.state.params,
    )  # fmt: skip


@pytest.mark.usefixtures("own_tables", "x64")
@pytest.mark.parametrize("devices", [1, 2])
def test_a_loss_of_ones_own_is_minimised_and_the_tasks_stays_the_loss(devices: int) -> None:
    """One value an example, and the gradient of the readout's bias by hand."""

    @rnnexp.loss("cubed", targets="values")
    def cubed(*, scale: float = 1.0) -> Any:
        """|e|^3."""
        return lambda outputs, targets, counted: scale * jnp.abs(outputs - targets)[:, 0] ** 3

    changes = PLAIN | {"task__length_steps": 6, "devices": devices}
    program = programs("adding/rnn", loss__name="cubed", loss__scale=2.0, **changes)
    before = program.plan.params
    state, records = program.advance(program.initial(), 1, 1)
    recipe = program.plan.recipe
    batch = first_batch(recipe.task.train, stream_keys(0)["train"], 4)
    model: Any = recipe.model(before)
    outputs = model(batch.inputs_TxBxI).outputs
    e = np.asarray(outputs - batch.targets)
    np.testing.assert_allclose(records.scalars["loss"][0], np.mean(e**2), rtol=1e-9)
    np.testing.assert_allclose(records.scalars[NAME][0], np.mean(2 * np.abs(e) ** 3), rtol=1e-9)
    slope = np.mean(6 * e * np.abs(e))
    moved = before["readout"]["bias"] - np.asarray(state.params["readout"]["bias"])
    np.testing.assert_allclose(moved, [0.5 * slope], rtol=1e-8)


def test_an_evaluation_has_the_tasks_loss_and_what_is_minimised() -> None:
    program = programs("adding/rnn", loss__name="absolute_error", **PLAIN)
    scores = program.scores("valid", program.initial())
    plain = programs("adding/rnn", **PLAIN)
    assert scores["loss"] == plain.scores("valid", plain.initial())["loss"]
    assert scores[NAME] > 0
    assert scores[NAME] != scores["loss"]


@pytest.mark.usefixtures("own_tables")
def test_what_no_function_is_and_an_unknown_reduction_are_refused() -> None:
    rnnexp.loss("nothing")(lambda: None)
    with pytest.raises(UsageError, match="loss 'nothing': the factory gives None, expected a func"):
        objective_of(configured("adding/rnn", loss__name="nothing"))
    with pytest.raises(UsageError, match=r"unknown config\.loss\.reduction 'summ'\. Did you mean"):
        objective_of(configured("adding/rnn", loss__reduction="summ"))
    assert objective_of(configured("adding/rnn")) is None
