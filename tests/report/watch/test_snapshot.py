"""What a page is told: the same as a report has, and no more than what is new."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from rnnexp.report.page.collect import collect
from rnnexp.report.watch import snapshot as module
from rnnexp.report.watch.snapshot import LARGE, Snapshot, changes, look, share_of, whole_page
from rnnexp.run.files import RunLog
from tests.helpers.report_runs import write_three_settings, write_whole_run
from tests.helpers.synthetic_runs import synthetic_config, synthetic_name, write_plan


def training(runs: Path, seed: int = 7) -> RunLog:
    """A run that has begun; its lock is held until it is closed."""
    config = synthetic_config("adding/rnn", {"seed": seed})
    files = RunLog(runs / synthetic_name("adding/rnn", config))
    files.write_json("config.json", config)
    files.set_status("running", 0, "")
    files.log("train", [{"step": 0, "loss": 1.0}])
    return files


def test_the_page_is_that_of_the_report(tmp_path: Path) -> None:
    runs = write_three_settings(tmp_path / "runs")
    expected, found = collect([runs]), whole_page(look(runs, Snapshot()))
    del expected["made"]
    assert len(found["runs"]) == 4 == share_of(4)
    assert found == expected


def test_nothing_is_read_and_nothing_told_where_nothing_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = write_three_settings(tmp_path / "runs")
    first = look(runs, Snapshot())
    monkeypatch.setattr(module, "load_run", None)
    second = look(runs, first)
    assert second.version == first.version == 1
    assert changes(second, 1) == {"version": 1}
    assert not (runs / ".index.json").exists()


def test_a_run_that_grows_is_told_alone(tmp_path: Path) -> None:
    runs = write_three_settings(tmp_path / "runs")
    files = training(runs)
    first = look(runs, Snapshot())
    files.log("train", [{"step": 10, "loss": 0.5}])
    second = look(runs, first)
    news = changes(second, first.version)
    assert [*news["runs"]] == [str(files.path)]
    assert [*news["runs"][str(files.path)]] == ["curves"]
    assert "page" not in news
    curve = news["runs"][str(files.path)]["curves"]["train"]
    assert (curve["steps"], curve["values"]["loss"]) == ([0, 10], [1.0, 0.5])
    assert changes(second, -1)["runs"].keys() == set(news["order"])
    files.close()


def test_half_a_line_breaks_nothing(tmp_path: Path) -> None:
    files = training(tmp_path)
    with (files.path / "metrics.jsonl").open("a") as stream:
        stream.write('{"kind": "train", "ste')
    found = whole_page(look(tmp_path, Snapshot()))
    assert found["runs"][0]["curves"]["train"]["steps"] == [0]
    assert found["notes"] == []
    files.close()


def test_a_run_whose_process_is_gone_is_shown_as_killed(tmp_path: Path) -> None:
    files = training(tmp_path)
    first = look(tmp_path, Snapshot())
    assert whole_page(first)["runs"][0]["status"] == "running"
    files.close()
    second = look(tmp_path, first)
    (facts,) = changes(second, first.version)["runs"].values()
    assert facts["status"] == "killed (the same command resumes)"
    assert not set(LARGE) & set(facts)


def test_a_damaged_file_leaves_a_run_as_it_was(tmp_path: Path) -> None:
    files = training(tmp_path)
    first = look(tmp_path, Snapshot())
    metrics = (files.path / "metrics.jsonl").read_text()
    (files.path / "metrics.jsonl").write_text("[]\n[]\n")
    second = look(tmp_path, first)
    assert whole_page(second)["runs"] == whole_page(first)["runs"]
    (note,) = whole_page(second)["notes"]
    assert "metrics.jsonl line 1 is damaged" in note
    (files.path / "metrics.jsonl").write_text(metrics)
    third = look(tmp_path, second)
    assert whole_page(third) == whole_page(first)
    files.close()


def test_runs_come_and_go(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    none = look(runs, Snapshot())
    assert whole_page(none)["runs"] == []
    assert "does not exist yet" in whole_page(none)["notes"][0]
    write_whole_run(runs)
    one = look(runs, none)
    second = write_whole_run(runs, changes={"seed": 1})
    two = look(runs, one)
    news = changes(two, one.version)
    assert [news["runs"][path]["label"] for path in news["order"]] == ["lstm seed 0", "lstm seed 1"]
    shutil.rmtree(second)
    three = look(runs, two)
    assert whole_page(three)["runs"] == whole_page(one)["runs"]
    assert three.version > two.version
    shutil.rmtree(runs)
    runs.mkdir()
    assert "holds no runs yet" in whole_page(look(runs, three))["notes"][0]


def test_a_sweep_whose_plan_is_being_written_stays(tmp_path: Path) -> None:
    run = write_whole_run(tmp_path, "adding/lstm")
    changes_of: list[tuple[str, dict[str, Any]]] = [
        ("adding/lstm", {}),
        ("adding/lstm", {"seed": 1}),
    ]
    sweep = tmp_path / "sweeps" / "s"
    write_plan(sweep, changes_of)
    first = look(sweep, Snapshot())
    assert [Path(one["path"]).resolve() for one in whole_page(first)["runs"]] == [run.resolve()]
    assert whole_page(first)["notes"] == ["Left out: 1 planned runs that have not begun."]
    with (sweep / "plan.jsonl").open("a") as stream:
        stream.write('{"run": "add')
    second = whole_page(look(sweep, first))
    assert second["runs"] == whole_page(first)["runs"]
    assert second["notes"][0].startswith("Not up to date: ")


def test_everything_can_be_sent(tmp_path: Path) -> None:
    runs = write_three_settings(tmp_path / "runs")
    json.dumps(changes(look(runs, Snapshot()), -1))


def test_the_share_of_a_page_changes_seldom() -> None:
    assert [share_of(n) for n in (0, 1, 2, 3, 4, 5, 64, 65)] == [1, 1, 2, 4, 4, 8, 64, 128]
