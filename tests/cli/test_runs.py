"""The command `runs`, and how `list runs` shows, filters and sorts what it says."""

import io
import json
from pathlib import Path

import pytest

from rnnexp.cli.main import main
from rnnexp.run.files import RunLog
from tests.helpers.synthetic_runs import write_run


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three runs of a cell with seeds 0, 1, 2, the last one failed, in `runs`."""
    monkeypatch.chdir(tmp_path)
    return [
        write_run(Path("runs"), changes={"seed": seed}, age=seed, test={"loss": 0.5 - 0.1 * seed},
                  status="failed" if seed == 2 else "completed")
        for seed in range(3)
    ]  # fmt: skip


def listed(*arguments: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    capsys.readouterr()
    assert main(["list", "runs", "--json", *arguments]) == 0
    return [row["label"] for row in json.loads(capsys.readouterr().out)]


def test_runs_are_labelled(runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    identity = runs[1].rpartition("/")[2]
    assert (
        main(["runs", "label", f"runs/{runs[1]}", "--name", "mine", "--tag", "a", "--tag=b"]) == 0
    )
    assert main(["runs", "label", "mine", "--note", "why", "--tag=-a", "--json"]) == 0
    assert listed(capsys=capsys) == ["lstm seed 0", "mine", "lstm seed 2"]
    assert main(["list", "runs", "--where", "tag=b", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["tags"], row["note"]) == ("mine", ["b"], "why")
    assert (row["test"], row["keys"]["seed"]) == ({"loss": 0.4}, 1)
    assert row["run"].endswith(identity)
    assert main(["list", "runs"]) == 0
    printed = capsys.readouterr().out
    assert "mine" in printed
    assert identity in printed


def test_runs_are_sorted_and_filtered(runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert listed("--sort", "test_loss", capsys=capsys) == [
        "lstm seed 1", "lstm seed 0", "lstm seed 2",
    ]  # fmt: skip
    assert listed("--sort", "seed", "--descending", capsys=capsys)[0] == "lstm seed 2"
    assert listed("--where", "status=failed", capsys=capsys) == ["lstm"]
    assert main(["list", "runs", "--where", "seed>7"]) == 0
    assert capsys.readouterr().out == "no runs in runs that meet seed>7\n"


def test_runs_are_deleted_with_a_yes_alone(
    runs: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["runs", "delete", f"runs/{runs[0]}"]) == 2
    assert "1 run would be deleted; say so with --yes" in capsys.readouterr().err
    for answer, left in (("", 3), ("n", 3), ("y", 2)):
        stdin = io.StringIO(answer + "\n")
        monkeypatch.setattr(stdin, "isatty", lambda: True, raising=False)
        monkeypatch.setattr("sys.stdin", stdin)
        assert main(["runs", "delete", f"runs/{runs[0]}"]) == (2 if left == 3 else 0)
        assert len(listed(capsys=capsys)) == left
    assert main(["runs", "delete", "--where", "status=failed", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"deleted": [f"runs/{runs[2]}"]}
    assert listed(capsys=capsys) == ["lstm"]


def test_runs_are_put_away_and_brought_back(
    runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", "archive", "--where", "seed<2"]) == 0
    assert capsys.readouterr().out == "archived: 2 runs\n"
    assert len(listed(capsys=capsys)) == 1
    assert len(listed("--runs-dir", "runs/archive", capsys=capsys)) == 2
    assert main(["runs", "restore", runs[0].rpartition("/")[2]]) == 0
    assert len(listed(capsys=capsys)) == 2


def test_a_run_in_training_is_left_alone(
    runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    files = RunLog(Path("runs") / runs[1])
    for action in ("archive", "delete"):
        more = ["--yes"] if action == "delete" else []
        assert main(["runs", action, f"runs/{runs[1]}", *more]) == 2
        assert "is being trained" in capsys.readouterr().err
    files.close()
    assert len(listed(capsys=capsys)) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("delete --yes", "name a RUN, or choose runs by --where"),
        ("delete adding/lstm --yes", "3 runs are called 'adding/lstm'"),
        ("delete nothing --yes", "unknown run 'nothing'"),
        ("delete --where seed=9 --yes", "no run in runs meets seed=9"),
        ("archive --where sed=0", "Did you mean 'seed'?"),
        ("archive RUN --yes", "--yes does not go with `runs archive`"),
        ("archive RUN --name x", "--name does not go with `runs archive`"),
        ("label --where seed<2 --name x", "--name is for a single run, not for 2"),
        ("label RUN --tag a,b", "--tag takes a word"),
        ("restore RUN", "no runs in runs/archive"),
    ],
)
def test_bad_input_changes_nothing(
    runs: list[str], words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", *words.replace("RUN", runs[0].rpartition("/")[2]).split()]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert len(listed(capsys=capsys)) == 3
