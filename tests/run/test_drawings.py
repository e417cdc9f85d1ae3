"""Sequences are drawn from what the network says of its own symbols, given their class."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cli.main import main
from rnnexp.config.schema import experiment, finish
from rnnexp.core.errors import UsageError
from rnnexp.run.drawings import draw_sequences
from rnnexp.run.sample import Trained
from rnnexp.tasks.one_to_many import inputs_of
from rnnexp.train.compiled import initial_state
from rnnexp.train.plan import make_plan
from tests.helpers.small_run import small_config


@pytest.fixture(scope="module")
def trained() -> Trained:
    """An untrained LSTM whose outputs depend on what it reads."""
    config = experiment("digits_drawing/lstm")
    config.cell.hidden_size = 12
    plan = make_plan(finish(config), data_dir=None, chunk_steps=1)
    state = initial_state(plan)
    readout = state.params["readout"]
    readout["kernel"] = 6 * jax.random.normal(jax.random.key(0), readout["kernel"].shape)
    return Trained(plan, state)


def shown_again(trained: Trained, drawn_NxT: np.ndarray, classes: list[int]) -> np.ndarray:
    """p(pixel is white | those before) of drawn pictures, as in training, (N, T)."""
    vector = jax.nn.one_hot(jnp.asarray(classes), 10, dtype=float)
    inputs = inputs_of(vector, jnp.asarray(drawn_NxT.T, jnp.int32), 2)
    model = trained.model
    return np.asarray(jax.nn.softmax(model(inputs).outputs))[..., 1].T  # type: ignore[call-arg]


def test_the_likeliest_pixels_are_those_of_a_teacher_who_shows_them(trained: Trained) -> None:
    classes = [0, 3, 7]
    drawn = draw_sequences(trained, classes, temperature=0)
    assert drawn.shape == (3, 64)
    np.testing.assert_array_equal(drawn, shown_again(trained, drawn, classes) > 0.5)
    assert len({tuple(row) for row in drawn}) > 1  # the class has a say
    assert 0 < drawn.mean() < 1


def test_pixels_are_drawn_with_their_probabilities(trained: Trained) -> None:
    classes = [4] * 400
    drawn = draw_sequences(trained, classes, seed=3)
    p = shown_again(trained, drawn, classes)
    error = (drawn - p).sum(0) / np.sqrt((p * (1 - p)).sum(0))
    assert np.max(np.abs(error)) < 4.5
    assert np.std(error) > 0.5
    again = draw_sequences(trained, classes, seed=3)
    np.testing.assert_array_equal(drawn, again)
    assert np.any(drawn != draw_sequences(trained, classes, seed=4))


def test_only_classes_that_there_are_can_be_drawn(trained: Trained) -> None:
    with pytest.raises(UsageError, match="digits_drawing has the classes 0 to 9, not 10"):
        draw_sequences(trained, [3, 10])
    plan = make_plan(small_config(), data_dir=None, chunk_steps=1)
    with pytest.raises(UsageError, match="has no vector to begin a sequence with"):
        draw_sequences(Trained(plan, initial_state(plan)), [0])


def test_the_command_draws_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ["run", "digits_drawing/rnn", "--config.cell.hidden_size=8"]
    assert main([*run, "--config.train.duration_steps=2", "--runs-dir", str(tmp_path)]) == 0
    assert "loss without the class" in capsys.readouterr().out
    sample = ["sample", "digits_drawing/rnn", "--runs-dir", str(tmp_path)]
    for more, words in (
        ([], "pictures need a file: -o FILE.png"),
        (["-o", "x.png", "--prompt", "three"], "--prompt takes classes, such as 3 or 3,5"),
        (["-o", "x.png", "--prompt", "12"], "classes 0 to 9, not 12"),
    ):
        assert main([*sample, *more]) == 2
        assert words in capsys.readouterr().err
    file = tmp_path / "x.png"
    assert main([*sample, "-o", str(file), "--prompt", "3,5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": str(file)}
    assert file.read_bytes()[:4] == b"\x89PNG"
