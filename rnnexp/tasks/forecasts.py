"""Batches, scores and baselines of tasks that look into windows of a series.

A window is T rows of inputs. With horizon h the answer after its row t is the target of row t + h,
asked for after the last row or after every row. Targets have mean 0 and deviation 1 in the training
part; `loss` is their squared error, the mean over targets. With the mean square of the targets
themselves, `spread`, the error of the training mean,

    nrmse = sqrt(loss / spread),    r2 = 1 - loss / spread,

and `mse` and `rmse` are in the units of the data, one a target. r2 is the R^2 out of sample of
Campbell & Thompson 2008, "Predicting excess stock returns out of sample": 0 is the training mean.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from rnnexp.core.types import Array, Batch, Tree
from rnnexp.data.linear_forecast import fit, lag_count, predict
from rnnexp.tasks.base import Finite, Score
from rnnexp.tasks.scores import correct, cross_entropy, once, over_steps


@dataclass(frozen=True)
class Window:
    """A window of `steps` rows, and the rows ahead of which the target is asked for."""

    steps: int
    horizon: int
    every: bool
    """An answer after every row, not after the last alone."""


class Part(NamedTuple):
    """Rows of a part, its series laid end to end, and where its windows begin.

    `y_N` are targets (N, O), or numbers of classes (N,).
    """

    x_NxI: np.ndarray
    y_N: np.ndarray
    starts_W: np.ndarray


def source_of(part: Part, window: Window) -> Finite:
    """The windows of a part: inputs (T, B, I), targets (B, ...) or (T, B, ...)."""

    def take(arrays: Tree, indices_B: Array) -> Batch:
        x_NxI, y_N, starts_W = arrays
        steps_Tx1 = jnp.arange(window.steps, dtype=starts_W.dtype)[:, None]
        rows_TxB = starts_W[indices_B][None] + steps_Tx1
        asked = rows_TxB if window.every else rows_TxB[-1]
        return Batch(x_NxI[rows_TxB], y_N[asked + window.horizon])

    arrays = (jnp.asarray(part.x_NxI, float), _on_device(part.y_N), jnp.asarray(part.starts_W))
    return Finite(arrays, len(part.starts_W), take)


def _on_device(y_N: np.ndarray) -> Array:
    return jnp.asarray(y_N, float if y_N.dtype.kind == "f" else jnp.int32)


def targets_of(part: Part, window: Window, before: int = 0) -> np.ndarray:
    """The targets of all windows, (W, ...) or (W, T, ...), or the values so many rows before."""
    rows_WxT = part.starts_W[:, None] + np.arange(window.steps)[None] + window.horizon - before
    targets: np.ndarray = part.y_N[rows_WxT if window.every else rows_WxT[:, -1]]
    return targets


def suffixes(targets: Sequence[str]) -> list[str]:
    """What the names of a target's scores end in: nothing if there is one, else its name."""
    if len(targets) == 1:
        return [""]
    plain = ["_" + re.sub(r"\W+", "_", name).strip("_") for name in targets]
    unique = len({*plain}) == len(plain)
    return plain if unique else [f"{name}_{n}" for n, name in enumerate(plain, 1)]


def regression_scores(
    window: Window, deviation_O: Sequence[float], targets: Sequence[str]
) -> Callable[[Array, Batch], dict[str, Score]]:
    """The scores of outputs (..., O): `loss`, `spread`, and `mse` in the units of the data.

    Args:
      deviation_O: of each target in the training part.
    """
    pool = over_steps if window.every else once

    def scores(outputs: Array, batch: Batch) -> dict[str, Score]:
        error = jnp.square(outputs - batch.targets)
        found = {
            "loss": pool(jnp.mean(error, -1)),
            "spread": pool(jnp.mean(jnp.square(batch.targets), -1)),
        }
        for n, (end, deviation) in enumerate(zip(suffixes(targets), deviation_O, strict=True)):
            found[f"mse{end}"] = pool(error[..., n] * deviation**2)
        return found

    return scores


def derived_figures(targets: Sequence[str]) -> dict[str, Callable[[Mapping[str, Array]], Array]]:
    """`nrmse` and `r2`, and `rmse` in the units of the data, from the mean scores."""

    def root(name: str, means: Mapping[str, Array]) -> Array:
        return jnp.sqrt(means[name])

    return {
        "nrmse": lambda means: jnp.sqrt(means["loss"] / means["spread"]),
        "r2": lambda means: 1 - means["loss"] / means["spread"],
        **{f"rmse{end}": partial(root, f"mse{end}") for end in suffixes(targets)},
    }


def figures(
    answers: np.ndarray, asked: np.ndarray, deviation_O: Sequence[float], targets: Sequence[str]
) -> dict[str, float]:
    """The scores of answers (..., O) to the targets that were asked for, by name."""
    error = np.square(answers - asked).reshape(-1, len(targets))
    loss, spread = float(error.mean()), float(np.square(asked).mean())
    found = {"loss": loss, "nrmse": (loss / spread) ** 0.5, "r2": 1 - loss / spread}
    for n, (end, deviation) in enumerate(zip(suffixes(targets), deviation_O, strict=True)):
        found[f"mse{end}"] = float(error[:, n].mean()) * deviation**2
        found[f"rmse{end}"] = found[f"mse{end}"] ** 0.5
    return found


def linear_answers(train: Part, part: Part, window: Window) -> tuple[np.ndarray, int]:
    """What linear least squares, fitted on the training part, answers to a part's windows.

    Returns the answers in the shape of `targets_of`, and the steps that the fit can use. After row
    t of a window it uses the rows up to t alone, by least squares of its own.
    """
    last = window.steps - 1
    lags = lag_count(window.steps, part.x_NxI.shape[1], len(train.starts_W))
    found = fit(train.x_NxI, train.y_N, train.starts_W + last, window.horizon, lags)
    if not window.every:
        return predict(found, part.x_NxI, part.starts_W + last, lags), lags
    answers = [
        predict(found, part.x_NxI, part.starts_W + t, min(t + 1, lags)) for t in range(window.steps)
    ]
    return np.stack(answers, 1), lags


def regression_baselines(
    train: Part,
    part: Part,
    window: Window,
    deviation_O: Sequence[float],
    targets: Sequence[str],
    *,
    seen: bool,
) -> tuple[dict[str, float], dict[str, float]]:
    """The baseline and the references of regression, scored on a part.

    The baseline repeats the last value of the targets if the network sees it (`seen`), else it is
    the mean of the training part, which else is a reference; so is linear least squares.
    """
    asked = targets_of(part, window)
    mean = figures(np.zeros_like(asked), asked, deviation_O, targets)
    answers, lags = linear_answers(train, part, window)
    linear = figures(answers, asked, deviation_O, targets)
    steps = "step" if lags == 1 else "steps"
    references = {f"nrmse of linear regression on {lags} {steps}": linear["nrmse"]}
    if not seen:
        return mean, references
    held = figures(targets_of(part, window, window.horizon), asked, deviation_O, targets)
    return held, {"nrmse of the mean": mean["nrmse"], **references}


def class_scores(window: Window) -> Callable[[Array, Batch], dict[str, Score]]:
    """Cross-entropy in nats and accuracy, one term an answer."""
    pool = over_steps if window.every else once

    def scores(logits: Array, batch: Batch) -> dict[str, Score]:
        return {
            "loss": pool(cross_entropy(logits, batch.targets)),
            "accuracy": pool(correct(logits, batch.targets)),
        }

    return scores


def class_baselines(
    train: Part, part: Part, window: Window, classes: int
) -> tuple[dict[str, float], dict[str, float]]:
    """The frequencies of the classes in the training part; the present class, if h is above 0."""
    frequency = np.bincount(train.y_N, minlength=classes) / len(train.y_N)
    asked = targets_of(part, window)
    baseline = {
        "loss": float(-np.mean(np.log(frequency[asked]))),
        "accuracy": float(np.mean(asked == np.argmax(frequency))),
    }
    if window.horizon == 0:
        return baseline, {}
    held = targets_of(part, window, window.horizon)
    return baseline, {"accuracy of the present class": float(np.mean(held == asked))}
