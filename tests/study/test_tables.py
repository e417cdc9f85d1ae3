"""The table of a study in every form it is written in."""

import math
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.study import tables
from rnnexp.study.assess import Assessment, assess
from rnnexp.study.store import read_results, write_results
from tests.helpers.small_study import number, small_study
from tests.study.test_assess import MEASURED, values

SPECIAL = "50 % of <b>x_1</b> & y | z"


def assessed() -> Assessment:
    study = small_study(number(SPECIAL), number("other"), notes=["a note"])
    return assess(study, MEASURED, hours=0.5, runs=8)


def test_rows_have_claim_published_ours_interval_and_verdict() -> None:
    rows = tables.rows_of(assess(small_study(), MEASURED))
    assert rows[0] == {
        "claim": "lstm, test loss", "published": "0.2 ± 5", "ours": "0.25",
        "95 % interval": "[0.04457, 0.4554]", "n": "4", "verdict": "reproduced",
    }  # fmt: skip
    assert rows[1]["published"] == "lstm better than rnn"
    assert rows[-1]["verdict"] == "not comparable: private data"
    few = assess(small_study(), MEASURED | {"lstm": values(-9.0, 9.0, 0.0, 1.0)})
    assert tables.rows_of(few)[0]["verdict"].startswith("undecided: ")
    assert tables.rows_of(few)[0]["verdict"].endswith(" seeds would decide")


def test_legend_names_deviations_margins_sources_and_a_changed_hash() -> None:
    study = replace(small_study(number()), deviations=["fewer updates"])
    lines = tables.legend(assess(study, MEASURED, hours=0.5, runs=8, stored_hash="0" * 16))
    text = "\n".join(lines)
    assert "deviation from the paper: fewer updates" in lines
    assert "margin 5: wide, for a test" in lines
    assert "source [V]: A & B 2020, Table 1, test loss" in lines
    assert "8 trainings, 0.50 hours" in lines
    assert "THE CLAIMS HAVE CHANGED" in text
    assert "THE CLAIMS" not in "\n".join(tables.legend(assessed()))


def test_markdown_and_latex_escape_what_they_must() -> None:
    text, tex = tables.markdown(assessed()), tables.latex(assessed())
    assert "x_1</b> & y \\| z |" in text
    assert text.count("\n| ") >= 3
    assert r"50 \% of <b>x\_1</b> \& y | z" in tex
    assert r"$\pm$" in tex
    assert tex.rstrip().endswith(r"\end{tabular}")


def test_page_is_well_formed_and_needs_no_network() -> None:
    page = tables.page(assessed())

    class Balanced(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []
            self.text = ""

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.open += [tag] if tag != "meta" else []

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

        def handle_data(self, data: str) -> None:
            self.text += data

    reader = Balanced()
    reader.feed(page)
    assert reader.open == []
    assert SPECIAL in reader.text
    assert "http" not in page
    assert 'class="good">reproduced' in page


def test_summary_has_a_row_for_each_study(tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    study = replace(small_study(), deviations=["fewer updates"])
    write_results(file, assess(study, MEASURED, hours=0.5, runs=8), MEASURED)
    (row,) = tables.summary([read_results(file)])
    assert row == {
        "study": "small", "paper": "A & B 2020: Table 1", "tested": "4",
        "reproduced": "0 (and 4 at reduced scale)", "not reproduced": "0", "undecided": "0",
        "not comparable": "1", "trainings": "8", "hours": "0.50",
    }  # fmt: skip
    assert tables.markdown_table([row]).count("\n") == 2


def test_figures_and_endings() -> None:
    assert tables.figure(math.inf) == "∞"
    assert tables.figure(0.000123456) == "0.0001235"
    with pytest.raises(UsageError, match=r"must end in .json, .md, .tex, .html"):
        tables.require_ending(Path("a.pdf"))
