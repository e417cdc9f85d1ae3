"""The report's file: what it holds of the runs, and that nothing in it can do harm."""

import argparse
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnexp.cli.report import add_report, report_command
from rnnexp.report.page.collect import collect
from rnnexp.report.page.html import MOST_BYTES, embedded, plotly_script, render, write_report
from rnnexp.report.page.pack import unpack
from rnnexp.report.page.thin import LEAST
from rnnexp.results.load import load_run
from tests.helpers.parsed_page import Parsed
from tests.helpers.report_runs import laboratory, many_large_runs, write_whole_run

HOSTILE = "</script><script>alert(1)</script>\"'`&amp;<!--\u2028\u2029\ud800{{data}}${1}"


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three settings of two tasks, one with two seeds and a laboratory; one has diverged."""
    root = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        write_whole_run(root, changes={"seed": seed}, leaves=("h", "c"), with_laboratory=True)
    write_whole_run(root, "copy_memory/rnn", slope=-0.6)
    ended: dict[str, Any] = {"status": "diverged", "reason": "non-finite loss", "test": None}
    write_whole_run(root, "adding/gru", slope=0.5, **ended)
    return root


def test_the_page_holds_the_recorded_profiles(runs_dir: Path) -> None:
    for data in collect([runs_dir])["runs"]:
        run = load_run(data["path"])
        assert set(data["profiles"]) == {f"layer_0 {leaf}" for leaf in run.norms}
        for name, profile in data["profiles"].items():
            norms = run.norms[name.rpartition(" ")[2]][:, 0]
            kept = norms[np.isin(run.steps, profile["steps"])][:, profile["times"]]
            np.testing.assert_allclose(unpack(profile["norms"]), kept, rtol=1.5e-3)
            assert profile["length"] == norms.shape[1]


def test_the_page_holds_the_laboratory_with_its_coordinates(runs_dir: Path) -> None:
    there = laboratory(range(0, 200, 40), 40)
    data = next(run for run in collect([runs_dir])["runs"] if run["cell"] == "lstm")
    for name, variable in data["laboratory"].items():
        assert variable["dims"] == list(there[name].dims)
        for dim in variable["dims"]:
            assert variable["coords"][dim] == there[name].coords[dim].values.tolist()
        values = there[name].values
        room = np.ptp(values) / 65_000
        np.testing.assert_allclose(unpack(variable["values"]), values, rtol=1.5e-3, atol=room)
    assert "lag_norm" in data["laboratory"]
    assert collect([runs_dir])["thinned"] == {"profiles": "", "laboratory": "", "curves": ""}


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


def test_figures_of_a_run_are_its_own(runs_dir: Path) -> None:
    data = collect([runs_dir])["runs"]
    rnn = data[-1]
    assert rnn["decay"]["layer_0 h"] == {"slope": -0.6, "half_life": 1.155, "step": 190}
    assert rnn["baseline"] == {"loss": 0.5}
    assert rnn["test"] == {"loss": 0.8}
    assert rnn["clipped"] == 0.05
    assert rnn["curves"]["valid"]["steps"] == [40, 90, 140, 190]
    np.testing.assert_allclose(
        rnn["curves"]["train"]["values"]["loss"], 0.1 + np.exp(-np.arange(20) / 5), rtol=1e-3
    )
    assert data[0]["reason"] == "non-finite loss"


def test_fifty_large_runs_fit_and_the_page_says_what_was_thinned(tmp_path: Path) -> None:
    many_large_runs(tmp_path / "runs", 50)
    written = write_report([tmp_path / "runs"], tmp_path / "report.html")
    assert written.size == (tmp_path / "report.html").stat().st_size < MOST_BYTES
    assert written.runs == 50
    text = (tmp_path / "report.html").read_text()
    page = Parsed(text)
    data = json.loads(page.texts["script"][0])
    profile = data["runs"][0]["profiles"]["layer_0 h"]
    kept = f"{len(profile['steps'])} of 200; time steps: {len(profile['times'])} of 784"
    assert 40 < len(profile["steps"]) < 200
    assert any(kept in text and text.startswith("Thinned") for text in page.texts["p"])
    gates = data["runs"][0]["laboratory"]["gate_low"]["coords"]
    assert LEAST < len(gates["step"]) < 50
    said = next(text for text in page.texts["p"] if "analysed training steps:" in text)
    assert f" {len(gates['step'])} of 50" in said
    assert f" {len(gates['time'])} of 784" in said
    assert len(data["runs"][0]["laboratory"]["lyapunov"]["coords"]["step"]) == 50


def test_hostile_names_and_settings_stay_texts(tmp_path: Path) -> None:
    runs = tmp_path / "<img src=x onerror=alert(1)>"
    for number, value in enumerate((HOSTILE, "tanh")):
        changes = {"cell.activation": value, "seed": number}
        write_whole_run(runs, "copy_memory/rnn", changes, status="failed", reason=HOSTILE)
    write_report([runs], tmp_path / "report.html")
    page = Parsed((tmp_path / "report.html").read_text())
    assert len(page.texts["script"]) == 3
    assert "img" not in page.texts
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    data = json.loads(page.texts["script"][0])
    assert data["runs"][0]["reason"] == HOSTILE
    assert HOSTILE in [run["options"]["cell.activation"] for run in data["runs"]]
    assert any("<img src=x onerror=alert(1)>" in text for text in page.texts["p"])
    assert "<img src=x onerror=alert(1)>" in page.texts["title"][0]


def test_embedded_json_has_nothing_that_ends_a_script(runs_dir: Path) -> None:
    text = embedded({"name": HOSTILE, HOSTILE: [1.0]})
    assert text.isascii()
    assert not set("<>&") & set(text)
    assert json.loads(text) == {"name": HOSTILE, HOSTILE: [1.0]}


def test_the_page_refers_to_nothing_outside(runs_dir: Path) -> None:
    text = render(collect([runs_dir]))
    page = Parsed(text)
    links = [value for _, name, value in page.attributes if name in ("src", "href", "action")]
    assert links
    assert all(value.startswith("#") for value in links)
    ids = {value for _, name, value in page.attributes if name == "id"}
    assert {value[1:] for value in links} <= ids
    ours = text.replace(plotly_script(), "")
    assert len(ours) < 500_000
    addresses = re.findall(r"(?:https?:)?//[\w-]+\.\w+[^\s\"']*", ours)
    assert not [a for a in addresses if not a.startswith("http://www.w3.org/")]
    assert not re.findall(r"@import|url\(|fetch\(|XMLHttpRequest|WebSocket", ours)


def test_the_command_writes_and_tells(
    runs_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    add_report(parser)
    file = tmp_path / "page.html"
    assert report_command(parser.parse_args([str(runs_dir), "-o", str(file)]), []) == 0
    size = file.stat().st_size
    assert capsys.readouterr().out == f"written: {file} ({size / 1e6:.1f} MB, 4 runs)\n"
    report_command(parser.parse_args([str(runs_dir), "-o", str(file), "--json"]), [])
    told = json.loads(capsys.readouterr().out)
    assert told == {"file": str(file), "size": size, "runs": 4, "notes": []}
