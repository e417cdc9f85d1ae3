"""Windows, scores and baselines of a series agree with NumPy and scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import log_loss, mean_squared_error, r2_score

from rnnexp.core.types import Batch
from rnnexp.tasks.base import Score
from rnnexp.tasks.forecasts import (
    Part,
    Window,
    class_baselines,
    class_scores,
    derived_figures,
    figures,
    regression_baselines,
    regression_scores,
    source_of,
    suffixes,
)

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(60, 3)), RANDOM.normal(size=(60, 2))
STARTS = np.array([0, 5, 20, 40], np.int32)
NAMES, DEVIATIONS = ("a", "b"), [2.0, 0.5]


def means(scores: dict[str, Score]) -> dict[str, float]:
    return {name: float(score.mean()) for name, score in scores.items()}


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("horizon", [0, 3])
def test_a_batch_has_the_rows_of_its_windows(every: bool, horizon: int) -> None:
    window = Window(4, horizon, every)
    source = source_of(Part(X, Y, STARTS), window)
    batch = jax.jit(source.take)(source.arrays, jnp.array([2, 0], jnp.int32))
    assert source.size == 4
    for b, start in enumerate((20, 0)):
        for t in range(4):
            np.testing.assert_allclose(batch.inputs_TxBxI[t, b], X[start + t], rtol=1e-6)
            if every:
                np.testing.assert_allclose(batch.targets[t, b], Y[start + t + horizon], rtol=1e-6)
        if not every:
            np.testing.assert_allclose(batch.targets[b], Y[start + 3 + horizon], rtol=1e-6)
    codes = source_of(Part(X, np.arange(60), STARTS), window)
    taken = codes.take(codes.arrays, jnp.array([1], jnp.int32))
    assert taken.targets.dtype == jnp.int32
    assert taken.targets.reshape(-1)[-1] == 5 + 3 + horizon


@pytest.mark.parametrize("every", [False, True])
def test_scores_are_scikit_learns(every: bool) -> None:
    shape = (7, 50, 2) if every else (50, 2)
    outputs, targets = RANDOM.normal(size=(2, *shape))
    scored = regression_scores(Window(7, 1, every), DEVIATIONS, NAMES)(
        jnp.asarray(outputs, float), Batch(jnp.zeros((7, 50, 1)), jnp.asarray(targets, float))
    )
    assert all(score.total_B.shape == (50,) for score in scored.values())
    found = means(scored)
    found |= {
        name: float(of({key: jnp.asarray(value) for key, value in found.items()}))
        for name, of in derived_figures(NAMES).items()
    }
    assert set(found) == {
        "loss", "spread", "nrmse", "r2", "mse_a", "mse_b", "rmse_a", "rmse_b"
    }  # fmt: skip
    flat, true = outputs.reshape(-1, 2), targets.reshape(-1, 2)
    squared = mean_squared_error(true, flat, multioutput="raw_values")
    np.testing.assert_allclose(found["loss"], squared.mean(), rtol=1e-5)
    np.testing.assert_allclose(found["mse_a"], squared[0] * 4, rtol=1e-5)
    np.testing.assert_allclose(found["rmse_b"], (squared[1] / 4) ** 0.5, rtol=1e-5)
    # R^2 by scikit-learn has the mean of the targets themselves; with it made 0 both are the same
    around_0 = np.concatenate([true, -true]).reshape(-1)
    expected = r2_score(around_0, np.concatenate([flat, -flat]).reshape(-1))
    np.testing.assert_allclose(found["r2"], expected, rtol=1e-5)
    np.testing.assert_allclose(found["nrmse"], (1 - expected) ** 0.5, rtol=1e-5)
    by_numpy = figures(outputs, targets, DEVIATIONS, NAMES)
    assert by_numpy == pytest.approx({name: found[name] for name in by_numpy}, rel=1e-5)


def rows_of(part: Part, window: Window) -> list[tuple[int, int]]:
    """Of every answer the row after which it is given, and the first row of its window."""
    steps = range(window.steps) if window.every else [window.steps - 1]
    return [(start + t, start) for start in part.starts_W.tolist() for t in steps]


@pytest.mark.parametrize("every", [False, True])
def test_baselines_of_regression(every: bool) -> None:
    window = Window(3, 2, every)
    train = Part(X, Y, np.arange(0, 50, dtype=np.int32))
    test = Part(RANDOM.normal(size=(20, 3)), RANDOM.normal(size=(20, 2)), np.arange(15))
    baseline, references = regression_baselines(train, test, window, DEVIATIONS, NAMES, seen=True)
    rows = rows_of(test, window)
    true = np.stack([test.y_N[row + 2] for row, _ in rows])
    held = np.stack([test.y_N[row] for row, _ in rows])
    np.testing.assert_allclose(baseline["loss"], mean_squared_error(true, held), rtol=1e-12)
    np.testing.assert_allclose(
        baseline["rmse_a"], 2 * mean_squared_error(true[:, 0], held[:, 0]) ** 0.5, rtol=1e-12
    )
    assert references["nrmse of the mean"] == pytest.approx(1)
    answers = []
    for row, start in rows:
        lags = row - start + 1

        def looking_back(part: Part, row: int, lags: int = lags) -> np.ndarray:
            return np.concatenate([part.x_NxI[row - k] for k in range(lags)])

        ends = train.starts_W + 2
        model = LinearRegression().fit([looking_back(train, e) for e in ends], Y[ends + 2])
        answers.append(model.predict([looking_back(test, row)])[0])
    expected = figures(np.stack(answers), true, DEVIATIONS, NAMES)["nrmse"]
    assert references["nrmse of linear regression on 3 steps"] == pytest.approx(expected, rel=1e-5)
    hidden, others = regression_baselines(train, test, window, DEVIATIONS, NAMES, seen=False)
    assert hidden["nrmse"] == pytest.approx(1)
    assert others == {k: v for k, v in references.items() if "linear" in k}


def test_scores_and_baselines_of_classes() -> None:
    window = Window(2, 1, every=True)
    labels = RANDOM.integers(0, 3, 60)
    train, test = (Part(X, labels, np.arange(begin, 50)) for begin in (0, 10))
    baseline, references = class_baselines(train, test, window, 3)
    rows = [row for row, _ in rows_of(test, window)]
    true = labels[np.array(rows) + 1]
    frequency = np.mean(labels[:, None] == np.arange(3), 0)
    expected = log_loss(true, np.tile(frequency, (len(true), 1)), labels=[0, 1, 2])
    assert baseline["loss"] == pytest.approx(expected)
    assert baseline["accuracy"] == np.mean(true == np.argmax(frequency))
    assert references == {"accuracy of the present class": np.mean(labels[rows] == true)}
    assert class_baselines(train, test, Window(2, 0, every=True), 3)[1] == {}
    logits = jnp.log(jnp.broadcast_to(jnp.asarray(frequency, float), (2, 40, 3)))
    targets = jnp.asarray(true.reshape(40, 2).T, jnp.int32)
    found = means(class_scores(window)(logits, Batch(jnp.zeros((2, 40, 3)), targets)))
    assert found == pytest.approx(baseline, rel=1e-5)


def test_names_of_scores() -> None:
    assert suffixes(["T (degC)"]) == [""]
    assert suffixes(["T (degC)", "rh %"]) == ["_T_degC", "_rh"]
    assert suffixes(["T+", "T-"]) == ["_T_1", "_T_2"]
