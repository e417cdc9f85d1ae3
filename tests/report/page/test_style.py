"""The looks of the page: as many as Python hands out, and visible on both backgrounds."""

import itertools
import json
import re
from importlib import resources

import pytest

from rnnexp.report.looks import PAGE

HOME = resources.files("rnnexp.report.page")
SCRIPT, CSS = ((HOME / name).read_text("utf-8") for name in ("style.js", "page.css"))
ALL_SCRIPTS = [part.read_text("utf-8") for part in HOME.iterdir() if part.name.endswith(".js")]


def themes() -> dict[str, dict[str, str]]:
    """The colours of the page by name, of the light and of the dark page."""
    light, dark = re.findall(r"^:root[^{]*\{([^}]*)\}", CSS, re.M)[:2]
    found = {
        name: dict(re.findall(r"--([\w-]+): (#[0-9a-fA-F]{6});", block))
        for name, block in (("light", light), ("dark", dark))
    }
    assert set(found["light"]) == set(found["dark"])
    return found


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2.2 defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, two: str) -> float:
    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)


def array(name: str) -> list[str]:
    """A constant of style.js."""
    found = re.search(rf"^const {name} = (\[.*?\]);", SCRIPT, re.M | re.S)
    assert found
    values: list[str] = json.loads(re.sub(r",\s*\]", "]", found[1]))
    return values


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_line_is_visible_on_the_page_and_in_the_list_beside_it(theme: str) -> None:
    colours = themes()[theme]
    lines = {name: c for name, c in colours.items() if name.startswith("run-")} | {
        "soft": colours["soft"]  # baselines
    }
    assert len(lines) == PAGE.colours + 1
    for (name, line), paper in itertools.product(lines.items(), ("paper", "card")):
        assert contrast(line, colours[paper]) >= 3, f"{name} on the {theme} {paper}"


def test_no_line_is_made_paler_than_its_colour() -> None:
    for text in ALL_SCRIPTS:
        assert "opacity" not in text


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_differ(theme: str) -> None:
    colours = [c for name, c in themes()[theme].items() if name.startswith("run-")]
    for one, two in itertools.combinations(colours, 2):
        apart = [abs(int(one[p : p + 2], 16) - int(two[p : p + 2], 16)) for p in (1, 3, 5)]
        assert max(apart) >= 60, (one, two)


def test_there_are_as_many_dashes_and_markers_as_are_handed_out_and_none_twice() -> None:
    for name, count in (
        ("DASHES", PAGE.dashes), ("SVG_DASHES", PAGE.dashes), ("FILLINGS", PAGE.dashes),
        ("MARKERS", PAGE.markers), ("MARKER_PATHS", PAGE.markers),
    ):  # fmt: skip
        values = array(name)
        assert len(values) == len(set(values)) == count, name
