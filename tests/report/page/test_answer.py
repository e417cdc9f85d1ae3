"""The page opens with the answer: its numbers are those of `compare`, and its pictures in scale."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from rnnexp.report.compare_tables import comparison_tables
from rnnexp.report.page.answer import HIDDEN, MOST_ROWS, answers_html, scale_of
from rnnexp.report.page.collect import collect
from rnnexp.report.page.html import render
from rnnexp.results.compare import compare
from rnnexp.results.index import read_index
from rnnexp.results.winner import Answer, answers
from tests.helpers.parsed_page import Parsed
from tests.helpers.report_runs import BASELINE, write_whole_run
from tests.helpers.synthetic_runs import write_run


def write(root: Path, *, times: int = 4, **losses: Sequence[float]) -> Answer:
    """Cells of copy memory with a seed for each loss; the answer about them."""
    for cell, values in losses.items():
        for seed, loss in enumerate(values):
            write_whole_run(
                root, f"copy_memory/{cell}", {"seed": seed}, times=times, valid=loss,
                test={"loss": loss},
            )  # fmt: skip
    (answer,) = answers(read_index(root))
    return answer


def circles(text: str) -> list[float]:
    return [float(at) for at in re.findall(r'<circle class="\w+" cx="([\d.]+)%', text)]


def test_the_answer_stands_before_all_else(tmp_path: Path) -> None:
    write(tmp_path, gru=(0.1, 0.12, 0.11), lstm=(0.3, 0.33, 0.35))
    text = render(collect([tmp_path]))
    places = [text.index(mark) for mark in ("gru is best", "rnnexp compare", 'id="s-overview"')]
    assert places == sorted(places)
    assert text.index("<main") < text.index('id="s-answer"') < places[0]
    assert HIDDEN in text


def test_the_tables_are_those_of_compare(tmp_path: Path) -> None:
    write(tmp_path, gru=(0.1, 0.12, 0.11), lstm=(0.3, 0.33, 0.35))
    page = Parsed(answers_html(answers(read_index(tmp_path))))
    cells = [text.strip() for text in page.texts["td"]]
    rows = compare(read_index(tmp_path), ["cell"], "test_loss")
    for title, table in comparison_tables(rows, "test_loss"):
        assert title in page.texts["caption"]
        for row in table:
            for value in row.values():
                shown = f"{value:.4g}" if isinstance(value, float) else str(value)
                assert shown in cells
    row = rows[0]
    shown = f"{row['mean']:.3g} [{row['low']:.3g}, {row['high']:.3g}]"
    assert shown in cells
    assert any(shown in text for text in page.texts["p"])


def test_dots_bars_and_baselines_are_in_one_scale(tmp_path: Path) -> None:
    answer = write(tmp_path, gru=(0.1, 0.12, 0.11), lstm=(0.3, 0.33, 0.35))
    text = answers_html([answer])
    scale = scale_of(answer)
    assert scale is not None
    assert not scale.log
    means = [one.row["mean"] for one in answer.contenders]
    (gru, lstm), (base, *others) = circles(text), re.findall(r'class="base" x1="([\d.]+)%', text)
    assert len(others) == 1
    assert set(others) == {base}
    share = (lstm - gru) / (float(base) - gru)
    assert share == pytest.approx((means[1] - means[0]) / (BASELINE - means[0]), abs=1e-3)
    bars = re.findall(r'class="bar" x1="([\d.]+)%" x2="([\d.]+)%"', text)
    assert [float(x) for x in bars[1]] == pytest.approx(
        [scale.place(answer.contenders[1].row[end]) for end in ("low", "high")], abs=0.01
    )
    assert all(0 <= float(x) <= 100 for pair in bars for x in pair)


def test_an_interval_wider_than_the_picture_has_an_arrow(tmp_path: Path) -> None:
    answer = write(tmp_path, gru=(0.1, 0.12, 0.11), lstm=(0.2, 0.5))  # 12.7 errors on either side
    text = answers_html([answer])
    assert text.count("◂") == text.count("▸") == 1
    gru, lstm = circles(text)
    assert lstm - gru > 15


def test_scores_of_many_decades_are_logarithmic(tmp_path: Path) -> None:
    answer = write(tmp_path, gru=(1e-4, 1.1e-4), lstm=(1e-2, 1.1e-2))
    scale = scale_of(answer)
    assert scale is not None
    assert scale.log
    assert "logarithmic" in answers_html([answer])
    gru, lstm = circles(answers_html([answer]))
    base = scale.place(BASELINE)
    steps = (lstm - gru) / (base - lstm)
    assert steps == pytest.approx(math.log(100) / math.log(BASELINE / 1.05e-2), rel=0.01)


@pytest.mark.parametrize("losses", [(0.5,), (0.5, 0.5), (0.0,), (math.nan,), (math.inf, 1.0)])
def test_one_group_of_any_scores_has_a_table(tmp_path: Path, losses: tuple[float, ...]) -> None:
    for seed, loss in enumerate(losses):
        write_run(tmp_path, "adding/gru", {"seed": seed}, valid=0.5, test={"loss": loss})
    text = answers_html(answers(read_index(tmp_path)))
    assert "gru is the only group" in text
    assert len(circles(text)) == all(map(math.isfinite, losses))
    assert "base" not in text


def test_several_tasks_have_an_answer_each_and_close_the_other_tables(tmp_path: Path) -> None:
    write(tmp_path, gru=(0.1, 0.2), lstm=(0.3, 0.4))
    write_run(tmp_path, "adding/gru", valid=0.5, test={"loss": 0.5})
    write_run(tmp_path, "parity/gru", status="diverged", valid=0.5)
    text = answers_html(answers(read_index(tmp_path)))
    page = Parsed(text)
    assert [text.strip() for text in page.texts["h3"]] == ["adding", "copy_memory", "parity"]
    assert len(page.texts["details"]) == 2
    assert " open" not in text
    assert "parity, nothing can be compared: no run is completed" in text


def test_more_groups_than_a_table_has_are_counted(tmp_path: Path) -> None:
    for number in range(MOST_ROWS + 7):
        rate = {"optimizer.learning_rate": 1e-3 * (1 + number)}
        write_run(tmp_path, "adding/gru", rate, valid=0.1 * number, test={"loss": 0.1 * number})
    text = answers_html(answers(read_index(tmp_path)))
    assert "Left out here: 7 groups that are further behind." in text
    assert "7 more groups are left out" in text
    assert len(circles(text)) == MOST_ROWS


def test_hostile_names_stay_texts(tmp_path: Path) -> None:
    bad = "<img src=x onerror=alert(1)>"
    for value in (bad, "tanh"):
        changes = {"cell.activation": value, "optimizer.name": value}
        write_run(tmp_path, "copy_memory/rnn", changes, valid=0.1, test={"loss": 0.1})
    page = Parsed(answers_html(answers(read_index(tmp_path))))
    assert "img" not in page.texts
    assert any(bad in text for text in page.texts["th"])
