"""The report's file: its size, and that nothing in it can do harm."""

import json
import re
from importlib import resources
from pathlib import Path

import pytest

from rnnexp.core.errors import RunError, UsageError
from rnnexp.report import paper
from rnnexp.report.figures import draw_run
from rnnexp.report.page.collect import collect
from rnnexp.report.page.html import MOST_BYTES, embedded, plotly_script, render, write_report
from rnnexp.report.page.thin import LEAST
from rnnexp.report.paper import draw_comparison
from rnnexp.results.load import load_run
from tests.helpers.parsed_page import Parsed
from tests.helpers.report_runs import many_large_runs, write_whole_run

HOSTILE = "</script><script>alert(1)</script>\"'`&amp;<!--\u2028\u2029\ud800{{data}}${1}"


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
    assert not re.findall(r"sendBeacon|EventSource|Worker\(|import\(|window\.open|submit\(", ours)
    assert not re.findall(r"\.(?:src|href|action|location)\s*=[^=]|location\.", ours)
    assert not {"form", "iframe", "object", "embed", "link", "base", "img"} & set(page.texts)


def test_the_policy_lets_nothing_out_and_no_button_sends_a_chart() -> None:
    """What the policy must say, because `default-src` does not: forms and the page's base."""
    home = resources.files("rnnexp.report.page")
    policy = next(
        value
        for _, name, value in Parsed((home / "page.html").read_text("utf-8")).attributes
        if name == "content" and "default-src" in value
    )
    rules = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert rules.pop("script-src") == rules.pop("style-src") == "'unsafe-inline'"
    assert rules.pop("img-src") == "data: blob:"
    assert {"default-src", "connect-src", "form-action", "base-uri"} <= set(rules)
    assert set(rules.values()) == {"'none'"}
    config = (home / "style.js").read_text("utf-8").partition("const CONFIG = ")[2]
    for name, off in (
        ("showSendToCloud", "false"), ("showEditInChartStudio", "false"), ("showLink", "false"),
        ("displaylogo", "false"), ("plotlyServerURL", '""'), ("topojsonURL", '""'),
    ):  # fmt: skip
        assert f"{name}: {off}" in config


def test_pictures_as_svg_refer_to_nothing_outside(
    runs_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `inspect --plot FILE.svg` and `compare -o FILE.svg` write: names of formats alone."""
    runs = [load_run(path.parent) for path in sorted(runs_dir.glob("copy_memory/*/*/status.json"))]
    monkeypatch.setattr(paper, "DPI", 60)  # quick to draw
    draw_run(runs[0], tmp_path / "run.svg")
    draw_comparison(runs[:1], tmp_path / "runs.svg")
    for file in tmp_path.glob("*.svg"):
        text = file.read_text()
        page = Parsed(text)
        assert "script" not in page.texts
        assert not [name for _, name, _ in page.attributes if name.startswith("on")]
        links = [value for _, name, value in page.attributes if name.split(":")[-1] == "href"]
        assert links
        assert all(value.startswith(("#", "data:image/png;base64,")) for value in links)
        assert not re.findall(r"@import|url\((?!#)", text)


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
