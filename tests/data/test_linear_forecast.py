"""Least squares of lags agrees with scikit-learn, for any number of lags of one fit."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from rnnexp.data import linear_forecast
from rnnexp.data.linear_forecast import fit, lag_count, lagged, predict

RANDOM = np.random.default_rng(0)
X_NxI, Y_NxO = RANDOM.normal(size=(300, 3)), RANDOM.normal(size=(300, 2))
ENDS, AHEAD, LAGS = np.arange(10, 290), 4, 6


@pytest.mark.parametrize("lags", [1, 2, LAGS])
@pytest.mark.parametrize("chunk", [64, 1_000])
def test_it_is_scikit_learns(monkeypatch: pytest.MonkeyPatch, lags: int, chunk: int) -> None:
    monkeypatch.setattr(linear_forecast, "CHUNK_ROWS", chunk)
    found = fit(X_NxI, Y_NxO, ENDS, AHEAD, LAGS)
    features = np.array([[X_NxI[end - k, i] for k in range(lags) for i in range(3)]
                         for end in ENDS])  # fmt: skip
    expected = LinearRegression().fit(features, Y_NxO[ENDS + AHEAD])
    asked = ENDS[::7]
    answers = predict(found, X_NxI, asked, lags)
    np.testing.assert_allclose(answers, expected.predict(features[::7]), rtol=1e-5, atol=1e-7)


def test_columns_that_depend_on_each_other_predict_as_one_does() -> None:
    twice = np.concatenate([X_NxI[:, :1], X_NxI[:, :1], 0 * X_NxI[:, :1]], 1)
    alone = fit(X_NxI[:, :1], Y_NxO, ENDS, AHEAD, LAGS)
    both = fit(twice, Y_NxO, ENDS, AHEAD, LAGS)
    np.testing.assert_allclose(
        predict(both, twice, ENDS, LAGS), predict(alone, X_NxI[:, :1], ENDS, LAGS), atol=1e-5
    )


def test_features_are_lag_by_lag() -> None:
    found = lagged(np.arange(10.0).reshape(5, 2), np.array([2, 4]), 2)
    assert found.tolist() == [[1, 4, 5, 2, 3], [1, 8, 9, 6, 7]]


def test_there_are_more_windows_than_features() -> None:
    assert lag_count(32, 2, 1_000) == 32
    assert lag_count(32, 2, 40) == 10
    assert lag_count(500, 4, 10**6) == linear_forecast.MOST_FEATURES // 4
    assert lag_count(5, 1_000, 10) == 1
