"""Training and evaluation on streams, whose states are carried on, and on buckets."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.types import Array, Batch, Tree
from rnnexp.tasks.base import Bucket, Bucketed, Score, Stream
from rnnexp.tasks.batches import Keys, epoch_length, no_order, source_arrays
from rnnexp.tasks.scores import over_steps
from rnnexp.train.compiled import Programs
from rnnexp.train.evaluate import evaluate_function
from rnnexp.train.lanes import Layout, spread_chunk
from rnnexp.train.plan import make_plan, weights, weights_key
from rnnexp.train.program import apply_model, init_state
from rnnexp.train.step_metrics import read_rows
from tests.train.test_chunk import configured, programs


def stream_program(tmp_path: Path) -> Programs:
    """An LSTM on a text of 199 + 20 characters in windows of 8, whose weights stay put."""
    file = tmp_path / "text.txt"
    file.write_text("".join(chr(97 + n * n % 7) for n in range(220)))
    return programs(
        "char_lm/lstm",
        task__file=str(file),
        task__window_steps=8,
        train__batch_size=4,
        optimizer__name="sgd",
        optimizer__learning_rate=1e-30,
    )


@pytest.mark.parametrize(("steps", "windows"), [(1, 1), (4, 4), (6, 6), (7, 1), (9, 3)])
def test_a_stream_carries_its_states_until_the_epoch_ends(
    tmp_path: Path, steps: int, windows: int
) -> None:
    program = stream_program(tmp_path)
    source = program.sources["train"]
    assert isinstance(source, Stream)
    assert epoch_length(source, 4) == 6  # 197 inputs in 4 stretches of 49, windows of 8
    state = program.initial()
    while int(state.step) < steps:  # a chunk must lie within one epoch
        state, _ = program.advance(state, min(steps, (int(state.step) // 6 + 1) * 6), 1)
    stretch = source.size // 4
    positions = np.arange(8 * windows)[:, None] + stretch * np.arange(4)[None, :]
    batch = source.take(source.arrays, jnp.asarray(positions))
    read = apply_model(program.plan.recipe, state.params, batch)
    for leaf in ("c", "h"):
        np.testing.assert_allclose(state.carry[0][leaf], read.states[0][leaf], rtol=1e-5, atol=1e-6)


def test_an_evaluation_of_a_stream_reads_it_whole(tmp_path: Path) -> None:
    """With one stretch it is the mean over the whole text read in one go."""
    program = stream_program(tmp_path)
    source = program.sources["valid"]
    assert isinstance(source, Stream)
    state = program.initial()
    recipe = program.plan.recipe
    batch = source.take(source.arrays, jnp.arange(source.size)[:, None])
    outputs = apply_model(recipe, state.params, batch).outputs
    expected = recipe.task.scores(outputs, batch)["loss"].mean()
    evaluate = jax.jit(evaluate_function(recipe, "valid", 1, source.size))
    got = evaluate(state.params, jax.random.key(0), source.arrays)["loss"]
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_every_bucket_trains_and_is_evaluated_whole() -> None:
    """A made-up data set in three buckets: every branch of the program, every example once."""
    sizes, lengths = (5, 4, 3), (4, 6, 9)

    def take(arrays: Tree, index_B: Array) -> Batch:
        x_BxTxI, length_N = arrays
        x_TxBxI = jnp.swapaxes(x_BxTxI[index_B], 0, 1)
        return Batch(x_TxBxI, x_TxBxI, lengths_B=length_N[index_B])

    keys = jax.random.split(jax.random.key(0), 3)
    buckets = tuple(
        Bucket((jax.random.normal(key, (n, steps, 2)), jnp.arange(n) % 2 + steps - 1), n, steps)
        for key, n, steps in zip(keys, sizes, lengths, strict=True)
    )
    source = Bucketed(buckets, take)

    def scores(outputs: Array, batch: Batch) -> dict[str, Score]:
        error_TxB = jnp.sum(jnp.square(outputs - batch.targets), -1)
        return {"loss": over_steps(error_TxB, batch.lengths_B)}

    plan = make_plan(configured("copy_memory/gru"), data_dir=None, chunk_steps=10)
    task = replace(
        plan.recipe.task, input_size=2, output_size=2, num_steps=9, train=source, valid=source,
        test=source, scores=scores,
    )  # fmt: skip
    graphdef, draw = weights(plan.config, task)
    params = draw(weights_key(0))
    recipe = replace(plan.recipe, task=task, graphdef=graphdef, batch_size=2)
    state = init_state(recipe, params, plan.hyper)
    arrays, run_keys = source_arrays(source), Keys(jax.random.key(1), jax.random.key(2))
    evaluate = jax.jit(evaluate_function(recipe, "valid", 2, 12))
    before = evaluate(params, jax.random.key(0), arrays)["loss"]
    total, count = jnp.zeros(()), jnp.zeros(())
    for bucket in buckets:
        batch = take(bucket.arrays, jnp.arange(bucket.size))
        outputs = apply_model(recipe, params, batch).outputs
        score = scores(outputs, batch)["loss"]
        total, count = total + jnp.sum(score.total_B), count + jnp.sum(score.count_B)
    np.testing.assert_allclose(before, total / count, rtol=1e-5)
    chunk = spread_chunk(recipe, Layout())
    stop, every = jnp.asarray(7, jnp.int32), jnp.asarray(1, jnp.int32)
    order = no_order(source, 2)
    state, _, rows = chunk(state, order, stop, every, run_keys, plan.hyper, arrays)
    assert int(state.step) == 7  # 3 + 2 + 2 batches: every bucket was there
    front = (read_rows(rows).norms["h"][:7, 0] == 0).argmin(-1)
    assert sorted(front.tolist()) == [0, 0, 3, 3, 5, 5, 5]
    assert evaluate(state.params, jax.random.key(0), arrays)["loss"] < before
