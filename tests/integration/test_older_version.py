"""Runs, a sweep, a search and a report of an older version are opened by this one.

`tests/fixtures/older_version.tar.gz` was made before the packages got their present layout:
`runs/` holds a measured run, one that diverged, one that was killed after step 20, a sweep and
a search; `said/` what the commands printed of them, `report.json` the data of their report,
and `finished/` the metrics of the killed run where nobody killed it.
"""

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnexp
from rnnexp.cli.main import main
from rnnexp.report.page.html import write_report
from rnnexp.results.listing import run_table

MEASURED = "runs/adding/lstm/9db1c65857ca-seed0"
DIVERGED = "runs/adding/gru/1655c57d0d79-seed7"
KILLED = "runs/adding/gru/163860be2b68-seed0"
SMALL = [
    "--config.task.length_steps=12", "--config.cell.hidden_size=4", "--config.train.batch_size=8",
    "--config.eval.examples=32", "--config.eval.batch_size=16", "--config.eval.every_steps=20",
    "--config.checkpoint.every_steps=20", "--config.record.every_steps=5",
]  # fmt: skip


@pytest.fixture
def older(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the older version left, which is also the current one."""
    with tarfile.open(root / "tests" / "fixtures" / "older_version.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command prints; it succeeds."""
    capsys.readouterr()
    assert main(arguments) == 0
    return capsys.readouterr().out


def said(older: Path, name: str) -> Any:
    return json.loads((older / "said" / name).read_text())


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("list.json", ["list", "runs"]),
        ("compare.json", ["compare", "runs", "--by", "cell"]),
        ("compare_runs.json", ["compare", MEASURED, "runs/adding/lstm/d5d5059dc8ea-seed0"]),
        ("inspect.json", ["inspect", MEASURED]),
    ],
)
def test_commands_say_what_they_said(
    older: Path, capsys: pytest.CaptureFixture[str], name: str, arguments: list[str]
) -> None:
    now, before = json.loads(printed(capsys, *arguments, "--json")), said(older, name)
    if name == "list.json":  # in the order of the files' times, which the archive has not kept
        now = [{key: row[key] for key in before[0]} for row in run_table(now)]  # as text, as then
        now, before = (sorted(rows, key=lambda row: str(row["run"])) for rows in (now, before))
    assert_same_data(now, before)


def test_a_divergence_is_told_and_replayed(older: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now = json.loads(printed(capsys, "inspect", DIVERGED, "--divergence", "--json"))
    before = said(older, "divergence.json")
    # whether the step is the same to the bit depends on the machine
    assert now.pop("replay").keys() == before.pop("replay").keys()
    assert now == before


def test_what_was_measured_is_left_alone(older: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = rnnexp.load_laboratory(older / MEASURED).load()
    assert list(before.step.values) == [0, 20, 40]
    printed(capsys, "analyze", MEASURED)
    assert rnnexp.load_laboratory(older / MEASURED).load().identical(before)


def test_gradients_are_labelled(older: Path) -> None:
    gradients = rnnexp.load_gradients(older / MEASURED)
    assert list(gradients.dL_dh.sel(unit="layer_0").dims) == ["step", "time"]
    assert list(gradients.step.values) == [0, 5, 10, 15, 20, 25, 30, 35]


def test_a_killed_run_goes_on(older: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed(
        capsys, "run", "adding/gru", *SMALL, "--config.train.duration_steps=40",
        "--config.checkpoint.keep_every_steps=20",
    )  # fmt: skip
    got, wanted = (
        [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for folder in (older / KILLED, older / "finished")
    )
    assert len(got) == len(wanted)
    for row, other in zip(got, wanted, strict=True):
        assert row.keys() == other.keys()
        for name in row.keys() - {"time"}:
            if isinstance(row[name], str):
                assert row[name] == other[name]
            else:  # another machine rounds otherwise
                np.testing.assert_allclose(row[name], other[name], rtol=1e-3, atol=1e-6)
    assert list(rnnexp.load_gradients(older / KILLED).step.values) == list(range(0, 40, 5))


def test_a_sweep_and_a_search_have_nothing_left_to_train(
    older: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    sweep = ["sweep", "adding", "--sweep", "cell=rnn,lstm", "--seeds", "2"]
    steps = "--config.train.duration_steps=20"
    assert "4 runs: 4 completed" in printed(capsys, *sweep, *SMALL, steps)
    search = ["sweep", "adding/min_gru", "--sweep", "optimizer.learning_rate=log:1e-4..1e-1"]
    search += ["--search", "tpe", "--trials", "2"]
    text = printed(capsys, *search, *SMALL, steps)
    assert "2 trials: 2 completed" in text
    assert "adding/min_gru/81c8c10fafb6-seed0" in text
    assert len(list((older / "runs" / "adding").glob("*/*"))) == 9


def test_a_report_has_the_same_data(older: Path) -> None:
    written = older / "report.html"
    write_report([Path("runs")], written)
    page = written.read_text()
    start = page.index('<script type="application/json" id="data">')
    text = page[page.index(">", start) + 1 : page.index("</script>", start)]
    now, before = json.loads(text), said(older, "../report.json")
    for data in (now, before):
        data.pop("made")
    assert_same_data(now, before)


NEW = {
    "every",
    "fit",
    "fit_c",
    "fit_h",
    "axis",
    "looks",
    "lengths",
    "look",
    "dead",
    "interval",
    "least",
    "greatest",
    "settings",
    "pooled",
}
"""What later versions say beside what this one said."""


def assert_same_data(now: Any, before: Any) -> None:
    """Equal, but for what is new, and for the last digits: processors differ in logarithms.

    Intervals are Student's now, and tell how they were made; the page knows how runs look.
    """
    if isinstance(before, dict):
        assert before.keys() <= now.keys()
        assert now.keys() - before.keys() <= NEW
        kept = [key for key in before if key not in ("low", "high")]
        now, before = [now[key] for key in kept], [before[key] for key in kept]
    if isinstance(before, list):
        assert len(now) == len(before)
        for one, other in zip(now, before, strict=True):
            assert_same_data(one, other)
    else:
        assert type(now) is type(before)
        assert now == (
            pytest.approx(before, rel=1e-12, abs=0) if isinstance(before, float) else before
        )
