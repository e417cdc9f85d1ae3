"""Comparisons, analyses and pages from Python, of runs whose figures are known."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

import rnnexp
from rnnexp.cli.main import main
from tests.helpers.logged_runs import write_logged_run
from tests.helpers.synthetic_runs import write_run


def test_a_directory_is_compared_by_groups(tmp_path: Path) -> None:
    """The 95 % interval of the mean of three is Student's."""
    losses = {"lstm": [0.1, 0.2, 0.6], "gru": [0.5]}
    for cell, values in losses.items():
        for seed, loss in enumerate(values):
            write_run(tmp_path, f"adding/{cell}", {"seed": seed}, test={"loss": loss}, valid=loss)
    table = rnnexp.compare(tmp_path).set_index("cell")
    assert table.attrs["metric"] == "test_loss"
    assert table.loc["lstm", "mean"] == pytest.approx(0.3)
    half = stats.t.ppf(0.975, 2) * np.std(losses["lstm"], ddof=1) / np.sqrt(3)
    assert table.loc["lstm", ["low", "high"]].tolist() == pytest.approx([0.3 - half, 0.3 + half])
    assert table.loc["lstm", ["runs", "completed", "least", "greatest"]].tolist() == [
        3,
        3,
        0.1,
        0.6,
    ]
    assert table.loc["lstm", "best_value"] == 0.1
    assert np.isnan(table.loc["gru", "low"])
    assert table["mean"].dtype == table["low"].dtype == np.float64
    by = rnnexp.compare(str(tmp_path), by=["cell", "seed"], metric="valid_loss")
    assert len(by) == 4
    assert by.equals(rnnexp.compare(tmp_path, by="cell,seed", metric="valid_loss"))


def test_single_runs_are_compared_with_their_gradients(tmp_path: Path) -> None:
    """The last recorded profile is exp(-0.4 lag), in one of them exp(-0.7 lag)."""
    one = write_logged_run(tmp_path, "adding/lstm")
    two = write_logged_run(
        tmp_path, "adding/lstm", {"cell.hidden_size": 9}, slopes={"layer_0": [-0.7] * 4}
    )
    table = rnnexp.compare([one, two.name], runs_dir=tmp_path)
    assert table["path"].tolist() == [str(one), str(two)]
    assert table["slope/layer_0/h"].tolist() == pytest.approx([-0.4, -0.7])
    assert table["half_life/layer_0/h"].tolist() == pytest.approx(np.log(2) / [0.4, 0.7])
    assert table["fit/layer_0/h"].tolist() == pytest.approx([1, 1])
    assert table["test_loss"].tolist() == [0.25, 0.25]
    assert table["baseline_loss"].tolist() == pytest.approx([1 / 6, 1 / 6])
    assert table["config.cell.hidden_size"].tolist()[1] == 9
    assert [c for c in table if c.startswith("config.")] == ["config.cell.hidden_size"]


@pytest.mark.parametrize(
    ("runs", "options", "words"),
    [
        ("none", {}, "none is no directory of a sweep or of runs"),
        ([], {}, "the list is empty"),
        (["adding/lst"], {}, "Did you mean 'adding/lstm'"),
        (["adding/lstm"], {"by": "task"}, "not for single runs"),
        (".", {"metric": "test_los"}, "Did you mean 'test_loss'"),
        (".", {"by": "hidden"}, "hidden"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: Any, options: dict[str, Any], words: str
) -> None:
    write_logged_run(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(rnnexp.UsageError, match=words):
        rnnexp.compare(runs, **options, runs_dir=".")


def test_a_page_is_written(tmp_path: Path) -> None:
    write_logged_run(tmp_path / "runs")
    page = rnnexp.report(tmp_path / "runs", tmp_path / "page.html")
    assert page == tmp_path / "page.html"
    assert "adding/lstm" in page.read_text()
    for output, words in (("page.pdf", "must end in .html"), ("none/page.html", "no directory")):
        with pytest.raises(rnnexp.UsageError, match=words):
            rnnexp.report([tmp_path / "runs"], tmp_path / output)


def test_an_analysis_measures_what_the_command_does(
    small_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"laboratory.examples": 2, "laboratory.adjoint_matrix": False}
    data = rnnexp.analyze("adding/lstm", settings, runs_dir=small_run.parents[2])
    assert data["step"].values.tolist()[0] == 0
    assert float(data["measured_with"].sel(setting="examples").max()) == 2
    assert data.equals(rnnexp.load_laboratory(small_run))
    typed = [f"--config.{key}={str(value).lower()}" for key, value in settings.items()]
    assert main(["analyze", str(small_run), *typed, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["measured"] == []  # the command finds all rows there
    assert printed["skipped"] == data["step"].values.tolist()
    with pytest.raises(rnnexp.UsageError, match=r"Did you mean 'config\.laboratory\.examples"):
        rnnexp.analyze(small_run, {"laboratory.example": 3})
    with pytest.raises(rnnexp.UsageError, match="as it was trained"):
        rnnexp.analyze(small_run, {"cell.hidden_size": 3})
