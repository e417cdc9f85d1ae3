"""What beams find, width by width: exact answers, ln p, and search errors."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sacrebleu

from rnnexp.cli.main import main
from rnnexp.core.types import Batch
from rnnexp.data.sentence_pairs import read_pairs, split_pairs
from rnnexp.models.decode import beam, greedy
from rnnexp.run.beam_widths import beam_figures, target_log_p
from rnnexp.run.sample import answer, load_trained
from tests.helpers.transducers import LENGTHS, B, O, U, batch, model_of


def shown() -> Batch:
    """A batch whose targets end with the stop symbol."""
    x, symbols = batch()
    lengths = jnp.array([U, 2, 1], jnp.int32)[:B]
    ends = jnp.arange(U, dtype=jnp.int32)[:, None] < lengths[None] - 1
    return Batch(x, jnp.where(ends, jnp.maximum(symbols[:U], 1), 0), jnp.array(LENGTHS), lengths)


def test_ln_p_of_a_target_is_that_of_a_beam_which_has_found_it() -> None:
    model = model_of()
    given = shown()
    found = beam(model, given.inputs_TxBxI, given.lengths_B, steps=U, width=2)
    stops = np.asarray(found.length_BxW[:, 0]).astype(np.int32)
    again = given._replace(targets=found.symbols_UxBxW[..., 0], target_lengths_B=jnp.asarray(stops))
    np.testing.assert_allclose(
        target_log_p(model, again), found.log_likelihood_BxW[:, 0], rtol=1e-4
    )
    right, _, length, missed = beam_figures(model, again, found)
    assert right.tolist() == [1.0] * B
    assert missed.tolist() == [0.0] * B
    assert length.tolist() == stops.tolist()


def test_a_search_error_is_a_target_that_is_likelier_than_what_was_found() -> None:
    """The best of a wide beam is the target of a greedy one, which misses some of them."""
    missed_any = 0
    for seed in range(6):
        model = model_of()
        model.readout.kernel[...] = 2 * jax.random.normal(jax.random.key(seed), (5, O))
        given = shown()
        wide = beam(model, given.inputs_TxBxI, given.lengths_B, steps=U, width=60)
        first = greedy(model, given.inputs_TxBxI, given.lengths_B, steps=U)
        targets = wide.symbols_UxBxW[..., 0]
        lengths = wide.length_BxW[:, 0].astype(jnp.int32)
        narrow = beam(model, given.inputs_TxBxI, given.lengths_B, steps=U, width=1)
        right, _, _, missed = beam_figures(
            model, given._replace(targets=targets, target_lengths_B=lengths), narrow
        )
        other = np.any(np.asarray(first) != np.asarray(targets), 0)
        assert missed.tolist() == other.astype(float).tolist()
        assert right.tolist() == (~other).astype(float).tolist()
        missed_any += int(other.sum())
    assert missed_any > 0


def test_the_command_shows_widths_and_draws_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["run", "reverse/gru", "--config.cell.hidden_size=8", "--config.train.duration_steps=3"]
    run += ["--config.task.longest=4", "--config.eval.batch_size=32", "--config.eval.examples=32"]
    assert main([*run, "--runs-dir", str(tmp_path)]) == 0
    capsys.readouterr()
    inspect = ["inspect", "reverse/gru", "--runs-dir", str(tmp_path)]
    picture = tmp_path / "x.png"
    assert main([*inspect, "--beams", "1,3", "--plot", str(picture), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["width"] for row in found["beams"]] == [1, 3]
    assert found["examples"] == 32
    assert found["beams"][0]["log_p"] <= found["beams"][1]["log_p"] + 1e-5
    assert picture.read_bytes()[:4] == b"\x89PNG"
    for more, words in (
        (["--beams", "1,x"], "--beams takes widths, such as 1,2,4"),
        (["--beams", "0"], "a beam's width must be at least 1, not 0"),
        (["--length-power", "1"], "it goes with --beams"),
        (["--beams", "1", "--nodes"], "--nodes does not go with --beams"),
    ):
        assert main([*inspect, *more]) == 2
        assert words in capsys.readouterr().err


def sentences(file: Path) -> None:
    """Pairs of 2 to 4 words; some words are rare, and have no class."""
    random, lines = np.random.default_rng(0), []
    for _ in range(300):
        numbers = random.integers(0, 9, random.integers(2, 5))
        rare = "rare" if random.random() < 0.2 else ""
        source = [*(f"w{number}" for number in numbers), *[rare] * bool(rare)]
        target = [*(f"W{number % 4}" for number in numbers), *[rare.upper()] * bool(rare)]
        lines.append(" ".join(source) + "\t" + " ".join(target) + " .")
    file.write_text("\n".join(lines), encoding="utf-8")


def test_bleu_is_that_of_the_answers_and_the_sentences_of_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By sacrebleu on the texts themselves, unknown words among them."""
    file = tmp_path / "pairs.tsv"
    sentences(file)
    run = ["run", "translation/gru", "--runs-dir", str(tmp_path), f"--config.task.path={file}"]
    run += ["--config.task.lower=false", "--config.task.vocabulary=6", "--config.model.kernel=scan"]
    run += ["--config.cell.hidden_size=8", "--config.model.embedding_size=4"]
    assert main([*run, "--config.train.duration_steps=60", "--config.train.batch_size=16"]) == 0
    assert "unknown words of the target" in capsys.readouterr().out
    place = next((tmp_path / "translation" / "gru").iterdir())
    beams = ["inspect", str(place), "--beams", "1,3", "--length-power", "0.5"]
    assert main([*beams, "--json", "--plot", str(tmp_path / "x.svg")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "tok:none" in found["bleu_note"]
    assert ">BLEU<" in (tmp_path / "x.svg").read_text().replace("<!-- ", ">").replace(" -->", "<")
    assert "length^0.5" in (tmp_path / "x.svg").read_text()

    pairs = split_pairs(read_pairs(file, lower=False, marks=True), 0.1, 0.1)["valid"]
    assert found["examples"] == len(pairs)
    trained = load_trained(place)  # without the data
    answers = [answer(trained, " ".join(pair.source))[0][0] for pair in pairs]
    assert len(set(answers)) > 1
    truth = [" ".join(pair.target) for pair in pairs]
    expected = sacrebleu.corpus_bleu(answers, [truth], tokenize="none", force=True).score
    assert found["beams"][0]["bleu"] == pytest.approx(expected)
    assert 1 < expected < 99
    exact = np.mean([one == other for one, other in zip(answers, truth, strict=True)])
    assert found["beams"][0]["exact"] >= exact

    assert main(["sample", str(place), "--prompt", "w1 w2 w3 w4 w5 w6 w7"]) == 2
    assert "a question has 1 to 5 words, not 7" in capsys.readouterr().err
    assert main(["embeddings", str(place), "--near", "w1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["size"] == 4
