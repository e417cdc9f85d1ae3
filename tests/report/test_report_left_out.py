"""What the report leaves out, and says so, and what it refuses."""

import logging
from pathlib import Path

import pytest

from rnnexp.core.errors import RunError, UsageError
from rnnexp.report.page.collect import collect
from rnnexp.report.page.html import render, write_report
from tests.helpers.parsed_page import Parsed
from tests.helpers.report_runs import laboratory, write_laboratory, write_whole_run
from tests.helpers.synthetic_runs import write_plan, write_run


def test_a_damaged_run_is_left_out_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_whole_run(tmp_path, changes={"seed": 0})
    damaged = write_whole_run(tmp_path, changes={"seed": 1})
    (damaged / "config.json").write_text("{")
    worse = write_whole_run(tmp_path, changes={"seed": 2})
    (worse / "metrics.jsonl").write_text('{"step": 1}\n[]\n')
    zarr = write_whole_run(tmp_path, changes={"seed": 3})
    (zarr / "gradients.zarr" / "zarr.json").write_text("{")
    with caplog.at_level(logging.WARNING, "rnnexp"):
        data = collect([tmp_path])
    assert len(data["runs"]) == 1
    paragraphs = Parsed(render(data)).texts["p"]
    for run in (damaged, worse, zarr):
        assert str(run) in caplog.text
        assert [text for text in paragraphs if text.startswith("Left out") and str(run) in text]


def test_a_damaged_laboratory_leaves_the_rest_of_its_run(tmp_path: Path) -> None:
    run = write_whole_run(tmp_path, with_laboratory=True)
    (run / "laboratory.zarr" / "zarr.json").write_text("{")
    data = collect([tmp_path])
    assert data["runs"][0]["laboratory"] is None
    assert data["runs"][0]["profiles"]
    assert "laboratory.zarr" in data["notes"][0]


def test_runs_without_gradients_have_a_row_and_no_pictures(tmp_path: Path) -> None:
    write_run(tmp_path, valid=0.2, test={"loss": 0.1})
    data = collect([tmp_path])
    assert data["runs"][0]["test"] == {"loss": 0.1}
    assert data["runs"][0]["profiles"] == {}
    assert "Left out" not in render(data)


def test_planned_runs_that_have_not_begun_are_counted(tmp_path: Path) -> None:
    sweep = tmp_path / "sweeps" / "one"
    changes = [{"seed": seed} for seed in range(3)]
    write_plan(sweep, [("adding/lstm", change) for change in changes])
    write_whole_run(tmp_path, "adding/lstm", changes[0])
    data = collect([sweep])
    assert len(data["runs"]) == 1
    assert data["notes"] == ["Left out: 2 planned runs that have not begun."]


def test_a_laboratory_of_other_names_is_no_laboratory(tmp_path: Path) -> None:
    run = write_whole_run(tmp_path)
    write_laboratory(run, laboratory(range(3), 4)[["dead"]].rename(dead="other"))
    assert collect([tmp_path])["runs"][0]["laboratory"] is None


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


def test_files_that_are_no_pages_are_refused(tmp_path: Path) -> None:
    runs_dir = tmp_path / "runs"
    write_whole_run(runs_dir)
    with pytest.raises(UsageError, match=r"must end in \.html"):
        write_report([runs_dir], tmp_path / "report.pdf")
    with pytest.raises(UsageError, match="there is no directory"):
        write_report([runs_dir], tmp_path / "nowhere" / "report.html")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(RunError, match="cannot write"):
        write_report([runs_dir], tmp_path / "folder.html")
    assert {path.name for path in tmp_path.iterdir()} == {"folder.html", "runs"}
