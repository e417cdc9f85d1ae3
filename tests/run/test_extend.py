"""A finished run that goes on is, bit for bit, the longer run; what would not be is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rnnexp.cli.main import main
from rnnexp.core.errors import UsageError
from rnnexp.run.about import About, read_about
from rnnexp.run.run import run
from tests.helpers.small_run import assert_same_runs, small_config

SHORT: dict[str, Any] = {
    "train__duration_steps": 60, "eval__every_steps": 30, "optimizer__schedule": "constant",
    "model__num_layers": 1,
}  # fmt: skip


def test_a_run_that_goes_on_is_the_longer_run(tmp_path: Path) -> None:
    named = About("short", ("first",), "why")
    short = run(small_config(**SHORT), runs_dir=tmp_path / "one", about=named)
    assert read_about(short.path) == named
    before = {p: p.read_bytes() for p in short.path.rglob("*") if p.is_file()}
    longer = small_config(**SHORT | {"train__duration_steps": 90})
    extended = run(longer, runs_dir=tmp_path / "one", origin=short.path)
    whole = run(longer, runs_dir=tmp_path / "two")
    assert extended.status == "completed"
    assert extended.path.name == whole.path.name
    assert read_about(extended.path) == About()  # a name is of one run
    assert_same_runs(extended.path, whole.path, longer)
    assert {p: p.read_bytes() for p in short.path.rglob("*") if p.is_file()} == before
    environment = json.loads((extended.path / "environment.json").read_text())
    assert environment["extends"] == {"run": str(short.path), "step": 60}
    assert run(longer, runs_dir=tmp_path / "one", origin=short.path).step == 90  # and only once


@pytest.mark.parametrize(
    ("made", "changes", "words"),
    [
        ({}, {"optimizer__learning_rate": 0.1}, r"config\.optimizer\.learning_rate is .* and 0\.1"),
        ({}, {"train__duration_steps": 60}, "has 60 steps already"),
        ({"optimizer__schedule": "cosine"}, {}, "rates depend on the duration"),
        ({"eval__every_steps": 50}, {}, "validated at its end, after step 60"),
        ({"early_stopping__patience": 1, "optimizer__learning_rate": 1e-9}, {}, "early stopping"),
    ],
)
def test_what_would_not_be_the_longer_run_is_refused(
    tmp_path: Path, made: dict[str, Any], changes: dict[str, Any], words: str
) -> None:
    config = SHORT | {"eval__every_steps": 15} | made
    short = run(small_config(**config), runs_dir=tmp_path)
    longer = small_config(**config | {"train__duration_steps": 120} | changes)
    with pytest.raises(UsageError, match=words):
        run(longer, runs_dir=tmp_path / "other", origin=short.path)
    assert not (tmp_path / "other").exists()


def test_a_directory_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"not a run's directory: it has no status\.json"):
        run(small_config(**SHORT), runs_dir=tmp_path / "runs", origin=tmp_path)


def test_a_run_is_made_again_from_the_command_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = run(small_config(**SHORT), runs_dir=tmp_path / "one")
    other = ["--runs-dir", str(tmp_path / "two")]
    assert main(["run", "--again", str(made.path), *other]) == 0
    assert "its test scores are those of" in caplog.text
    assert main(["run", "--again", str(made.path), "--config.seed=5", *other]) == 0
    assert "its test scores are not those of" in caplog.text
    assert len(list((tmp_path / "two" / "adding" / "lstm").iterdir())) == 2
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one").rename(tmp_path / "runs")
    made = replace(made, path=tmp_path / "runs" / made.path.relative_to(tmp_path / "one"))
    assert main(["run", "--again", "adding/lstm", "--runs-dir", "three"]) == 0
    assert main(["run", "--again", "adding/lstm"]) == 0
    assert "this is that run itself" in caplog.text
    longer = ["run", "--from", str(made.path), "--config.train.duration_steps=90"]
    assert main([*longer, *other]) == 0
    assert "completed after 90 steps" in capsys.readouterr().out
    assert f"goes on from step 60 of {made.path}" in caplog.text
    for wrong, words in (
        (["run", "adding/lstm", "--again", str(made.path)], "name one experiment"),
        (["run", "--again", str(made.path), "--from", str(made.path)], "name one experiment"),
        (["run", "--again", str(made.path), "--config=x.py"], "has a configuration already"),
        (["run", "--again", "nothing", *other], "unknown run 'nothing'"),
    ):
        assert main(wrong) == 2
        assert words in capsys.readouterr().err
