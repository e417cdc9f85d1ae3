"""Eighteen runs in a browser: no two look alike, every line is visible, dead runs set no range."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnexp.report.page.html import write_report
from tests.helpers.in_chromium import browse
from tests.helpers.report_runs import write_whole_run
from tests.report.page.test_style import contrast

CELLS = ("rnn", "lstm", "gru", "lem", "cornn", "lru", "indrnn", "scrn", "min_gru")
HELPERS = Path(__file__).parents[1] / "helpers"
SCRIPT = "".join((HELPERS / f"report_{name}.js").read_text() for name in ("page", "looks"))


def lose(run: Path) -> None:
    """Let a run's loss and slope grow beyond all bounds before it diverges."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        if row["kind"] in ("train", "valid"):
            row["loss"] = 10.0 ** (row["step"] / 5)
            row |= {name: 1e9 for name in row if name.startswith("slope/")}
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("looks")
    for place, (cell, seed) in enumerate(itertools.product(CELLS, (0, 1))):
        changes = {"seed": seed}
        if place == 7:
            ended: dict[str, Any] = {"status": "diverged", "reason": "lost", "test": None}
            lose(write_whole_run(folder / "runs", f"adding/{cell}", changes, slope=2.0, **ended))
        else:
            write_whole_run(folder / "runs", f"adding/{cell}", changes, slope=-0.02 * (place + 1))
    write_report([folder / "runs"], folder / "report.html")
    seen = browse(folder / "report.html", SCRIPT, height=12000)
    assert seen["errors"] == []
    found: dict[str, Any] = seen["answer"]
    return found


def by_run(traces: list[dict[str, Any]]) -> dict[str, set[tuple[str, ...]]]:
    """Colour, dash and marker of each run's lines; of a picture of points, which has no dash."""
    found: dict[str, set[tuple[str, ...]]] = {}
    for trace in traces:
        parts = ("colour", "symbol") if trace["mode"] == "markers" else ("colour", "dash", "symbol")
        look = tuple(trace[part] for part in parts)
        found.setdefault(trace["name"].partition(",")[0], set()).add(look)
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_two_runs_look_alike_in_any_picture(answer: dict[str, Any], theme: str) -> None:
    looks = answer["looks"] if theme == "light" else answer["dark"]["looks"]
    assert {"plot-loss", "plot-profile", "plot-slope", "plot-slopes"} <= set(looks)
    for traces in looks.values():
        runs = by_run(traces)
        assert len(runs) >= 17
        assert all(len(look) == 1 for look in runs.values())
        assert len(set.union(*runs.values())) == len(runs)
        colours = {name.split()[0]: next(iter(look))[0] for name, look in runs.items()}
        for name, look in runs.items():
            assert next(iter(look))[0] == colours[name.split()[0]]
    assert len(set(answer["swatches"])) == 18
    assert "no two runs look alike" in answer["words"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_line_stands_out_from_the_paper(answer: dict[str, Any], theme: str) -> None:
    seen = answer if theme == "light" else answer["dark"]
    lines = [trace for traces in seen["looks"].values() for trace in traces]
    assert any(trace["name"].endswith(", training") for trace in lines)
    for trace in lines:
        assert trace["opacity"] == 1
        assert trace["width"] >= 1
        assert trace["colour"] == trace["tip"]
        assert contrast(trace["colour"], seen["paper"]) >= 3


def test_a_run_that_diverged_sets_no_range_and_is_named(answer: dict[str, Any]) -> None:
    ranges = answer["ranges"]
    low, high = ranges["plot-loss"]  # of the logarithm: 0.1 + exp(-n/5), and the baseline
    assert np.log10(0.1) - 0.2 < low < high < np.log10(1.2) + 0.2
    low, high = ranges["plot-profile"]
    assert high < 4  # the dead run's is exp(2 * 39), which is 1e34
    low, high = ranges["plot-slopes"]
    assert -0.5 < low < high < 0.1
    words = "Partly beyond the picture, diverged or without a finite loss at the end: lem seed 1."
    for picture in ("plot-loss", "plot-profile", "plot-slopes"):
        assert answer["notes"][picture] == words
    alone = answer["alone"]
    assert alone["ranges"]["plot-loss"][1] > 30
    assert alone["ranges"]["plot-profile"][1] > 30
    assert "eyond" not in "".join(alone["notes"].values())
