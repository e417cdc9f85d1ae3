"""The data of a page: what it holds of the runs, and which runs it leaves out."""

import logging
from pathlib import Path

import numpy as np
import pytest

from rnnexp.report.page.collect import collect
from rnnexp.report.page.html import render
from rnnexp.results.load import load_run
from tests.helpers.packed_arrays import unpack
from tests.helpers.parsed_page import Parsed
from tests.helpers.report_runs import write_whole_run
from tests.helpers.synthetic_runs import lengths_of, write_run


def test_the_page_holds_the_recorded_profiles(runs_dir: Path) -> None:
    for data in collect([runs_dir])["runs"]:
        run = load_run(data["path"])
        assert set(data["profiles"]) == {f"layer_0 {leaf}" for leaf in run.norms}
        for name, profile in data["profiles"].items():
            norms = run.norms[name.rpartition(" ")[2]][:, 0]
            kept = norms[np.isin(run.steps, profile["steps"])][:, profile["times"]]
            np.testing.assert_allclose(unpack(profile["norms"]), kept, rtol=1.5e-3)
            assert profile["length"] == norms.shape[1]


def test_figures_of_a_run_are_its_own(runs_dir: Path) -> None:
    data = collect([runs_dir])["runs"]
    rnn = data[-1]
    assert rnn["decay"]["layer_0 h"] == {
        "slope": -0.6, "half_life": 1.155, "step": 190, "fit": 1.0
    }  # fmt: skip
    assert rnn["baseline"] == {"loss": 0.5}
    assert rnn["test"] == {"loss": 0.8}
    assert rnn["clipped"] == 0.05
    assert rnn["curves"]["valid"]["steps"] == [40, 90, 140, 190]
    np.testing.assert_allclose(
        rnn["curves"]["train"]["values"]["loss"], 0.1 + np.exp(-np.arange(20) / 5), rtol=1e-3
    )
    assert data[0]["reason"] == "non-finite loss"


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


def test_runs_without_gradients_have_a_row_and_no_pictures(tmp_path: Path) -> None:
    write_run(tmp_path, valid=0.2, test={"loss": 0.1})
    data = collect([tmp_path])
    assert data["runs"][0]["test"] == {"loss": 0.1}
    assert data["runs"][0]["profiles"] == {}
    assert "Left out" not in render(data)


def test_the_page_holds_the_scores_by_length(tmp_path: Path) -> None:
    write_run(tmp_path, valid=0.2, test={"loss": 0.1}, by_length=lengths_of({40: 0.3, 20: 0.1}))
    write_run(tmp_path, "adding/gru", valid=0.2, test={"loss": 0.1}, age=1)
    found = [run["lengths"] for run in collect([tmp_path])["runs"]]
    assert found[1 - [run is None for run in found].index(True)] == {
        "unit": "steps", "train": [10, 20], "lengths": [20, 40],
        "test": {"loss": [0.1, 0.3]}, "baseline": {"loss": [0.5, 0.5]},
    }  # fmt: skip


def test_of_many_runs_some_are_drawn_and_all_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rnnexp.report.page.collect.MOST_RUNS", 6)
    for cell in ("gru", "lstm"):
        for seed in range(10):
            valid = 0.1 if seed == 7 else 0.2
            write_run(tmp_path, f"adding/{cell}", {"seed": seed}, valid=valid, test={"loss": valid})
    data = collect([tmp_path])
    seeds = [(run["cell"], run["seed"]) for run in data["runs"]]
    assert len(seeds) == 6
    assert {("gru", 7), ("lstm", 7)} <= set(seeds)
    assert seeds == sorted(seeds)
    page = Parsed(render(data)).texts["p"]
    assert any(text.startswith("6 of 20 runs from ") for text in page)
    assert any("20 runs are too many to draw: below are 6 of them" in text for text in page)
    assert any("10 seeds" in text for text in page)
    monkeypatch.setattr("rnnexp.report.page.collect.MOST_RUNS", 20)
    data = collect([tmp_path])
    assert len(data["runs"]) == 20
    assert data["notes"] == []
