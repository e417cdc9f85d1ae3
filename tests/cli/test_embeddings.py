"""`rnnexp embeddings`: neighbours, tables and pictures of a run."""

import json
from pathlib import Path

import numpy as np
import pytest

from rnnexp.cli.main import main

SMALL = ["--config.cell.hidden_size=6", "--config.train.batch_size=4"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on words with an embedding, and one on characters without."""
    folder = tmp_path_factory.mktemp("runs")
    file = folder / "text.txt"
    file.write_text("the cat sat on the mat ; a dog ran . " * 40)
    for task in ("word_lm", "char_lm"):
        run = [
            "run",
            f"{task}/gru",
            *SMALL,
            f"--config.task.file={file}",
            "--runs-dir",
            str(folder),
        ]
        run += ["--config.task.window_steps=16", "--config.train.duration_steps=2"]
        run += ["--config.model.embedding_size=5"] * (task == "word_lm")
        assert main(run) == 0
    return folder


def test_a_run_shows_its_vectors(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["embeddings", "word_lm/gru", "--runs-dir", str(runs)]
    capsys.readouterr()
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "11 vectors of 5 numbers" in printed
    assert "<unk>" in printed
    table, picture = tmp_path / "x.npz", tmp_path / "x.png"
    more = ["--near", "cat", "--near", "dog", "--count", "3", "-o", str(table), "--plot"]
    assert main([*command, *more, str(picture), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [len(found["near"][word]) for word in ("cat", "dog")] == [3, 3]
    assert (found["symbols"], found["size"]) == (11, 5)
    assert found["files"] == [str(table), str(picture)]
    with np.load(table) as arrays:
        words, vectors = arrays["symbols"].tolist(), arrays["vectors"]
    assert vectors.shape == (11, 5)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for word, value in found["near"]["cat"]:
        by_hand = units[words.index("cat")] @ units[words.index(word)]
        np.testing.assert_allclose(value, by_hand, rtol=1e-4)
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert main([*command, "--near", "cat", "--count", "2"]) == 0
    assert "nearest to cat" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("word_lm/gru --near cats", "Did you mean 'cat'"),
        ("word_lm/gru --count 0", "--count must be at least 1"),
        ("word_lm/gru -o x.txt", "its ending must be one of .csv, .npz"),
        ("word_lm/gru --plot x.foo", "its ending must be one of"),
        ("char_lm/gru", "was trained with config.model.embedding_size=0"),
    ],
)
def test_what_it_cannot_show_is_said(
    runs: Path, capsys: pytest.CaptureFixture[str], arguments: str, words: str
) -> None:
    assert main(["embeddings", *arguments.split(), "--runs-dir", str(runs)]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
