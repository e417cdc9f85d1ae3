"""The compiled functions of runs: one after the other, replayed, and of every experiment."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.config.schema import pairs
from rnnexp.gradflow.nonfinite import find_origin
from rnnexp.run.divergence.verdict import divergence_verdict
from rnnexp.train.compiled import LaneStates, Programs, initial_state
from rnnexp.train.plan import make_plan
from tests.helpers.data_files import DATA, MUSIC
from tests.helpers.small_programs import configured, programs


def test_a_slot_s_next_run_gets_an_order_of_its_own() -> None:
    """Of the same epoch, but from another seed."""
    first, second = (configured("digits/rnn", seed=seed) for seed in (0, 1))
    program = programs("digits/rnn", seed=0)
    slots = LaneStates(program)
    plans = [make_plan(c, data_dir=None, chunk_steps=10) for c in (first, second)]
    losses = []
    for plan in plans:
        slots.put(0, plan, initial_state(plan))
        slots.launch([4], [1])
        losses.append(slots.records()[0].scalars["loss"][:4])
    alone = Programs(plans[1])
    _, records = alone.advance(alone.initial(), 4, 1)
    np.testing.assert_array_equal(losses[1], records.scalars["loss"][:4])


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


LONG = ("nottingham", "musedata", "piano_midi")  # minutes of compilation and steps
TOO_LARGE = {("binary_digits", "boltzmann")}  # 64 units are refused: cells/test_boltzmann.py
EVERY = [pair for pair in pairs() if pair not in TOO_LARGE]
OPTIONS: dict[str, dict[str, Any]] = {
    "tdnn": {"cell__delay_steps": 3},
    "graph": {"cell__start": "linear"},  # annotations may be wider than the hidden state
    "rbm": {"cell__chain": "mean_field", "cell__through_chain": True},  # samples have no slope
}
WITHOUT_SLOPE = ("boltzmann",)
"""Cells whose loss does not depend on their states."""


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
    program = programs(f"{task}/{cell}", **OPTIONS.get(cell, {}))
    state, records = program.advance(program.initial(), 3, 1)
    assert int(state.step) == 3
    for name, values in records.scalars.items():
        if not name.startswith(("slope", "half_life")):
            assert np.isfinite(values[:3]).all(), name
    assert all((norms[:3] >= 0).all() for norms in records.norms.values())
    for norms in records.norms.values():
        assert (norms[:3].max((1, 2)) > 0).all() == (cell not in WITHOUT_SLOPE)
    assert not bool(state.diverged)
    if task not in MUSIC and task != "mnist":
        assert all(np.isfinite(value) for value in program.scores("valid", state).values())
