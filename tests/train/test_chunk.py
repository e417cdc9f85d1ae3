"""The chunk against plain steps written out; recording; divergence; every experiment."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from ml_collections import FrozenConfigDict

from rnnexp.config.schema import experiment, finish
from rnnexp.core.tree import named_leaves, tree_norm
from rnnexp.core.types import Array, Tree
from rnnexp.gradflow.nonfinite import find_origin
from rnnexp.run.divergence.verdict import divergence_verdict
from rnnexp.tasks.base import Endless, Finite
from rnnexp.tasks.batches import evaluation_batch, source_arrays, training_batch
from rnnexp.train.compiled import Programs, Slots, initial_state
from rnnexp.train.plan import make_plan, pairs
from rnnexp.train.program import TrainState
from rnnexp.train.step_metrics import Rows, as_row, contents_of, from_rows
from tests.helpers.data_files import DATA, MUSIC, data_or_skip

SMALL = {"cell.hidden_size": 6, "train.batch_size": 8, "train.duration_steps": 20}


def configured(name: str, **changes: Any) -> FrozenConfigDict:
    """An experiment, small, with keys changed; `__` stands for the dot."""
    config = experiment(name)
    for unit in ("steps", "epochs", "examples"):
        config.train[f"duration_{unit}"] = None
    for key, value in (SMALL | {k.replace("__", "."): v for k, v in changes.items()}).items():
        config.update_from_flattened_dict({key: value})
    return finish(config)


def programs(name: str, **changes: Any) -> Programs:
    """The compiled functions of a small experiment."""
    file = DATA.get(name.partition("/")[0])
    data_dir = None if file is None else data_or_skip(file)
    return Programs(make_plan(configured(name, **changes), data_dir=data_dir, chunk_steps=10))


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
    assert isinstance(task.train, Endless)

    def loss_fn(params: Tree, batch: Any) -> Array:
        outputs = nnx.merge(plan.recipe.graphdef, params)(batch.inputs_TxBxI).outputs
        return task.scores(outputs, batch)["loss"].mean()

    logged: dict[str, list[Array]] = {"loss": [], "grad_norm": [], "update_ratio": []}
    with jax.numpy_dtype_promotion("standard"):
        for step in range(steps):
            batch = training_batch(task.train, (), jnp.zeros(0), key, jnp.array(step, jnp.int32), 8)
            loss, grads = jax.jit(jax.value_and_grad(loss_fn))(params, batch)
            updates, opt_state = transform.update(grads, opt_state, params)
            logged["loss"].append(loss)
            logged["grad_norm"].append(tree_norm(grads))
            logged["update_ratio"].append(tree_norm(updates) / tree_norm(params))
            params = optax.apply_updates(params, updates)
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


def test_what_is_recorded_agrees_with_itself() -> None:
    program = programs("copy_memory/lstm", model__num_layers=2, task__delay_steps=5)
    _, records = program.advance(program.initial(), 3, 1)
    scalars = {name: values[:3] for name, values in records.scalars.items()}
    groups = [values for name, values in scalars.items() if name.startswith("grad_norm/")]
    assert len(groups) == len(named_leaves(program.plan.params)) == 8
    np.testing.assert_allclose(
        np.sqrt(np.sum(np.square(groups), 0)), scalars["grad_norm"], rtol=1e-5
    )
    assert set(records.norms) == {"c", "h"}
    assert records.norms["h"].shape == (10, 2, 25)
    for leaf in ("c", "h"):
        for layer in (0, 1):
            log_norms = np.log(np.maximum(records.norms[leaf][0, layer], 1e-38))
            keep = records.norms[leaf][0, layer] > 0
            slope = np.polyfit(np.arange(24, -1, -1)[keep], log_norms[keep], 1)[0]
            logged = scalars[f"slope/layer_{layer}/{leaf}"][0]
            np.testing.assert_allclose(logged, slope, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(scalars["update_ratio"] > 0, True)


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


def test_a_slot_s_next_run_gets_an_order_of_its_own() -> None:
    """Of the same epoch, but from another seed."""
    first, second = (configured("digits/rnn", seed=seed) for seed in (0, 1))
    program = programs("digits/rnn", seed=0)
    slots = Slots(program)
    plans = [make_plan(c, data_dir=None, chunk_steps=10) for c in (first, second)]
    losses = []
    for plan in plans:
        slots.put(0, plan, initial_state(plan))
        slots.launch([4], [1])
        losses.append(slots.records()[0].scalars["loss"][:4])
    alone = Programs(plans[1])
    _, records = alone.advance(alone.initial(), 4, 1)
    np.testing.assert_array_equal(losses[1], records.scalars["loss"][:4])


def test_what_a_step_records_survives_the_row() -> None:
    trees = [
        {
            "flag": jnp.asarray(i > 0),
            "count": jnp.asarray(i, jnp.int32),
            "norms": i + jnp.ones((2, 3)),
        }
        for i in range(3)
    ]
    contents = contents_of(jax.eval_shape(lambda: trees[0]))
    got = from_rows(np.stack([np.asarray(as_row(tree)) for tree in trees]), contents)
    wanted = jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
    assert jax.tree.map(lambda x: x.dtype, got) == jax.tree.map(lambda x: x.dtype, wanted)
    jax.tree.map(np.testing.assert_array_equal, got, wanted)


def test_rows_say_what_they_hold_through_compiled_functions_and_lanes() -> None:
    def found(x: Array) -> dict[str, Array]:
        return {"b": x * jnp.ones((2, 2)), "a": x > 1}

    @jax.jit
    def rows(x_L: Array) -> Rows:
        values = jax.vmap(lambda x: as_row(found(x))[None])(x_L)
        contents = contents_of(jax.eval_shape(found, x_L[0]))
        return Rows(jnp.zeros((2, 1)), jnp.ones((2, 1), bool), values, contents)

    lane = jax.tree.map(lambda leaf: leaf[1], jax.device_get(rows(jnp.array([1.0, 2.0]))))
    assert lane.contents.size == 5
    got = from_rows(lane.values, lane.contents)
    np.testing.assert_array_equal(got["b"], np.full((1, 2, 2), 2.0))
    np.testing.assert_array_equal(got["a"], [True])


def test_two_chunks_compile_once() -> None:
    program = programs("adding/rnn")
    state, _ = program.advance(program.initial(), 3, 1)
    before = program.chunk._cache_size()
    program.advance(state, 8, 5)
    assert program.chunk._cache_size() == before == 1


def test_an_exploding_gradient_is_located() -> None:
    """tanh with a recurrent scale of 8 is chaotic: the loss stays finite, dL/dh_t does not."""
    program = programs(
        "adding/rnn", cell__recurrent_scale=8.0, cell__hidden_size=64, task__length_steps=300
    )
    start = program.initial()
    params = jax.tree.map(jnp.copy, start.params)
    state, _ = program.advance(start, 5, 10)
    assert bool(state.diverged)
    step = int(state.step)
    if step == 0:
        jax.tree.map(np.testing.assert_array_equal, state.params, params)
    records = program.replay(state)
    reason, details = divergence_verdict(records, program.plan.units)
    norms = np.asarray(records.norms["h"][0, 0])
    origin = find_origin({"h": norms[None]}, program.plan.units)
    assert origin is not None
    assert details["origin"] == origin._asdict()
    assert np.isfinite(details["loss"])
    assert np.isfinite(norms[origin.time + 1 :]).all()
    assert not np.isfinite(norms[origin.time])
    assert norms[origin.time + 1] > 1e30  # it left the range by growing
    assert 0 < origin.lag < 299
    assert f"step {step}" in reason
    assert f"{origin.lag} steps before the end" in reason
    assert bool(state.diverged)  # the replay left the state alone


def test_a_diverged_state_stays_as_it_is() -> None:
    program = programs("adding/rnn")
    state: TrainState = program.initial()._replace(diverged=jnp.ones((), bool))
    after, records = program.advance(jax.tree.map(jnp.copy, state), 10, 1)
    assert int(after.step) == 0
    assert not records.recorded.any()
    jax.tree.map(np.testing.assert_array_equal, after.params, state.params)


def test_an_evaluation_equals_one_big_batch() -> None:
    program = programs("digits/gru", eval__batch_size=100)
    state = program.initial()
    source = program.sources["test"]
    assert isinstance(source, Finite)
    arrays = source_arrays(source)
    batch, _ = evaluation_batch(source, arrays, jax.random.key(0), jnp.array(0), 360, 360)
    outputs = nnx.merge(program.plan.recipe.graphdef, state.params)(batch.inputs_TxBxI).outputs
    for name, score in program.plan.recipe.task.scores(outputs, batch).items():
        np.testing.assert_allclose(program.scores("test", state)[name], score.mean(), rtol=1e-5)


LONG = ("nottingham", "musedata", "piano_midi")  # minutes of compilation and steps
EVERY = pairs()


def covering() -> list[tuple[str, str]]:
    """Pairs in which every task and every cell is there once, or nearly so.

    Tasks whose files may be missing take the GRU, which other tasks test as well.
    """
    found = [("mackey_glass", "narx"), ("adding", "gru")]
    for task, cell in EVERY:
        tasks, cells = zip(*found, strict=True)
        if task in LONG or task in tasks:
            continue
        if cell == "gru" if task in DATA else cell not in cells:
            found.append((task, cell))
    tested = {cell for _, cell in found}
    return found + [pair for pair in EVERY if pair[0] == "adding" and pair[1] not in tested]


SOME = covering()


@pytest.mark.parametrize(("task", "cell"), SOME)
def test_every_cell_and_every_task_trains(task: str, cell: str) -> None:
    trains(task, cell)


@pytest.mark.slow
@pytest.mark.parametrize(("task", "cell"), sorted(set(EVERY) - set(SOME)))
def test_every_experiment_trains(task: str, cell: str) -> None:
    trains(task, cell)


def trains(task: str, cell: str) -> None:
    """Three recorded steps of an experiment are finite, and so is an evaluation."""
    short = {"cell__delay_steps": 3} if cell == "tdnn" else {}
    program = programs(f"{task}/{cell}", **short)
    state, records = program.advance(program.initial(), 3, 1)
    assert int(state.step) == 3
    for name, values in records.scalars.items():
        if not name.startswith(("slope", "half_life")):
            assert np.isfinite(values[:3]).all(), name
    assert all((norms[:3] >= 0).all() for norms in records.norms.values())
    assert all((norms[:3].max((1, 2)) > 0).all() for norms in records.norms.values())
    assert not bool(state.diverged)
    if task not in MUSIC and task != "mnist":
        assert all(np.isfinite(value) for value in program.scores("valid", state).values())


def test_learning_lowers_the_loss() -> None:
    program = programs("adding/lstm", optimizer__learning_rate=0.01, task__length_steps=5)
    state = program.initial()
    advance = partial(program.advance, every=10)
    for stop in range(10, 401, 10):
        state, records = advance(state, stop)
    assert records.scalars["loss"][0] < program.plan.recipe.task.baseline["loss"] / 2
