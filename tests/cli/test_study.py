"""The command `study`: plan, trainings, table, files; killed and gone on with."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rnnexp.cli.main import main

ROOT = Path(__file__).parent.parent.parent
FILE = """\
import sys
sys.path.insert(0, {root!r})
from dataclasses import replace
from tests.helpers.small_study import number, quick, small_study
from rnnexp.study import Margin

def get_study():
    return small_study({more})
"""


def study_file(tmp_path: Path, more: str = "", name: str = "s.py") -> Path:
    file = tmp_path / name
    file.write_text(FILE.format(root=str(ROOT), more=more))
    return file


def test_study_is_trained_judged_written_and_judged_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, runs = study_file(tmp_path), str(tmp_path / "runs")
    outputs = [tmp_path / f"t{ending}" for ending in (".json", ".md", ".tex", ".html")]
    written = [part for output in outputs for part in ("-o", str(output))]
    assert main(["study", str(file), "--runs-dir", runs, *written]) == 0
    first = capsys.readouterr().out
    assert "5 claims, 4 to be tested" in first
    assert "8 runs in 2 compile groups" in first
    assert "not comparable: private data" in first
    assert all(output.stat().st_size > 300 for output in outputs)

    assert main(["study", str(file), "--runs-dir", runs, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    stored = ["study", str(file), "--from", str(outputs[0]), "--json"]
    assert main(stored) == 0
    from_file = json.loads(capsys.readouterr().out)
    assert from_file["verdicts"] == again["verdicts"]
    assert from_file["stored_hash"] == again["claims_hash"]

    wider = study_file(tmp_path, "number(margin=Margin(9.0, 'why'))", "wider.py")
    assert main(["study", str(wider), "--from", str(outputs[0])]) == 0
    assert "THE CLAIMS HAVE CHANGED" in capsys.readouterr().out
    assert main(["study", str(tmp_path), "-o", str(tmp_path / "all.md")]) == 0
    assert "small" in (tmp_path / "all.md").read_text()


def test_dry_run_plans_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, runs = study_file(tmp_path), tmp_path / "runs"
    assert main(["study", str(file), "--runs-dir", str(runs), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "on this machine" in out
    assert not runs.exists()
    assert main(["study", str(file), "--runs-dir", str(runs), "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [group["runs"] for group in plan["groups"]] == [4, 4]


@pytest.mark.parametrize(
    ("more", "arguments", "said"),
    [
        (
            "groups=[quick('lstm', 'lstm', 3), quick('rnn', 'rnn', 3)]",
            [],
            "fewer than 4, nothing can be decided",
        ),
        ("number(), groups=[quick('lstm', 'lstm', 1)]", [], "one value has no spread"),
        ("", ["-o", "x.pdf"], "must end in"),
        ("", ["-o", "nowhere/x.md"], "there is no directory nowhere"),
        ("", ["--from", "nothing.json"], "cannot read nothing.json"),
        ("", ["--dry-run", "-o", "x.md"], "--dry-run judges nothing"),
        ("", ["--executor", "slrum"], "Did you mean 'slurm'"),
        ("", ["--jobs", "0"], "--jobs must be at least 1"),
    ],
)
def test_bad_input_is_one_line_and_starts_nothing(
    more: str, arguments: list[str], said: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    file = study_file(tmp_path, more)
    assert main(["study", str(file), "--runs-dir", "runs", *arguments]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_directory_without_results_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", str(tmp_path)]) == 2
    assert "holds no results" in capsys.readouterr().err
    assert main(["study", str(tmp_path / "no.py")]) == 2
    assert "no study file" in capsys.readouterr().err


def test_killed_study_goes_on_and_prints_the_same_table(tmp_path: Path) -> None:
    """Byte for byte but for the hours, which are times."""
    file = study_file(
        tmp_path,
        "number(), groups=[replace(quick('lstm', 'lstm', 3), "
        "changes={**quick('a', 'lstm').changes, 'train.duration_steps': 45})]",
    )

    def command(runs: str) -> list[str]:
        return [sys.executable, "-m", "rnnexp", "study", str(file), "--runs-dir",
                str(tmp_path / runs), "--width", "1", "--jobs", "1"]  # fmt: skip

    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    whole = subprocess.run(
        command("whole"), env=environment, capture_output=True, text=True, check=True
    )
    begun = subprocess.Popen(command("cut"), env=environment, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
    limit = time.monotonic() + 120
    while not list((tmp_path / "cut").glob("adding/lstm/*/checkpoints/*")):
        assert time.monotonic() < limit
        time.sleep(0.05)
    os.killpg(begun.pid, signal.SIGKILL)
    begun.wait()
    resumed = subprocess.run(
        command("cut"), env=environment, capture_output=True, text=True, check=True
    )

    def table(text: str) -> list[str]:
        last = text.rindex("A & B 2020: Table 1")
        return [line for line in text[last:].splitlines() if not line.endswith(" hours")]

    assert table(resumed.stdout) == table(whole.stdout)
