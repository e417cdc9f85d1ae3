"""What the laboratory is told to measure: what is reduced and refused, and the memory it takes."""

import logging
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnnexp
from rnnexp.config.defaults import laboratory_defaults
from rnnexp.core.errors import UsageError
from rnnexp.laboratory.dataset import cell_dataset
from rnnexp.laboratory.examine import examine_cell, halving_edges, prepare
from rnnexp.laboratory.measure import cell_figures
from rnnexp.laboratory.memory import Need, require_memory
from rnnexp.laboratory.settings import Laboratory, choose_examples, fit_unit
from tests.helpers.laboratory_models import SETTINGS, H, I, batch_of, linear_cell, model_of, scores
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


def test_sequences_of_one_step_have_no_exponents_but_all_the_rest() -> None:
    cell = linear_cell()
    arguments = {"w_h": jnp.eye(4)}, jnp.zeros((1, 1, 4)), {"h": jnp.zeros((1, 4))}
    fitted, _ = fit_unit(Laboratory(rank=1), cell, arguments[0], 1, 1)
    measure = partial(cell_figures, cell, fitted=fitted)
    shapes = jax.eval_shape(measure, *arguments, None, jax.random.key(0))
    data = cell_dataset(jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes), fitted)
    assert "lyapunov" not in data
    assert data.singular.shape == (1, 1)


def test_the_longest_examples_are_taken_the_first_of_equal_ones() -> None:
    assert choose_examples(None, 5, 2).tolist() == [0, 1]
    assert choose_examples(jnp.array([3, 7, 5, 7, 7]), 5, 2).tolist() == [1, 3]
    assert choose_examples(jnp.array([3, 7]), 2, 0).tolist() == [0, 1]
    assert halving_edges(100) == (0, 1, 3, 6, 12, 25, 50, 100)


def test_more_memory_than_allowed_names_what_to_lower(caplog: pytest.LogCaptureFixture) -> None:
    model, batch = model_of("lstm"), batch_of()
    caplog.set_level(logging.INFO, "rnnexp")
    prepare(SETTINGS, model, batch, scores, None, "it")
    assert "laboratory of it: measuring takes up to 0.0 MiB" in caplog.text
    small = replace(SETTINGS, memory_gib=1e-9)
    with pytest.raises(UsageError, match=r"measuring it takes up to .* GiB.*lower laboratory\."):
        prepare(small, model, batch, scores, None, "it")
    needs = [Need(3 * 2**30, "A", "lower a"), Need(2**30, "B", "lower b")]
    with pytest.raises(UsageError, match=r"takes up to 4 GiB.*\(3 GiB\) is for A: lower a, or"):
        require_memory(Laboratory(), needs, "it")
    wide = build(("lstm", {}), I, 512)
    with pytest.raises(UsageError, match=r"Lyapunov exponents: lower laboratory\.exponents"):
        examine_cell(
            wide, jax.eval_shape(wide.init, jax.random.key(0)), jnp.zeros((8, 4, I)),
            settings=Laboratory(exponents=0, examples=0, memory_gib=0.1),
        )  # fmt: skip


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


def test_inputs_of_another_width() -> None:
    with pytest.raises(
        UsageError, match=r"inputs must have the shape \(T, B, 4\), not \(3, 1, 5\)"
    ):
        examine_cell(linear_cell(), {"w_h": jnp.eye(4)}, jnp.zeros((3, 1, 5)))


def test_the_keys_of_a_run_have_the_settings_own_defaults() -> None:
    assert rnnexp.Laboratory(**laboratory_defaults()) == Laboratory()
