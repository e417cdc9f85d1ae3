"""The command `inspect --attention` shows a question, its story, and the weights of every hop."""

import json
from pathlib import Path

import numpy as np
import pytest

from rnnexp.cli.main import main
from rnnexp.run.attention import attended
from rnnexp.run.sample import load_trained

K, D, J = 2, 5, 3
SMALL = [
    f"--config.{key}"
    for key in (
        "cell.hidden_size=5", "cell.hops=2", "train.duration_steps=30", "eval.every_steps=30",
        "eval.examples=16", "train.batch_size=16", "optimizer.learning_rate=0.05",
    )
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a memory network on chained facts."""
    folder = tmp_path_factory.mktemp("attention")
    assert main(["run", "chained_facts/memory_network", *SMALL, "--runs-dir", str(folder)]) == 0
    (path,) = (folder / "chained_facts" / "memory_network").iterdir()
    return path


def test_weights_and_answer_are_those_of_the_network(run: Path) -> None:
    """Computed again from the weights of the checkpoint and the words that are shown."""
    found = attended(run, example=4)
    trained = load_trained(run, with_data=True)
    words = trained.plan.recipe.task.words
    assert words is not None
    model = trained.model
    params = {k: np.asarray(v, float) for k, v in model.units()[0].layer.params().items()}

    def bag(table: np.ndarray, text: str) -> np.ndarray:
        total = np.zeros(D)
        for j, word in enumerate(text.split(), 1):
            i = np.arange(1, D + 1)
            weight = 1 + 4 * (i - (D + 1) / 2) * (j - (J + 1) / 2) / (D * J)
            total += weight * table[words.index(word)]
        return total

    ages = np.arange(len(found.sentences))[::-1]
    reads = [
        np.array([bag(params["embedding"][k], s) for s in found.sentences])
        + params["time"][k, ages]
        for k in range(K + 1)
    ]
    u = bag(params["embedding"][0], found.question)
    for hop in range(K):
        scores = reads[hop] @ u
        empty = params["time"].shape[1] - len(scores)
        total = np.exp(scores).sum() + empty
        p = np.exp(scores) / total
        np.testing.assert_allclose(found.weights_KxM[hop], p, rtol=1e-4)
        assert found.empty_K is not None
        np.testing.assert_allclose(found.empty_K[hop], empty / total, rtol=1e-4)
        u = u + p @ reads[hop + 1]
    logits = params["embedding"][K] @ u
    logits[0] = 0
    chances = np.exp(logits) / np.exp(logits).sum()
    assert found.given == words[int(np.argmax(chances))]
    np.testing.assert_allclose(found.chance, chances[words.index(found.answer)], rtol=1e-4)
    assert len(found.sentences) == 12
    facts = {s.split()[0]: s.split()[2] for s in found.sentences}
    assert found.answer == facts[facts[found.question.split()[1]]]


def test_it_is_printed(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = attended(run, example=1)
    assert main(["inspect", str(run), "--attention", "--example", "1"]) == 0
    shown = capsys.readouterr().out
    assert found.question in shown
    for words in (*found.sentences, "hop 1", "hop 2", f"answer: {found.given} ("):
        assert words in shown
    row = next(line for line in shown.splitlines() if found.sentences[3] in line)
    assert [f"{w:.2f}" in row for w in found.weights_KxM[:, 3]] == [True, True]
    assert main(["inspect", str(run), "--attention", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["axis"] == "hop"
    assert np.shape(data["weights_KxM"]) == (2, 12)
    assert data["sentences"] != found.sentences  # of example 0
    total = np.sum(data["weights_KxM"], 1) + data["empty_K"]
    np.testing.assert_allclose(total, 1, rtol=1e-5)
    row = next(line for line in shown.splitlines() if "(empty slots)" in line)
    assert [f"{w:.2f}" in row for w in np.asarray(found.empty_K)] == [True, True]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--attention", "--example", "-1"], "has those from 0 on"),
        (["--example", "1"], "--example names a test question; it goes with --attention"),
        (["--attention", "--plot", "x.png"], "--plot does not go with --attention"),
        (["--attention", "--divergence"], "--attention does not go with --divergence"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_shown_is_one_line(
    run: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(run), *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1


def test_a_cell_without_attention_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = [option for option in SMALL if "hops" not in option]
    name = "chained_facts/feedforward"
    assert main(["run", name, *small, "--runs-dir", str(tmp_path)]) == 0
    capsys.readouterr()
    assert main(["inspect", name, "--runs-dir", str(tmp_path), "--attention"]) == 2
    assert "the cell feedforward attends to no sentences" in capsys.readouterr().err
