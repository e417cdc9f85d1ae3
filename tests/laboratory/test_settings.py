"""What the laboratory is told to measure: what is reduced, what is refused, and the defaults."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import rnnexp
from rnnexp.config.defaults import section_defaults
from rnnexp.core.errors import UsageError
from rnnexp.laboratory.examine import halving_edges
from rnnexp.laboratory.settings import Laboratory, choose_examples, fit_unit
from tests.helpers.laboratory_models import H, I
from tests.helpers.variants import build


def test_what_is_too_large_is_reduced_and_said() -> None:
    cell = build(("lstm", {}), I, H)
    params = cell.init(jax.random.key(0))
    fitted, notes = fit_unit(Laboratory(exponents=9, rank=5), cell, params, 20, 1)
    assert (fitted.exponents, fitted.rank, fitted.warmup_steps) == (6, 3, 10)
    assert (fitted.spans, fitted.begin, fitted.interval_steps) == ((1, 2, 4, 8, 16), 4, 4)
    assert notes == [
        "exponents 9 reduced to 6, the state's coordinates",
        "rank 5 reduced to 3, the hidden units",
        "warmup_steps 50 reduced to 10: all examples have 20 steps",
        "longest_span 64 reduced to 16: all examples have 20 steps",
    ]
    quiet = Laboratory(exponents=0, rank=0, warmup_steps=0, interval_steps=1, longest_span=1)
    assert fit_unit(quiet, cell, params, 20, 1)[1] == []
    short, notes = fit_unit(quiet, cell, params, 1, 1)
    assert (short.exponents, short.spans) == (0, (1,))
    assert notes == ["no Lyapunov exponents: they take two steps, and all examples have 1"]
    _, notes = fit_unit(replace(quiet, interval_steps=15, product_examples=2), cell, params, 20, 1)
    assert notes == [
        "product_examples 2 reduced to 1, the examples",
        "interval_steps 15 reduced to 10: 20 steps are left after the warm-up",
    ]


def test_counters_have_no_exponent() -> None:
    cell = build(("clockwork", {"modules": 3}), I, H)
    fitted, _ = fit_unit(Laboratory(exponents=0), cell, cell.init(jax.random.key(0)), 200, 1)
    assert fitted.exponents == H


def test_the_longest_examples_are_taken_the_first_of_equal_ones() -> None:
    assert choose_examples(None, 5, 2).tolist() == [0, 1]
    assert choose_examples(jnp.array([3, 7, 5, 7, 7]), 5, 2).tolist() == [1, 3]
    assert choose_examples(jnp.array([3, 7]), 2, 0).tolist() == [0, 1]
    assert halving_edges(100) == (0, 1, 3, 6, 12, 25, 50, 100)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"exponents": -1}, r"laboratory\.exponents must be at least 0, not -1"),
        ({"interval_steps": 0}, r"laboratory\.interval_steps must be at least 1, not 0"),
        ({"memory_gib": 0.0}, r"laboratory\.memory_gib must be positive"),
        ({"products": "exakt"}, "Did you mean 'exact'"),
    ],
)
def test_settings_that_cannot_be(change: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        Laboratory(**change)


def test_the_keys_of_a_run_have_the_settings_own_defaults() -> None:
    assert rnnexp.Laboratory(**section_defaults("laboratory")) == Laboratory()
