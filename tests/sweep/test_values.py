"""Values of swept keys have the type of their key, and draws the distribution of their axis."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.sweep.axes import Axis, Space, interval
from rnnexp.sweep.space import expand, parse_space, read_base
from rnnexp.sweep.values import drawn
from tests.helpers.sweep_points import RATE, points, refusal, values


def test_whole_numbers_stay_whole() -> None:
    sizes = values(points("cell.hidden_size=log:16..256:5"), "cell.hidden_size")
    assert sizes == [16, 32, 64, 128, 256]
    assert {type(size) for size in sizes} == {int}
    assert values(points("model.num_layers=linear:1..3:3"), "model.num_layers") == [1, 2, 3]
    assert "cell.hidden_size=log:16..256:4 has 40.3175 among" in refusal(
        "cell.hidden_size=log:16..256:4"
    )


def test_values_have_the_type_of_their_key() -> None:
    found = points(f"{RATE}=1,2", "optimizer.name=adam,sgd", "model.residual=true,False")
    assert {type(v) for v in values(found, RATE)} == {float}
    assert set(values(found, "optimizer.name")) == {"adam", "sgd"}
    assert set(values(found, "model.residual")) == {True, False}


def test_typed_values_of_a_space_are_held_to_their_key() -> None:
    base = read_base("adding/rnn")
    assert values(expand(Space(((Axis(RATE, (1, 0.5)),),)), base), RATE) == [1.0, 0.5]
    for key, value in [("train.batch_size", 8.0), ("model.residual", 1), ("optimizer.name", 3)]:
        with pytest.raises(UsageError, match=rf"config\.{key} takes"):
            expand(Space(((Axis(key, (value,)),),)), base)
    with pytest.raises(UsageError, match="unknown scale 'lag'"):
        interval(RATE, "lag", 1.0, 2.0)
    with pytest.raises(UsageError, match="the list of values is empty"):
        Axis(RATE)


def draws(text: str, kind: type, count: int = 2000) -> list[Any]:
    """Values of one axis from uniform draws."""
    (axis,) = parse_space([text]).axes
    return [drawn(axis, kind, share) for share in np.random.default_rng(1).random(count)]


def test_draws_have_the_distribution_of_their_axis() -> None:
    shares = [
        (np.log10(draws(f"{RATE}=log:1e-5..1e-1", float)) + 5) / 4,
        np.array(draws("model.dropout=linear:0..0.5", float)) / 0.5,
    ]
    for share in shares:
        assert share.min() >= 0
        assert share.max() <= 1
        # Kolmogorov-Smirnov: a larger distance has a probability of 1e-6
        distance = np.abs(np.sort(share) - (np.arange(2000) + 0.5) / 2000).max()
        assert distance < np.sqrt(np.log(2e6) / 2 / 2000)


@pytest.mark.parametrize(
    ("text", "kind", "probabilities"),
    [
        ("optimizer.name=sgd,adam", str, {"sgd": 0.5, "adam": 0.5}),
        ("cell.hidden_size=linear:1..4", int, dict.fromkeys((1, 2, 3, 4), 0.25)),
        (
            "model.num_layers=log:1..8",
            int,
            {n: np.log((n + 0.5) / (n - 0.5)) / np.log(17) for n in range(1, 9)},
        ),
    ],
)
def test_draws_of_separate_values_have_their_probabilities(
    text: str, kind: type, probabilities: dict[Any, float]
) -> None:
    counts = Counter(draws(text, kind))
    assert set(counts) == set(probabilities)
    for value, p in probabilities.items():
        assert abs(counts[value] / 2000 - p) < 5 * np.sqrt(p * (1 - p) / 2000)
