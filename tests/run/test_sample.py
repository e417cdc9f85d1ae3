"""What runs write: continuations whose state is carried, music files, answers."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cli.main import main
from rnnexp.data.midi import read_midi
from rnnexp.models.generate import generate, notes_draw, symbol_draw
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.structure import Structure
from tests.helpers.data_files import DATA, data_or_skip
from tests.helpers.variants import build

TEXT = "the cat sat on the mat; a dog ran. " * 40
SMALL = ["--config.cell.hidden_size=8", "--config.train.batch_size=4"]


def test_a_continuation_is_that_of_a_state_carried_on() -> None:
    """Each symbol is the likeliest after the whole text before it, read from the start."""
    model = SequenceModel(
        lambda size, layer: build(("lstm", {}), size, 6),
        structure=Structure(num_layers=2),
        input_size=5,
        output_size=5,
        mode="synchronous",
        key=jax.random.key(3),
    )
    text = jax.nn.one_hot(jnp.array([1, 4, 2]), 5)[:, None]
    drawn = generate(model, text, symbol_draw(0.0, 0), steps=6, key=jax.random.key(0))
    for _ in range(6):
        likeliest = jnp.argmax(model(text).outputs[-1], -1)
        text = jnp.concatenate([text, jax.nn.one_hot(likeliest, 5)[None]])
    np.testing.assert_array_equal(drawn, text[3:])


def test_symbols_are_drawn_as_their_temperature_says() -> None:
    logits = jnp.broadcast_to(jnp.log(jnp.array([0.5, 0.3, 0.15, 0.05]))[None], (20_000, 4))

    def shares(temperature: float, top_k: int) -> np.ndarray:
        drawn = symbol_draw(temperature, top_k)(jax.random.key(0), logits)
        return np.asarray(jnp.mean(drawn, 0))

    # the deviation of a share of 20,000 draws is at most 0.0035, five of it 0.018
    np.testing.assert_allclose(shares(1.0, 0), [0.5, 0.3, 0.15, 0.05], atol=0.018)
    np.testing.assert_allclose(shares(1.0, 2), [0.625, 0.375, 0, 0], atol=0.018)
    squared = np.array([0.25, 0.09, 0.0225, 0.0025])
    np.testing.assert_allclose(shares(0.5, 0), squared / squared.sum(), atol=0.018)
    np.testing.assert_array_equal(shares(0.0, 3), [1, 0, 0, 0])


def test_notes_are_drawn_one_by_one() -> None:
    logits = jnp.broadcast_to(jnp.array([[-1.0, 2.0]]), (20_000, 2))
    drawn = notes_draw(1.0)(jax.random.key(0), logits)
    np.testing.assert_allclose(jnp.mean(drawn, 0), jax.nn.sigmoid(logits[0]), atol=0.018)
    np.testing.assert_array_equal(notes_draw(0.0)(jax.random.key(0), logits)[0], [0, 1])


def test_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "text.txt"
    file.write_text(TEXT)
    run = ["run", "char_lm/gru", *SMALL, f"--config.task.file={file}", "--runs-dir", str(tmp_path)]
    run += ["--config.task.window_steps=16", "--config.train.duration_steps=5"]
    assert main(run) == 0
    capsys.readouterr()
    sample = ["sample", "char_lm/gru", "--runs-dir", str(tmp_path), "--length", "30"]
    written = []
    for more in (["--prompt", "the "], ["--prompt", "the ", "--seed", "1"], ["--prompt", "the "]):
        assert main([*sample, *more, "--json"]) == 0
        written.append(json.loads(capsys.readouterr().out)["text"])
    assert written[0] == written[2] != written[1]
    assert written[0].startswith("the ")
    assert len(written[0]) == 34
    assert set(written[0]) <= set(TEXT)
    assert main([*sample, "--prompt", "the Z"]) == 2
    assert "'Z' at position 4" in capsys.readouterr().err
    assert main([*sample, "--prompt", "t", "--temperature", "-1"]) == 2
    assert "temperature must not be negative" in capsys.readouterr().err


def test_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ["run", "reverse/gru", *SMALL, "--config.train.duration_steps=3"]
    assert main([*run, "--runs-dir", str(tmp_path), "--config.eval.examples=64"]) == 0
    capsys.readouterr()
    sample = ["sample", "reverse/gru", "--runs-dir", str(tmp_path), "--prompt"]
    assert main([*sample, "abc", "--beam", "3", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 3
    assert [row["ln p"] for row in rows] == sorted((row["ln p"] for row in rows), reverse=True)
    assert main([*sample, "abc"]) == 0
    assert "ln p" in capsys.readouterr().out
    for question, words in (("", "1 to 10 symbols"), ("abz", "'z'")):
        assert main([*sample, question]) == 2
        assert words in capsys.readouterr().err


def test_music(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    data_dir = data_or_skip(DATA["jsb_chorales"])
    run = ["run", "jsb_chorales/rnn", *SMALL, "--config.train.duration_steps=2"]
    run += ["--data-dir", str(data_dir)]
    assert main([*run, "--runs-dir", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "loss 10.49  loss_per_sequence 10.49" in printed  # numbers of the Markov chain
    assert " 61" in printed  # 88 ln 2
    assert "3 buckets of up to" in caplog.text
    assert "one compilation for all" in caplog.text
    sample = ["sample", "jsb_chorales/rnn", "--runs-dir", str(tmp_path), "--length", "20"]
    sample += ["--data-dir", str(data_dir)]
    assert main(sample) == 2
    assert "-o FILE.mid" in capsys.readouterr().err
    assert main([*sample, "-o", str(tmp_path / "x.mid")]) == 0
    assert read_midi(tmp_path / "x.mid").roll_Tx88.shape[1] == 88


def test_a_run_that_writes_nothing_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["run", "adding/rnn", *SMALL, "--config.train.duration_steps=1"]
    assert main([*run, "--runs-dir", str(tmp_path)]) == 0
    capsys.readouterr()
    assert main(["sample", "adding/rnn", "--runs-dir", str(tmp_path), "-o", "x.mid"]) == 2
    assert "adding makes no music" in capsys.readouterr().err
    assert not Path("x.mid").exists()
