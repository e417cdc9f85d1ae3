"""The command line on runs that are there: what clipping did, divergences, reports, exports."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rnnexp.cli.main import COMMANDS, main, parser
from rnnexp.results.clipping import audit, clip_data, clip_lines
from rnnexp.results.load import load_run
from tests.helpers.exported import needed
from tests.helpers.logged_runs import write_logged_run

TINY = {
    "task.length_steps": 6,
    "cell.hidden_size": 4,
    "cell.activation": "relu",
    "train.batch_size": 4,
    "train.duration_steps": 20,
    "record.every_steps": 1,
    "eval.every_steps": 20,
    "eval.examples": 16,
    "eval.batch_size": 16,
    "optimizer.name": "sgd",
    "optimizer.learning_rate": 1e30,
    "clip.name": "none",
}


@pytest.fixture
def rewritten(tmp_path: Path) -> Any:
    """Writes a run whose clipping and logged figures are those given."""

    def write(name: str, threshold: float, **figures: list[Any]) -> Any:
        changes = {"clip.name": name, "clip.threshold": threshold}
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        path = write_logged_run(folder, changes=changes)
        lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
        for number, row in enumerate(row for row in lines if row["kind"] == "train"):
            row |= {key: values[number] for key, values in figures.items()}
        (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
        return load_run(path)

    return write


def test_a_parser_and_a_suggestion_for_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["--help"])
    listed = capsys.readouterr().out.partition("COMMAND\n")[2].partition("\n\n")[0]
    assert {line.split()[0] for line in listed.splitlines()} == set(COMMANDS)


def test_help_starts_quickly(tmp_path: Path) -> None:
    slow = ("jax", "numpy", "xarray", "pandas", "matplotlib", "plotly", "rich", "ml_collections")
    code = f"""
import sys, rnnexp.cli.main
try:
    rnnexp.cli.main.main(["export", "--help"])
except SystemExit:
    print([name for name in {slow} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.endswith("\n[]\n"), done


def test_inspect_says_what_clipping_did(rewritten: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run = rewritten("global_norm", 1.0)
    assert main(["inspect", str(run.path)]) == 0
    shown = capsys.readouterr().out
    assert (
        "gradient norm at 4 recorded steps: median 17, largest 32; "
        "clipped by global_norm at 1: median 1\n" in shown
    )
    assert "clipping fires on 50 % of the steps" in shown
    assert "the direction is kept\n" in shown
    assert main(["inspect", str(run.path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["clipping"]
    assert (told["name"], told["threshold"], told["fired_share"]) == ("global_norm", 1.0, 0.5)
    assert (told["median_before"], told["median_after"], told["max_before"]) == (17.0, 1.0, 32.0)
    assert told["verdict"][1] == "the direction is kept"


def test_a_threshold_that_never_acts_and_one_that_always_does(rewritten: Any) -> None:
    before = [2.0, 12.0, 22.0, 32.0]
    run = rewritten("global_norm", 100.0, grad_norm_clipped=before, clip_fired=[False] * 4)
    assert clip_lines(run)[1].startswith("clipping is a no-op: threshold 100 is above every norm")
    run = rewritten("value", 0.1, clip_fired=[True] * 4, clip_cosine=[1.0, 0.9, 0.25, 1.0])
    assert clip_lines(run)[1].startswith("clipping fires on nearly every step (100 %)")
    assert clip_lines(run)[1].endswith("as low as 0.25")


def test_no_clipping_and_steps_that_are_not_finite(rewritten: Any) -> None:
    before = [2.0, 4.0, "NaN", 6.0]
    figures = {"grad_norm_clipped": before, "clip_fired": [False] * 4}
    (first, second) = clip_lines(rewritten("none", 1.0, grad_norm=before, **figures))
    assert first == "gradient norm at 3 recorded steps: median 4, largest 6; not clipped"
    assert second == "1 step with a norm that is not finite left out"
    nothing = rewritten("none", 1.0, grad_norm=["NaN"] * 4, **figures)
    assert "nothing to audit" in clip_lines(nothing)[0]
    assert (clip_data(nothing) or {})["steps"] == 0


def test_a_run_without_recorded_steps_has_no_audit(tmp_path: Path) -> None:
    run = load_run(write_logged_run(tmp_path / "runs", steps=(0,)))
    run.metrics[:] = [row for row in run.metrics if row["kind"] != "train"]
    assert (audit(run), clip_lines(run), clip_data(run)) == (None, [], None)


def test_inspect_explains_a_divergence_and_replays_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = [f"--config.{key}={value}" for key, value in TINY.items()]
    assert main(["run", "adding/rnn", *changes, "--runs-dir", str(tmp_path)]) == 0
    assert "diverged after " in capsys.readouterr().out
    command = ["inspect", "adding/rnn", "--divergence", "--runs-dir", str(tmp_path)]
    assert main([*command, "--data-dir", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "recorded: steps 0 to " in shown
    assert ": identical (" in shown


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("inspect RUN --divergence", "has not diverged: its status is completed"),
        ("inspect RUN --divergence --plot x.png", "does not go with --divergence"),
        ("inspect RUN --data-dir x", "it goes with --divergence"),
        ("report", "DIR"),
        ("report nowhere", "nowhere holds no runs"),
        ("report RUN -o x.pdf", "its name must end in .html"),
        ("report RUN -o none/x.html", "there is no directory none"),
        ("export RUN", "--to"),
        ("export RUN --to tensorbord -o out", "Did you mean 'tensorboard'?"),
        ("export addin/lstm --to wandb -o out --runs-dir RUNS", "Did you mean 'adding/lstm'?"),
        ("exprot RUN", "Did you mean 'export'?"),
        ("compare RUN", "two runs or more"),
    ],
)
def test_bad_input_is_answered_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    words: str,
) -> None:
    runs = tmp_path / "runs"
    path = write_logged_run(runs)
    monkeypatch.chdir(tmp_path)
    said = command.replace("RUNS", str(runs)).replace("RUN", str(path))
    assert main(said.split()) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("rnnexp: ")
    assert printed.err.count("\n") == 1
    assert words in printed.err
    assert [p.name for p in tmp_path.iterdir()] == ["runs"]


def test_a_report_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_logged_run(tmp_path / "runs")
    page = tmp_path / "page.html"
    assert main(["report", str(tmp_path / "runs"), "-o", str(page)]) == 0
    assert capsys.readouterr().out.startswith(f"written: {page} (")
    assert path.name in page.read_text()


def test_an_export_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needed("tensorboard")
    path = write_logged_run(tmp_path / "runs")
    out = tmp_path / "out"
    assert main(["export", str(path), "--to", "tensorboard", "-o", str(out)]) == 0
    assert f"tensorboard --logdir {out}" in capsys.readouterr().out
