"""Singular values of Jacobian products: closed forms, limits and settings."""

import logging
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array
from rnnexp.laboratory.products import (
    ProductSpectrum,
    jacobian_products,
    product_bytes,
)
from tests.helpers.noisy_params import noisy_params
from tests.helpers.products_by_hand import H, I, cell_of, inputs, orthonormal
from tests.helpers.variants import build

SPANS = (1, 5, 2000)  # over the longest of them float64 is left
K = np.array(SPANS)


def of_linear(w_h: Any, method: str = "exact", x_TxBxI: Array | None = None) -> ProductSpectrum:
    """Of a linear network with this recurrent matrix; on zeros, as states may grow."""
    cell = cell_of("rnn", ("activation", "linear"))
    params = {**cell.init(jax.random.key(0)), "w_h": jnp.asarray(w_h)}
    x = jnp.zeros((SPANS[-1], 1, I)) if x_TxBxI is None else x_TxBxI
    return jacobian_products(cell, params, x, count=H, spans=SPANS, method=method)


@pytest.mark.parametrize("method", ["exact", "krylov"])
def test_an_orthogonal_linear_network_keeps_every_length(method: str, x64: None) -> None:
    found = of_linear(orthonormal(), method, inputs(SPANS[-1], 1))
    np.testing.assert_allclose(found.singular, 0, atol=1e-11)
    np.testing.assert_allclose(found.smallest, 0, atol=1e-11)
    np.testing.assert_allclose(found.condition, 0, atol=1e-11)
    assert np.all(np.asarray(found.error) < 1e-11)


@pytest.mark.parametrize("method", ["exact", "krylov"])
@pytest.mark.parametrize("scale", [0.4, 2.5])
def test_its_multiple_shrinks_or_grows_past_every_float(
    scale: float, method: str, x64: None
) -> None:
    found = of_linear(scale * orthonormal(), method)  # 0.4^2000 = 10^-796
    expected = K * math.log(scale)
    np.testing.assert_allclose(found.singular, np.outer(expected, np.ones(H)), rtol=1e-12)
    np.testing.assert_allclose(found.smallest, expected, rtol=1e-12)
    np.testing.assert_allclose(found.condition, 0, atol=1e-10)


def test_a_diagonal_network_has_its_own_factors(x64: None) -> None:
    factors = np.array([0.9, -1.7, 0.03, 1.1])
    found = of_linear(np.diag(factors))
    each = np.sort(np.log(np.abs(factors)))[::-1]
    np.testing.assert_allclose(found.singular, np.outer(K, each), rtol=1e-12)
    np.testing.assert_allclose(found.condition, K * (each[0] - each[-1]), rtol=1e-12)


def test_krylov_values_below_the_rounding_of_the_largest_are_missing(x64: None) -> None:
    found = of_linear(np.diag([0.9, 1.7, 0.03, 1.1]), "krylov")
    np.testing.assert_allclose(found.singular[:, 0], K * math.log(1.7), rtol=1e-12)
    np.testing.assert_allclose(found.singular[1], 5 * np.log([1.7, 1.1, 0.9, 0.03]), rtol=1e-5)
    assert np.isnan(found.singular[2, 1:]).all()
    assert np.isnan(found.smallest[2])


def test_a_matrix_that_is_not_normal_stretches_before_it_shrinks(x64: None) -> None:
    """[[1/2, 3], [0, 1/2]]^k is known; eigenvalues of 1/2 only say what happens at last."""
    w_h = 0.5 * np.eye(H)
    w_h[0, 1] = 3.0
    singular = np.asarray(of_linear(w_h).singular)
    for k, logs in zip(SPANS[:2], singular[:2], strict=True):
        power = np.array([[0.5**k, 3 * k * 0.5 ** (k - 1)], [0.0, 0.5**k]])
        largest, plain = math.log(np.linalg.norm(power, 2)), k * math.log(0.5)
        np.testing.assert_allclose(logs, [largest, plain, plain, 2 * plain - largest], rtol=1e-12)
    assert singular[0, 0] > 0 > singular[2, 0]
    # at last the off-diagonal entry stands alone: 3 k 2^-(k-1), and det^2 over it
    largest = math.log(6 * 2000) - 2000 * math.log(2)
    np.testing.assert_allclose(singular[2, 0], largest, rtol=1e-9)
    np.testing.assert_allclose(singular[2, 3], -4000 * math.log(2) - largest, rtol=1e-9)


def test_independent_units_have_their_own_factors(x64: None) -> None:
    cell, u = cell_of("indrnn"), np.array([0.2, -0.9, 1.0, 0.6])
    params = {**cell.init(jax.random.key(0)), "u": jnp.asarray(u), "b": jnp.ones(H)}
    x = jnp.zeros((SPANS[-1], 1, I))  # so that every unit is active
    found = jacobian_products(cell, params, x, count=H, spans=SPANS, method="exact")
    each = np.sort(np.log(np.abs(u)))[::-1]
    np.testing.assert_allclose(found.singular, np.outer(K, each), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("name", "method"), [("feedforward", "krylov"), ("tdnn", "exact")])
def test_without_recurrence_nothing_passes(name: str, method: str) -> None:
    cell = cell_of(name)
    found = jacobian_products(
        cell, noisy_params(cell), inputs(), count=H, spans=(1, 4), method=method
    )
    np.testing.assert_array_equal(found.singular, -np.inf)
    np.testing.assert_array_equal(found.smallest, -np.inf)
    np.testing.assert_array_equal(found.condition, np.inf)


def test_a_delay_line_passes_everything_on_and_then_nothing(x64: None) -> None:
    """x waits 3 steps and acts on h, which waits 3 more: exactly nothing after 7."""
    cell = cell_of("tdnn", ("delay_steps", 3))
    found = jacobian_products(
        *(cell, noisy_params(cell), inputs()),
        count=H,
        spans=(1, 6, 7),
        which="state",
        method="exact",
    )
    assert np.isfinite(found.singular[0]).all()
    assert np.isfinite(found.singular[1, 0])
    np.testing.assert_array_equal(found.singular[2], -np.inf)
    np.testing.assert_array_equal(found.smallest, -np.inf)


def test_what_the_exact_way_needs_is_known_without_an_array(x64: None) -> None:
    cell = build(("lstm", {}), 50, 100_000)
    params = jax.eval_shape(cell.init, jax.random.key(0))
    S, N = 200_000, 100_000
    need = 32 * (6 * S * S + 6 * S * N + 12 * N * N) * 8
    assert product_bytes(cell, params, 32) == need
    assert product_bytes(cell, params, 32, which="state") == 32 * 24 * S * S * 8


def test_the_way_is_chosen_by_what_it_needs(caplog: pytest.LogCaptureFixture, x64: None) -> None:
    cell = cell_of("rnn", ("activation", "linear"))
    params, x = noisy_params(cell), jnp.zeros((SPANS[-1], 1, I))
    need = product_bytes(cell, params, 1)
    for limit, method in ((need, "exact"), (need - 1, "krylov")):
        caplog.clear()
        with caplog.at_level(logging.INFO, logger="rnnexp"):
            found = jacobian_products(cell, params, x, count=H, spans=SPANS, exact_bytes=limit)
        assert f"rnn: {method} (exact needs {need} bytes, limit {limit})" in caplog.text
        assert bool(found.error[0, 0] == 0) == (method == "exact")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"spans": ()}, "spans must be positive and growing"),
        ({"spans": (0, 1)}, "spans must be positive and growing"),
        ({"spans": (2, 2)}, "spans must be positive and growing"),
        ({"starts": ()}, "starts must lie in 0 ... 3"),
        ({"starts": (-1,)}, "starts must lie in 0 ... 3"),
        ({"starts": (0, 4)}, r"starts must lie in 0 ... 3 \(8 steps, less the longest of"),
        ({"count": 0}, "count must lie in 1 ... 4"),
        ({"count": 5}, "count must lie in 1 ... 4"),
        ({"method": "exakt"}, "unknown method 'exakt'. Did you mean 'exact'"),
        ({"which": "cell"}, "unknown block 'cell'.*hidden, state"),
        ({"method": "krylov", "iterations": 0}, "count <= iterations"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any], text: str) -> None:
    cell = cell_of("rnn")
    defaults: dict[str, Any] = {"count": 1, "spans": (1, 3, 5)}
    with pytest.raises(UsageError, match=text):
        jacobian_products(cell, noisy_params(cell), inputs(), **{**defaults, **given})
