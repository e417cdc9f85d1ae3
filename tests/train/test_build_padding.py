"""A task is built with batches whose padding cannot matter, whatever the task puts there."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnnexp
from rnnexp.core.types import Array, Batch, Tree
from rnnexp.tasks.base import Finite, Task
from rnnexp.tasks.batches import Keys, epoch_order, stream_keys
from rnnexp.tasks.scores import over_steps
from rnnexp.train.build import build_task
from rnnexp.train.compiled import initial_state
from rnnexp.train.evaluate import evaluate_function
from rnnexp.train.plan import make_plan
from rnnexp.train.step import Lane, measure_next
from tests.helpers.own_tables import own_tables  # noqa: F401  a fixture

LENGTHS = np.array([6, 3, 1, 4], np.int32)
T, N = 6, len(LENGTHS)


def arrays_with(padding: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs (N, T, 2), targets (N, T, 1) and lengths; all padding holds one number."""
    rng = np.random.default_rng(0)
    inputs, targets = (rng.normal(size=(N, T, size)).astype(np.float32) for size in (2, 1))
    for values in (inputs, targets):
        values[np.arange(T) >= LENGTHS[:, None]] = padding
    return inputs, targets, LENGTHS


def padded(*, padding: float = 0.0) -> Task:
    """Sequences of unequal lengths with a squared error, a quotient among the scores."""

    def take(arrays: Tree, indices_B: Array) -> Batch:
        inputs, targets, lengths = (values[indices_B] for values in arrays)
        return Batch(jnp.swapaxes(inputs, 0, 1), jnp.swapaxes(targets, 0, 1), lengths)

    def scores(outputs: Array, batch: Batch) -> dict[str, Any]:
        relative = jnp.square((outputs - batch.targets) / batch.targets)[..., 0]
        return {"loss": over_steps(relative, batch.lengths_B)}

    source = Finite(jax.tree.map(jnp.asarray, arrays_with(padding)), N, take)
    return Task(
        name="padded", mode="synchronous", input_size=2, output_size=1, num_steps=T,
        train=source, valid=source, test=source, scores=scores, baseline={"loss": 1.0},
        headline="loss", higher_is_better=False, causal=False,
        teacher=lambda batch: batch.targets, forced_steps=T,
    )  # fmt: skip


@pytest.mark.usefixtures("own_tables")
@pytest.mark.parametrize(
    ("cell", "changes"),
    [
        ("gru", {"model.num_layers": 2, "model.residual": True, "model.bidirectional": True}),
        ("narx", {"cell.input_delay_steps": 2, "cell.output_delay_steps": 2}),
        pytest.param("lstm", {"model.kernel": "scan", "model.layer_norm": True,
                              "regularizer.omega": 0.1}, marks=pytest.mark.slow),
    ],
    ids=["gru", "narx", "lstm"],
)  # fmt: skip
def test_padding_changes_no_bit_of_a_step_or_an_evaluation(
    cell: str, changes: dict[str, Any]
) -> None:
    rnnexp.task("padded", modes=("synchronous",))(padded)
    config = rnnexp.experiment(f"padded/{cell}")
    for unit in ("steps", "epochs", "examples"):
        config.train[f"duration_{unit}"] = None
    keys = {"cell.hidden_size": 3, "train.batch_size": N, "train.duration_steps": 1}
    config.update_from_flattened_dict(keys | changes)
    plan = make_plan(rnnexp.finish(config), data_dir=None, chunk_steps=1)
    recipe, streams = plan.recipe, stream_keys(0)
    state = initial_state(plan)
    order = epoch_order(recipe.task.train, streams["train"], state.step, N)
    evaluate = evaluate_function(recipe, "valid", N, N)

    @jax.jit
    def both(arrays: Tree, state: Any) -> Any:
        lane = Lane(state, order, Keys(streams["train"], streams["noise"]), dict(plan.hyper))
        taken = measure_next(recipe, arrays, lane, record=True)
        return taken, evaluate(state.params, streams["valid"], arrays)

    plain = both(arrays_with(0.0), state)
    for leaf in jax.tree.leaves(plain[0][0].grads) + jax.tree.leaves(plain[1]):
        assert np.isfinite(leaf).all()
    for worst in (np.nan, np.inf, 1e38):
        got = both(arrays_with(worst), state)
        jax.tree.map(np.testing.assert_array_equal, got, plain)


@pytest.mark.usefixtures("own_tables")
def test_what_is_valid_stays_as_it_is() -> None:
    rnnexp.task("padded", modes=("synchronous",))(padded)
    task = build_task("padded", padding=np.nan)
    assert task.train is task.test
    assert isinstance(task.train, Finite)
    batch = task.train.take(task.train.arrays, jnp.arange(N))
    inputs, targets, _ = arrays_with(np.nan)
    for got, values in ((batch.inputs_TxBxI, inputs), (batch.targets, targets)):
        assert np.isfinite(got).all()
        for n, length in enumerate(LENGTHS):
            np.testing.assert_array_equal(got[:length, n], values[n, :length])
