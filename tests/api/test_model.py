"""A loaded model computes what the run's evaluation did, by NumPy and by its files."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnnexp
from rnnexp.api.model import TrainedModel
from rnnexp.config.overrides import configuration
from rnnexp.config.schema import run_id
from rnnexp.models.forward import ForwardOptions
from rnnexp.run.files import read_json
from rnnexp.train.evaluate import batch_scores
from rnnexp.train.plan import make_plan


def lstm_step(
    cell: dict[str, np.ndarray], h: np.ndarray, c: np.ndarray, x: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """h and c (B, H) after a step of an LSTM, whose kernels have the gates i, f, g, o in order."""
    i, f, g, o = np.split(x @ cell["w_x"] + h @ cell["w_h"] + cell["b"], 4, axis=1)
    c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
    return np.tanh(c) / (1 + np.exp(-o)), c


@pytest.fixture(scope="module")
def loaded(small_run: Path) -> rnnexp.TrainedModel:
    """The best checkpoint of the small run, with data."""
    return rnnexp.load_model(small_run, with_data=True)


def test_it_is_the_best_checkpoint_of_the_run(loaded: TrainedModel, small_run: Path) -> None:
    status = read_json(small_run / "status.json") or {}
    assert loaded.step == status["best"]["step"]
    assert loaded.run == small_run
    assert run_id(loaded.config) == small_run.name
    assert loaded.task.name == "adding"
    found = loaded.scores(loaded.batch("test", 64))
    assert found["loss"] == pytest.approx(status["test"]["loss"], rel=1e-5)


def test_other_checkpoints_can_be_chosen(loaded: TrainedModel, small_run: Path) -> None:
    names: tuple[str | int, ...] = ("best", "last", 20, 40)
    steps = {name: rnnexp.load_model(small_run, checkpoint=name).step for name in names}
    assert steps == {"best": loaded.step, "last": 40, 20: 20, 40: 40}
    wrong: tuple[Any, ...] = ("latest", 21, True, None)
    for name in wrong:
        with pytest.raises(rnnexp.UsageError, match=r"unknown checkpoint .* Known: 20, 40, best"):
            rnnexp.load_model(small_run, checkpoint=name)


@pytest.mark.parametrize("name", ["adding/lstm", "ID"])
def test_a_run_is_named_as_on_the_command_line(small_run: Path, name: str) -> None:
    given = small_run.name[:8] if name == "ID" else name
    model = rnnexp.load_model(given, runs_dir=small_run.parents[2])
    assert model.run == small_run
    with pytest.raises(rnnexp.UsageError, match="Did you mean 'adding/lstm'"):
        rnnexp.load_model("adding/lst", runs_dir=small_run.parents[2])


def test_outputs_and_states_are_those_of_the_equations(loaded: TrainedModel) -> None:
    """An LSTM and its readout, step by step in NumPy."""
    batch = loaded.batch("valid", 6)
    found = loaded(batch)
    cell = {name: np.asarray(leaf) for name, leaf in loaded.model.units()[0].layer.params().items()}
    readout: Any = loaded.model.readout
    h, c = np.zeros((6, 5)), np.zeros((6, 5))
    assert found.states["layer_0"]["h"].shape == (8, 6, 5)
    for t, x in enumerate(np.asarray(batch.inputs_TxBxI)):
        h, c = lstm_step(cell, h, c, x)
        np.testing.assert_allclose(found.states["layer_0"]["h"][t], h, atol=1e-5)
        np.testing.assert_allclose(found.states["layer_0"]["c"][t], c, atol=1e-5)
    np.testing.assert_allclose(found.final["layer_0"]["h"], h, atol=1e-5)
    outputs = h @ np.asarray(readout.kernel[...]) + np.asarray(readout.bias[...])
    np.testing.assert_allclose(found.outputs, outputs, atol=1e-5)


def test_a_sequence_may_be_read_in_two_parts(loaded: TrainedModel) -> None:
    inputs = loaded.batch("test", 4).inputs_TxBxI
    whole = loaded(inputs)
    first = loaded(inputs[:3])
    second = loaded(inputs[3:], states=first.final)
    np.testing.assert_allclose(second.outputs, whole.outputs, atol=1e-6)
    np.testing.assert_allclose(
        second.states["layer_0"]["c"], whole.states["layer_0"]["c"][3:], atol=1e-6
    )
    with pytest.raises(rnnexp.UsageError, match="Did you mean 'layer_0'"):
        loaded(inputs, states={"layer_1": first.final["layer_0"]})
    with pytest.raises(rnnexp.UsageError, match="no states of the units layer_0"):
        loaded(inputs, states={})


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (np.zeros((8, 4, 3)), r"inputs of adding are \(T, B, 2\).*not \(8, 4, 3\)"),
        (np.zeros((8, 2)), r"not \(8, 2\)"),
        ("text", "a batch is an array"),
    ],
)
def test_inputs_of_another_shape_are_refused(loaded: TrainedModel, inputs: Any, words: str) -> None:
    with pytest.raises(rnnexp.UsageError, match=words):
        loaded(inputs)


def test_without_data_it_computes_and_says_what_it_lacks(
    loaded: TrainedModel, small_run: Path
) -> None:
    bare = rnnexp.load_model(small_run)
    batch = loaded.batch("test", 3)
    np.testing.assert_array_equal(bare(batch).outputs, loaded(batch).outputs)
    for use in (lambda: bare.batch(), lambda: bare.scores(batch)):
        with pytest.raises(rnnexp.UsageError, match=r"load_model\(RUN, with_data=True\)"):
            use()
    with pytest.raises(rnnexp.UsageError, match="Did you mean 'test'"):
        loaded.batch("tests")
    with pytest.raises(rnnexp.UsageError, match="size of a batch must be at least 1"):
        loaded.batch("test", 0)


CASES = [
    ("digits/rnn", {}),
    ("mackey_glass/narx", {}),
    ("reverse/gru", {"model.attention": "dot"}),
    ("chained_facts/memory_network", {}),
    ("cycle_or_path/graph", {}),
]


def untrained(name: str, changes: dict[str, Any]) -> tuple[TrainedModel, Any]:
    """A model with its initial weights, and the plan of its run."""
    config = configuration(name, {"cell.hidden_size": 4} | changes)
    plan = make_plan(config, data_dir=None, chunk_steps=1)
    recipe = plan.recipe
    model = recipe.model(plan.params)
    return TrainedModel(model, plan.params, recipe.task, config, 0, Path("none"), True), plan


@pytest.mark.parametrize(("name", "changes"), CASES)
def test_a_batch_of_every_kind_has_the_scores_of_an_evaluation(
    name: str, changes: dict[str, Any]
) -> None:
    model, plan = untrained(name, changes)
    batch = model.batch("test", 3)
    wanted, _ = jax.jit(lambda params: batch_scores(plan.recipe, params, batch))(plan.params)
    found = model.scores(batch)
    assert found
    for score, value in found.items():
        assert value == pytest.approx(float(jnp.asarray(wanted[score].mean())), rel=1e-5), score


def test_inputs_alone_do_where_nothing_else_is_read() -> None:
    """A network with output feedback then runs on its own outputs."""
    model, _ = untrained("mackey_glass/narx", {})
    inputs = model.batch("test", 2).inputs_TxBxI
    network: Any = model.model
    free = network(inputs, ForwardOptions(forced_steps=0)).outputs
    np.testing.assert_allclose(model(inputs).outputs, free, rtol=1e-5)
    assert not np.allclose(model(model.batch("test", 2)).outputs, free)
    for name in ("reverse/gru", "chained_facts/memory_network"):
        other, _ = untrained(name, {})
        with pytest.raises(rnnexp.UsageError, match=r"give a rnnexp\.Batch"):
            other(other.batch("test", 2).inputs_TxBxI)
        if name == "reverse/gru":
            with pytest.raises(rnnexp.UsageError, match="takes no states"):
                other(other.batch("test", 2), states={})
