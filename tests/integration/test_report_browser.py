"""The report in real Chromium: its pictures follow the slider, the choices and the theme."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnexp.report.page.html import write_report
from rnnexp.results.load import load_run
from tests.helpers.in_chromium import browse
from tests.helpers.report_runs import decaying, write_gradients, write_whole_run

HOSTILE = (
    "<b>&lt;</b></script><script>seen.hacked='script'</script><img src=x onerror=seen.hacked='img'>"
)
HELPERS = Path(__file__).parents[1] / "helpers"
HELP = (HELPERS / "report_page.js").read_text()
SCRIPT = HELP + (HELPERS / "report_session.js").read_text()


def write_runs(runs: Path) -> None:
    """LSTM with two seeds and a laboratory, an RNN with a hostile setting, a diverged GRU."""
    for seed in (0, 1):
        write_whole_run(
            runs, changes={"seed": seed}, leaves=("h", "c"), slope=-0.2 - 0.1 * seed,
            with_laboratory=True,
        )  # fmt: skip
    write_whole_run(runs, "copy_memory/rnn", {"cell.activation": HOSTILE}, slope=-0.6)
    write_whole_run(runs, "copy_memory/rnn", {"cell.activation": "relu"}, slope=-0.5)
    ended: dict[str, Any] = {"status": "diverged", "reason": f"non-finite {HOSTILE}", "test": None}
    gru = write_whole_run(runs, "copy_memory/gru", slope=0.1, steps=range(0, 50, 10), **ended)
    norms = decaying(range(6), 40, [0.1])
    norms[-1, :, :4] = np.nan
    norms[:, :, 0] = 0.0
    (gru / "gradients.zarr").rename(gru / "old.zarr")
    write_gradients(gru, range(0, 60, 10), {"h": norms})


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_runs(folder / "runs")
    write_report([folder / "runs"], folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def seen(report: Path) -> dict[str, Any]:
    return browse(report, SCRIPT)


@pytest.fixture
def answer(seen: dict[str, Any]) -> dict[str, Any]:
    assert seen["errors"] == []
    found: dict[str, Any] = seen["answer"]
    return found


def test_no_error_reaches_the_console_and_nothing_is_loaded(seen: dict[str, Any]) -> None:
    assert seen["errors"] == []
    assert seen["violations"] == []
    assert seen["resources"] == []


def test_hostile_texts_are_shown_and_not_run(seen: dict[str, Any], answer: dict[str, Any]) -> None:
    assert seen["hacked"] is None
    assert answer["text"].count(HOSTILE) >= 3
    assert HOSTILE in answer["divergences"]
    assert any(HOSTILE in name for name in answer["names"])


def test_every_picture_is_drawn_with_every_run_that_has_it(answer: dict[str, Any]) -> None:
    before = answer["before"]
    assert len(before) == 5 + 4 + 9
    assert all(curves for curves in before.values())
    assert len(before["plot-profile"]) == 5
    assert len(before["plot-slope"]) == 4
    assert len(before["plot-lyapunov"]) == 2


def test_the_profile_is_the_recorded_one_over_the_lag(report: Path, answer: dict[str, Any]) -> None:
    run = load_run(next((report.parent / "runs/copy_memory/lstm").glob("*seed0")))
    curve = next(c for c in answer["before"]["plot-profile"] if c["name"] == "lstm seed 0")
    order = np.argsort(curve["x"])
    expected = run.by_lag("h", 0)[-1]
    np.testing.assert_allclose(np.array(curve["y"])[order], expected, rtol=1.5e-3)
    assert sorted(curve["x"]) == list(range(40))
    first = next(c for c in answer["first"] if c["name"] == "lstm seed 0")
    np.testing.assert_allclose(np.array(first["y"])[order], run.by_lag("h", 0)[0], rtol=1.5e-3)


def test_the_sliders_move_what_they_are_beside(answer: dict[str, Any]) -> None:
    last, first = answer["before"]["plot-profile"], answer["first"]
    assert [curve["name"] for curve in first] == [curve["name"] for curve in last]
    assert all(one["y"] != two["y"] for one, two in zip(first, last, strict=True))
    assert answer["told"] == "step 0"
    assert answer["spectrum"] == answer["before"]["plot-lyapunov"]
    np.testing.assert_allclose(answer["spectrum"][0]["y"], 0.04 - 0.1 * np.arange(6), atol=1e-4)
    np.testing.assert_allclose(answer["firstSpectrum"][0]["y"], -0.1 * np.arange(6), atol=1e-4)


def test_bins_of_lags_stand_side_by_side_and_exponents_are_whole_numbers(
    answer: dict[str, Any],
) -> None:
    assert answer["lagTicks"] == ["1", "2", "4", "8", "16"]
    assert answer["lagChoice"] == "parameter"
    assert answer["exponentTicks"] == ["0", "1", "2", "3", "4", "5"]


def test_a_hidden_run_vanishes_from_every_picture_and_comes_back(answer: dict[str, Any]) -> None:
    label = answer["names"][0]

    def named(pictures: dict[str, Any]) -> set[str]:
        return {curve["name"].partition(",")[0] for p in pictures.values() for curve in p or []}

    assert label in named(answer["before"])
    assert label not in named(answer["hidden"])
    assert "plot-map-0" in answer["before"]
    assert "plot-map-0" not in answer["hidden"]
    others = {name for name in named(answer["before"]) if name not in (label, "not finite")}
    assert named(answer["hidden"]) == others
    assert answer["rows"] == ["hidden-run", "", "", "", ""]
    assert named(answer["none"]) == set()
    assert named(answer["again"]) == named(answer["before"])


def test_all_heat_maps_share_one_colour_scale_of_the_shown_runs(answer: dict[str, Any]) -> None:
    assert len({tuple(pair) for pair in answer["ranges"]}) == 1
    assert len({tuple(pair) for pair in answer["hiddenRanges"]}) == 1
    assert answer["hiddenRanges"][0][1] < answer["ranges"][0][1]


def test_zero_and_lost_norms_are_told_apart(answer: dict[str, Any]) -> None:
    assert answer["layers"] == [2, 1, 1, 1, 1]
    assert answer["holes"][0] == 6 + 3
    assert answer["holes"][1] == 0


def test_divergences_say_what_happened(answer: dict[str, Any]) -> None:
    assert "diverged" in answer["divergences"]
    assert "non-finite" in answer["divergences"]


def test_another_state_leaf_shows_the_runs_that_have_it(answer: dict[str, Any]) -> None:
    names = [curve["name"] for curve in answer["other"]["plot-profile"]]
    assert names == ["lstm seed 0", "lstm seed 1"]
    assert answer["numbers"] == 2


def test_the_table_sorts_by_a_column(answer: dict[str, Any]) -> None:
    # With the cell state c chosen, only the LSTMs have a slope; those without come last.
    assert answer["sorted"][:2] == ["lstm seed 1", "lstm seed 0"]


def test_hovering_tells_the_run_and_its_numbers(answer: dict[str, Any]) -> None:
    assert HOSTILE in answer["hover"]
    assert "slope -0.6 nats per step" in answer["hover"]
    assert "loss 0.8" in answer["hover"]


def test_lags_of_a_unit_that_reads_backwards_count_from_the_front(tmp_path: Path) -> None:
    run = write_whole_run(tmp_path / "runs")
    (run / "gradients.zarr").rename(run / "old.zarr")
    norms = decaying(range(3), 30, [-0.2])
    write_gradients(run, range(3), {"h": norms}, ["layer_0_backward"])
    write_report([tmp_path / "runs"], tmp_path / "report.html")
    found = browse(tmp_path / "report.html", HELP + 'return all()["plot-profile"];', height=4000)
    loaded = load_run(run)
    (curve,) = found["answer"]
    values = np.array(curve["y"])[np.argsort(curve["x"])]
    np.testing.assert_allclose(values, loaded.by_lag("h", 0)[-1], rtol=1.5e-3)
    assert curve["x"][0] == 0


def test_every_control_has_a_name_and_can_be_reached(answer: dict[str, Any]) -> None:
    assert answer["unnamed"] == 0
    assert answer["uncaptioned"] == 0
    assert answer["reached"]


def test_the_button_and_the_systems_wish_make_page_and_pictures_dark(
    report: Path, answer: dict[str, Any]
) -> None:
    script = HELP + "return paper();"
    wished = browse(report, script, dark=True, height=2000)
    assert answer["light"] == {"page": "rgb(255, 255, 255)", "plot": "#ffffff"}
    assert answer["dark"] == {"page": "rgb(20, 23, 27)", "plot": "#14171b"}
    assert wished["answer"] == answer["dark"]
    assert wished["errors"] == []


def test_nothing_is_wider_than_a_phone(report: Path) -> None:
    # The narrowest window of a desktop's browser is wider than a phone; a frame is not.
    outside = report.with_name("frame.html")
    frame = '<iframe style="width:380px; height:25000px; border:0"></iframe>'
    outside.write_text(
        f"<!doctype html><html><head><style></style></head><body>{frame}</body></html>"
    )
    script = """
    const frame = document.querySelector("iframe");
    frame.src = "report.html";
    await new Promise((done) => frame.addEventListener("load", done));
    await pause(4000);
    const inside = frame.contentDocument, plots = [...inside.querySelectorAll(".js-plotly-plot")];
    return {
      wide: inside.documentElement.scrollWidth,
      open: inside.getElementById("chooser").open,
      plots: plots.length,
      widest: Math.max(...plots.map((plot) => plot.querySelector(".main-svg").clientWidth)),
    };
    """
    found = browse(outside, script)
    assert found["errors"] == []
    answer = found["answer"]
    assert answer["plots"] > 10
    assert answer["widest"] <= answer["wide"] == 380
    assert not answer["open"]


def test_a_page_of_runs_without_gradients_says_so(tmp_path: Path) -> None:
    run = write_whole_run(tmp_path / "runs")
    (run / "gradients.zarr").rename(run / "old.zarr")
    write_report([tmp_path / "runs"], tmp_path / "report.html")
    found = browse(
        tmp_path / "report.html", "await pause(2000); return document.body.innerText;", height=2000
    )
    assert found["errors"] == []
    assert found["answer"].count("has recorded gradients, so there is no picture") == 3
    assert found["answer"].count("laboratory.zarr, so there is no picture") == 4
