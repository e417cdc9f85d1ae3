"""The chunk against plain steps written out; its cadence; streams and buckets."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from rnnexp.core.tree import tree_norm
from rnnexp.core.types import Array, Batch, Tree
from rnnexp.tasks.base import Bucket, Bucketed, Endless, Score, Stream
from rnnexp.tasks.batches import Keys, epoch_length, no_order, source_arrays, training_batch
from rnnexp.tasks.scores import over_steps
from rnnexp.train.build import weights, weights_key
from rnnexp.train.compiled import Programs
from rnnexp.train.evaluate import evaluate_function
from rnnexp.train.lanes import LaneLayout, spread_chunk
from rnnexp.train.plan import make_plan
from rnnexp.train.program import TrainState, apply_model, init_state
from rnnexp.train.step_metrics import read_rows
from tests.helpers.small_programs import configured, programs, stream_program


def by_hand(program: Programs, steps: int) -> tuple[Tree, dict[str, list[Array]]]:
    """Adam with clipping by global norm, one optax step after the other."""
    plan = program.plan
    task, config = plan.recipe.task, plan.config
    transform = optax.chain(
        optax.clip_by_global_norm(config.clip.threshold), optax.adam(config.optimizer.learning_rate)
    )
    params = plan.params
    opt_state = transform.init(params)
    key = jax.random.fold_in(jax.random.key(config.seed), 1)
    source = task.train
    assert isinstance(source, Endless)

    def loss_fn(params: Tree, batch: Any) -> Array:
        outputs = nnx.merge(plan.recipe.graphdef, params)(batch.inputs_TxBxI).outputs
        return task.scores(outputs, batch)["loss"].mean()

    @jax.jit
    def update(params: Tree, opt_state: Tree, step: Array) -> tuple[Tree, Tree, dict[str, Array]]:
        batch = training_batch(source, (), jnp.zeros(0), key, step, 8)
        loss, grads = jax.value_and_grad(loss_fn)(params, batch)
        updates, opt_state = transform.update(grads, opt_state, params)
        ratio = tree_norm(updates) / tree_norm(params)
        seen = {"loss": loss, "grad_norm": tree_norm(grads), "update_ratio": ratio}
        return optax.apply_updates(params, updates), opt_state, seen

    logged: dict[str, list[Array]] = {"loss": [], "grad_norm": [], "update_ratio": []}
    with jax.numpy_dtype_promotion("standard"):
        for step in range(steps):
            params, opt_state, seen = update(params, opt_state, jnp.array(step, jnp.int32))
            for name, value in seen.items():
                logged[name].append(value)
    return params, logged


def test_a_chunk_equals_plain_optax_steps(x64: None) -> None:
    program = programs("adding/lstm", clip__threshold=0.3, optimizer__learning_rate=0.01)
    state, records = program.advance(program.initial(), 7, 1)
    params, logged = by_hand(program, 7)
    norms = logged["grad_norm"]
    assert int(state.step) == 7
    np.testing.assert_array_equal(records.recorded, [True] * 7 + [False] * 3)
    for name, values in logged.items():
        np.testing.assert_allclose(records.scalars[name][:7], values, rtol=1e-8)
    clipped = np.minimum(norms, 0.3)
    np.testing.assert_allclose(records.scalars["grad_norm_clipped"][:7], clipped, rtol=1e-8)
    assert set(records.scalars["clip_fired"][:7]) == {True, False} or min(norms) > 0.3
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-7), state.params, params)


def test_the_cadence_decides_what_is_recorded_and_nothing_else() -> None:
    program = programs("adding/gru")
    often, records = program.advance(program.initial(), 10, 1)
    seldom, thinned = program.advance(program.initial(), 25, 4)
    assert int(often.step) == int(seldom.step) == 10  # as many as a chunk has at most
    np.testing.assert_array_equal(records.step, np.arange(10))
    np.testing.assert_array_equal(np.flatnonzero(thinned.recorded), [0, 4, 8])
    np.testing.assert_allclose(thinned.norms["h"][8], records.norms["h"][8], rtol=1e-4)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        often.params,
        seldom.params,
    )


def test_pieces_equal_the_whole_bit_for_bit() -> None:
    program = programs("digits/rnn")
    whole, _ = program.advance(program.initial(), 9, 2)
    pieces = program.initial()
    for stop in (1, 4, 9):
        pieces, _ = program.advance(pieces, stop, 2)
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(whole), jax.device_get(pieces))


def test_a_diverged_state_stays_as_it_is() -> None:
    program = programs("adding/rnn")
    state: TrainState = program.initial()._replace(diverged=jnp.ones((), bool))
    after, records = program.advance(jax.tree.map(jnp.copy, state), 10, 1)
    assert int(after.step) == 0
    assert not records.recorded.any()
    jax.tree.map(np.testing.assert_array_equal, after.params, state.params)


def test_learning_lowers_the_loss() -> None:
    program = programs("adding/lstm", optimizer__learning_rate=0.01, task__length_steps=5)
    state = program.initial()
    advance = partial(program.advance, every=10)
    for stop in range(10, 401, 10):
        state, records = advance(state, stop)
    assert records.scalars["loss"][0] < program.plan.recipe.task.baseline["loss"] / 2


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
    total = count = 0.0

    @jax.jit
    def score_of(batch: Batch) -> Score:
        return scores(apply_model(recipe, params, batch).outputs, batch)["loss"]

    for bucket in buckets:
        score = score_of(take(bucket.arrays, jnp.arange(bucket.size)))
        total, count = total + np.sum(score.total_B), count + np.sum(score.count_B)
    np.testing.assert_allclose(before, total / count, rtol=1e-5)
    chunk = spread_chunk(recipe, LaneLayout())
    stop, every = jnp.asarray(7, jnp.int32), jnp.asarray(1, jnp.int32)
    order = no_order(source, 2)
    state, _, rows = chunk(state, order, stop, every, run_keys, plan.hyper, arrays)
    assert int(state.step) == 7  # 3 + 2 + 2 batches: every bucket was there
    front = (read_rows(rows).norms["h"][:7, 0] == 0).argmin(-1)
    assert sorted(front.tolist()) == [0, 0, 3, 3, 5, 5, 5]
    assert evaluate(state.params, jax.random.key(0), arrays)["loss"] < before
