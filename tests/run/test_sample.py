"""What runs write: continuations of a text, music files, answers."""

import json
from pathlib import Path

import pytest

from rnnexp.cli.main import main
from rnnexp.data.words import split_words
from tests.helpers.data_files import DATA, data_or_skip
from tests.helpers.midi_files import read_roll

TEXT = "the cat sat on the mat; a dog ran. " * 40
SMALL = ["--config.cell.hidden_size=8", "--config.train.batch_size=4"]


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
    assert main([*sample, "--json"]) == 0  # this text has no line end to begin after
    begun = json.loads(capsys.readouterr().out)["text"]
    assert len(begun) == 30
    assert set(begun) <= set(TEXT)
    firsts = set()
    for seed in range(12):
        assert main([*sample[:-1], "1", "--seed", str(seed), "--json"]) == 0
        firsts |= {json.loads(capsys.readouterr().out)["text"]}
    assert len(firsts) > 4
    for option in (["--beam", "1"], ["-o", str(tmp_path / "x.mid")]):
        assert main([*sample, *option]) == 2
        assert "does not go with text, which char_lm writes" in capsys.readouterr().err
    assert main([*sample, "--prompt", "the Z"]) == 2
    assert "'Z' at position 4" in capsys.readouterr().err
    assert main([*sample, "--prompt", "t", "--temperature", "-1"]) == 2
    assert "temperature must not be negative" in capsys.readouterr().err
    assert main([*sample, "--prompt", "t", "--seed", str(2**32)]) == 2
    assert "must be a seed from 0 to 4294967295, not 4294967296" in capsys.readouterr().err


def test_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Words are joined by spaces, an unknown one of the prompt is named, and no text is needed."""
    file = tmp_path / "text.txt"
    file.write_text(TEXT)
    run = ["run", "word_lm/gru", *SMALL, f"--config.task.file={file}", "--runs-dir", str(tmp_path)]
    run += ["--config.task.window_steps=16", "--config.train.duration_steps=5"]
    run += ["--config.model.embedding_size=8", "--config.model.tied_output=true"]
    assert main(run) == 0
    assert "perplexity" in capsys.readouterr().out
    file.unlink()
    sample = ["sample", "word_lm/gru", "--runs-dir", str(tmp_path), "--length", "12", "--json"]
    written = []
    for more in (["--prompt", "The CAT,"], ["--prompt", "The CAT,", "--seed", "1"], []):
        assert main([*sample, *more]) == 0
        written.append(json.loads(capsys.readouterr().out)["text"])
    assert written[0].startswith("The CAT, ")
    assert written[0] != written[1]
    words = written[0].removeprefix("The CAT, ").split(" ")
    assert len(words) == len(written[2].split(" ")) == 12
    assert {*words, *written[2].split(" ")} <= {*split_words(TEXT), "<unk>"}
    assert "words that the run does not know: ," in caplog.text
    assert "cat" not in caplog.text.rpartition("know: ")[2]


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
    for option in ("--length", "--temperature", "--top-k", "--seed"):
        assert main([*sample, "abc", option, "1"]) == 2
        assert f"{option} does not go with an answer" in capsys.readouterr().err
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
    assert read_roll(tmp_path / "x.mid")[0].shape == (20, 88)
    assert "silence" not in capsys.readouterr().out
    assert main([*sample, "-o", str(tmp_path / "x.mid"), "--prompt", "a"]) == 2
    assert "--prompt does not go with music" in capsys.readouterr().err
    sample[sample.index("20")] = "0"
    assert main([*sample, "-o", str(tmp_path / "x.mid")]) == 0
    assert "silence: no note sounds in its 0 steps" in capsys.readouterr().out


def test_a_run_that_writes_nothing_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["run", "adding/rnn", *SMALL, "--config.train.duration_steps=1"]
    assert main([*run, "--runs-dir", str(tmp_path)]) == 0
    capsys.readouterr()
    assert main(["sample", "adding/rnn", "--runs-dir", str(tmp_path), "-o", "x.mid"]) == 2
    assert "adding makes no music" in capsys.readouterr().err
    assert not Path("x.mid").exists()
