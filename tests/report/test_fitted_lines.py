"""Fitted lines lie where they should, and those that explain little are marked."""

import numpy as np
import pytest

from rnnexp.report.figures import new_figure
from rnnexp.report.fitted_lines import draw_fitted_line, half_life_text

LAGS = np.arange(41)
HAT = np.exp(-0.5 * np.abs(LAGS - 25))


def test_a_good_line_is_solid_over_the_lags_that_it_is_fitted_to() -> None:
    axes = new_figure((3, 2)).subplots()
    norms_T = 2 * np.exp(-0.1 * LAGS)
    norms_T[:5], norms_T[40] = 0.0, np.nan
    fitted = draw_fitted_line(axes, norms_T, "red")
    assert fitted is not None
    drawn, line = fitted
    assert [*axes.lines] == [drawn]
    np.testing.assert_array_equal(drawn.get_xdata(), [5, 39])
    np.testing.assert_allclose(np.asarray(drawn.get_ydata()), 2 * np.exp([-0.5, -3.9]), rtol=1e-12)
    assert drawn.get_linestyle() == "-"
    assert half_life_text(line) == "6.93"


def test_a_bad_line_is_dashed_and_says_its_fit() -> None:
    axes = new_figure((3, 2)).subplots()
    fitted = draw_fitted_line(axes, HAT, "red")
    assert fitted is not None
    drawn, line = fitted
    assert drawn.get_linestyle() == "--"
    expected = np.corrcoef(LAGS, np.log(HAT))[0, 1] ** 2
    assert half_life_text(line) == f"none, R² {expected:.2f}".replace("0.", ".")


@pytest.mark.parametrize("norms", [[], [1.0, 0.5], [0.0, 0.0, 0.0], [np.nan, 1.0, 2.0, 0.0]])
def test_two_lags_have_no_line(norms: list[float]) -> None:
    axes = new_figure((3, 2)).subplots()
    assert draw_fitted_line(axes, np.array(norms), "red") is None
    assert not axes.lines
