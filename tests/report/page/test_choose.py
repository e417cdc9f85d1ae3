"""Which runs a page is about, their labels and groups, and that there must be some."""

from pathlib import Path

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.report.page.collect import collect
from rnnexp.report.page.html import write_report
from tests.helpers.report_runs import write_whole_run
from tests.helpers.synthetic_runs import write_plan


def test_seeds_of_a_setting_share_a_group_and_labels_tell_runs_apart(runs_dir: Path) -> None:
    data = collect([runs_dir])["runs"]
    assert [run["label"] for run in data] == [
        "adding gru seed 0", "copy_memory lstm seed 0", "copy_memory lstm seed 1",
        "copy_memory rnn seed 0",
    ]  # fmt: skip
    assert [(run["group"], run["member"]) for run in data] == [(0, 0), (1, 0), (1, 1), (2, 0)]


def test_options_that_differ_are_told(tmp_path: Path) -> None:
    for rate in (1e-3, 1e-2):
        write_whole_run(tmp_path, changes={"optimizer.learning_rate": rate})
    data = collect([tmp_path])["runs"]
    assert [run["label"] for run in data] == ["lstm learning_rate=0.001", "lstm learning_rate=0.01"]
    assert data[1]["options"] == {"optimizer.learning_rate": "0.01"}


def test_a_run_by_itself_and_a_run_that_is_given_twice(runs_dir: Path) -> None:
    run = next(runs_dir.glob("copy_memory/rnn/*"))
    assert [data["label"] for data in collect([run, run])["runs"]] == ["rnn"]
    assert len(collect([runs_dir, run])["runs"]) == 4


def test_planned_runs_that_have_not_begun_are_counted(tmp_path: Path) -> None:
    sweep = tmp_path / "sweeps" / "one"
    changes = [{"seed": seed} for seed in range(3)]
    write_plan(sweep, [("adding/lstm", change) for change in changes])
    write_whole_run(tmp_path, "adding/lstm", changes[0])
    data = collect([sweep])
    assert len(data["runs"]) == 1
    assert data["notes"] == ["Left out: 2 planned runs that have not begun."]


def test_what_holds_no_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no runs"):
        write_report([tmp_path], tmp_path / "report.html")
    damaged = write_whole_run(tmp_path)
    (damaged / "config.json").unlink()
    with pytest.raises(UsageError, match=r"no run in .* can be shown.*no config\.json"):
        write_report([tmp_path], tmp_path / "report.html")
    other = write_whole_run(tmp_path / "more")
    (other / "metrics.jsonl").write_text("[]\n\n")
    with pytest.raises(UsageError, match="none of the 1 runs can be read"):
        write_report([tmp_path / "more"], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()
