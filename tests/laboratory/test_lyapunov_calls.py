"""Lyapunov spectra of every cell: what is given, refused, named and needed."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells import CELLS
from rnnexp.cells.base import Cell
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Params, State
from rnnexp.laboratory.lyapunov import (
    Spectrum,
    autonomous_spectrum,
    lyapunov_spectrum,
    random_start,
    to_dataset,
)
from rnnexp.laboratory.tangent_vectors import tangent_bytes
from tests.helpers.lyapunov_cells import KEY, closed_form, drive, gru, weights
from tests.helpers.variants import build

PECULIAR = ("feedforward", "tdnn", "narx", "indrnn", "lru", "clockwork")
"""Cells that forget, count, or are complex; the others' spectra are of one kind."""


@pytest.mark.parametrize(
    "name",
    [
        name if name in PECULIAR else pytest.param(name, marks=pytest.mark.slow)
        for name in CELLS.builtin
    ],
)
def test_every_cell_has_a_spectrum_without_nan(name: str) -> None:
    cell = build((name, {}), 2, 4)
    params = weights(cell)
    got = lyapunov_spectrum(cell, params, drive(cell, 80, 2), warmup_steps=20, key=KEY)
    exponents = np.asarray(got.exponents_K)
    size = sum(v.size for v in cell.init_state(params).values())
    assert exponents.shape == (size,)
    assert np.all(exponents < 1)  # and not NaN
    assert np.all(exponents[:-1] >= exponents[1:])
    for value in (got.error_K, got.drift_K, got.kaplan_yorke, got.lost_K):
        assert np.all(np.isfinite(value))
    forgets = {"feedforward": 4, "tdnn": size, "narx": size - 8, "indrnn": 4}
    if name not in ("orthogonal", "unitary"):  # whose modReLU may put units out
        assert np.sum(np.isneginf(exponents)) == forgets.get(name, 0)


def test_a_counter_may_be_left_out(x64: None) -> None:
    cell = build(("clockwork", {}), 2, 4)
    params, x = weights(cell), drive(cell, 240)
    all_, rest = (
        lyapunov_spectrum(cell, params, x, warmup_steps=120, key=KEY, leave_out=leave_out)
        for leave_out in ((), ("t",))
    )
    np.testing.assert_allclose(all_.exponents_K[0], 0, atol=1e-12)
    np.testing.assert_allclose(rest.exponents_K, all_.exponents_K[1:], rtol=1e-7)


def test_a_constant_input_equals_the_same_input_at_every_step(x64: None) -> None:
    cell, params, _ = gru()
    x_I = jnp.array([0.5, -1.0])
    start = random_start(cell, params, 2, 1.0, KEY)
    x = jnp.broadcast_to(x_I, (1200, 2, 2))
    want = lyapunov_spectrum(cell, params, x, warmup_steps=600, key=KEY, start=start)
    # one step fills no interval of two, and leads
    got = autonomous_spectrum(
        cell,
        params,
        steps=1201,
        batch_size=2,
        warmup_steps=600,
        interval_steps=2,
        input_I=x_I,
        start=start,
        key=KEY,
    )
    # the last two belong to a complex pair, of which only the sum settles
    sums, want_sums = np.cumsum(got.exponents_K), np.cumsum(want.exponents_K)
    np.testing.assert_allclose(np.delete(sums, 2), np.delete(want_sums, 2), atol=1e-6)
    without = autonomous_spectrum(cell, params, steps=1200, batch_size=2, warmup_steps=600, key=KEY)
    assert float(jnp.abs(without.exponents_K - want.exponents_K).max()) > 0.01


def test_a_random_start_leaves_counters_and_copies_alone() -> None:
    for name in ("clockwork", "narx", "lstm"):
        cell = build((name, {}), 2, 4)
        params = weights(cell)
        start = random_start(cell, params, 3, 0.5, KEY)
        for leaf, value in cell.init_state(params).items():
            same = np.array_equal(start[leaf], np.broadcast_to(value, start[leaf].shape))
            assert same == (leaf not in cell.probed), leaf


def counted(cell: Cell) -> tuple[Cell, list[int]]:
    """The cell, and a list that grows whenever its transition is traced."""
    traces: list[int] = []

    def transition(params: Params, state: State, x_I: Array) -> State:
        traces.append(1)
        return cell.transition(params, state, x_I)

    return dataclasses.replace(cell, transition=transition), traces


def test_a_second_call_does_not_trace_again_and_lanes_agree() -> None:
    cell, traces = counted(build(("gru", {}), 2, 3))
    first, second = weights(cell, 0.4), weights(cell, 0.8)
    x = drive(cell, 60, 2)

    def run(params: Params) -> Spectrum:
        return lyapunov_spectrum(cell, params, x, warmup_steps=20, key=KEY)

    alone = [run(first)]
    before = len(traces)
    alone.append(run(second))
    assert len(traces) == before > 0
    both = jax.vmap(run)(jax.tree.map(lambda *p: jnp.stack(p), first, second))
    for lane in range(2):
        np.testing.assert_allclose(both.exponents_K[lane], alone[lane].exponents_K, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"count": 0}, "count must lie in 1 ... 6"),
        ({"count": 7}, "count must lie in 1 ... 6"),
        ({"warmup_steps": 39}, "fewer than two intervals"),
        ({"interval_steps": 25}, "fewer than two intervals"),
        ({"interval_steps": 0}, "interval_steps must be at least 1"),
        ({"warmup_steps": -1}, "warmup_steps at least 0"),
        ({"leave_out": ("hh",)}, "unknown state leaf 'hh'"),
        ({"x_TxBxI": jnp.zeros((40, 1, 3))}, r"shape \(T, B, 2\)"),
        ({"x_TxBxI": jnp.zeros((40, 2))}, r"shape \(T, B, 2\)"),
    ],
)
def test_bad_arguments_are_named(change: dict[str, Any], words: str) -> None:
    cell = build(("lstm", {}), 2, 3)
    usual = {"x_TxBxI": jnp.zeros((40, 1, 2)), "warmup_steps": 10, "key": KEY}
    with pytest.raises(UsageError, match=words):
        lyapunov_spectrum(cell, weights(cell), **{**usual, **change})
    if "x_TxBxI" not in change:
        usual = {"steps": 40, "batch_size": 1, "warmup_steps": 10, "key": KEY}
        with pytest.raises(UsageError, match=words):
            autonomous_spectrum(cell, weights(cell), **{**usual, **change})


def test_bad_arguments_of_an_autonomous_run_are_named() -> None:
    cell = build(("lstm", {}), 2, 3)
    usual: dict[str, Any] = {"steps": 40, "batch_size": 1, "warmup_steps": 10, "key": KEY}
    for change, words in (
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"input_I": jnp.zeros(3)}, r"shape \(2,\)"),
    ):
        with pytest.raises(UsageError, match=words):
            autonomous_spectrum(cell, weights(cell), **{**usual, **change})


def test_a_data_set_has_named_dimensions() -> None:
    got = closed_form(np.diag([0.9, 0.8, 0.7, 0.6, 0.5]))
    data = to_dataset(got)
    assert dict(data.sizes) == {"exponent": 5}
    assert data.kaplan_yorke.dims == ()
    assert data.lyapunov.attrs["units"] == "nats per step"
    np.testing.assert_array_equal(data.lyapunov.sel(exponent=0), got.exponents_K[0])
    np.testing.assert_array_equal(data.lyapunov_error, got.error_K)
    np.testing.assert_array_equal(data.lyapunov_drift, got.drift_K)


@pytest.mark.parametrize(
    ("name", "hidden", "count"),
    [("lstm", 48, None), pytest.param("gru", 128, 16, marks=pytest.mark.slow)],
)
def test_the_stated_memory_is_what_the_program_takes(
    name: str, hidden: int, count: int | None
) -> None:
    cell = build((name, {}), 2, hidden)
    params, x = weights(cell), drive(cell, 60, 4)

    @jax.jit
    def run(params: Params, x: Array) -> Spectrum:
        return lyapunov_spectrum(cell, params, x, count=count, warmup_steps=20, key=KEY)

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    analysis = run.lower(params, x).compile().memory_analysis()
    jax.config.update("jax_disable_most_optimizations", before)
    assert analysis is not None
    assert (
        0.5
        < analysis.temp_size_in_bytes / tangent_bytes(cell, params, 4, count, jnp.float32)
        <= 1.0
    )
