"""The gradient table of a run, and sparklines."""

from pathlib import Path

import numpy as np

from rnnexp.report.table import gradient_rows, sparkline
from rnnexp.results.load import load_run
from rnnexp.run.run import run
from tests.helpers.small_run import small_config


def test_the_gradient_table(tmp_path: Path) -> None:
    logged = load_run(run(small_config(), runs_dir=tmp_path).path)
    rows = gradient_rows(logged, 1, "h")
    assert [row["step"] for row in rows] == [0, 22, 42, 64, 84, 106, 126, 148]
    last = logged.norms["h"][-1, 1]
    assert rows[-1]["norm"] == {0: last[-1], 5: last[-6], 11: last[0]}
    slopes = logged.curve("train", "slope/layer_1/h")[1]
    assert rows[-1]["slope"] == slopes[-1]


def test_sparklines() -> None:
    assert sparkline(np.exp(np.arange(8.0)), 0, 7) == "▁▂▃▄▅▆▇█"
    assert sparkline(np.array([0, np.nan, np.inf, 1.0]), 0, 1) == "···▁"
    assert len(sparkline(np.ones(784), 0, 1)) == 32
