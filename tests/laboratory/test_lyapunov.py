"""Lyapunov spectra against closed forms and float64 products of Jacobians."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.base import Cell
from rnnexp.cells.lru import lru
from rnnexp.core.types import Array, Params
from rnnexp.laboratory.jacobians import step_jacobians
from rnnexp.laboratory.lyapunov import autonomous_spectrum, lyapunov_spectrum, trusted
from tests.helpers.lyapunov_cells import KEY, closed_form, drive, gru, linear, rotation, weights
from tests.helpers.variants import build


def numpy_rates(cell: Cell, params: Params, x_TxBxI: Array, warmup: int) -> np.ndarray:
    """Mean of ln |diag R| by LAPACK's QR of explicit Jacobians, trajectory by trajectory."""
    jacobians = jax.jit(lambda x: step_jacobians(cell, params, x))
    rates = []
    for b in range(x_TxBxI.shape[1]):
        matrices = np.asarray(jacobians(x_TxBxI[:, b]))
        basis = rotation(matrices.shape[1], seed=b + 10)
        logs = []
        for matrix in matrices:
            basis, r = np.linalg.qr(matrix @ basis)
            with np.errstate(divide="ignore"):
                logs.append(np.log(np.abs(np.diag(r))))
        rates.append(np.mean(logs[warmup:], axis=0))
    return np.asarray(np.mean(rates, axis=0))


@pytest.mark.parametrize("scale", [1.0, 0.9, 1.05])
def test_a_scaled_orthogonal_matrix_has_the_logarithm_of_its_scale(scale: float, x64: None) -> None:
    got = closed_form(scale * rotation(5))
    np.testing.assert_allclose(got.exponents_K, np.log(scale), atol=1e-12)
    np.testing.assert_allclose(got.error_K, 0, atol=1e-12)
    np.testing.assert_allclose(got.drift_K, 0, atol=1e-12)
    assert float(got.kaplan_yorke) == (0 if scale < 1 else 5)
    assert bool(jnp.all(trusted(got)))


def test_a_diagonal_matrix_has_the_logarithms_of_its_entries(x64: None) -> None:
    entries = np.array([0.5, -0.9, 1e-20, 1.2, -0.1])
    got = closed_form(np.diag(entries))
    np.testing.assert_allclose(got.exponents_K, np.sort(np.log(np.abs(entries)))[::-1], atol=1e-10)
    assert bool(jnp.all(trusted(got)))


def test_a_matrix_that_is_not_normal_has_the_logarithms_of_its_eigenvalues(x64: None) -> None:
    entries = np.array([1.1, -0.8, 0.5, 0.2, 0.02])
    base = np.random.default_rng(3).normal(size=(5, 5))
    got = closed_form(base @ np.diag(entries) @ np.linalg.inv(base))
    np.testing.assert_allclose(got.exponents_K, np.log(np.abs(entries)), atol=1e-10)


def test_complex_eigenvalues_of_the_lru_count_twice(x64: None) -> None:
    cell = lru(2, 3)
    params = weights(cell)
    got = lyapunov_spectrum(cell, params, drive(cell, 4000), warmup_steps=3000, key=KEY)
    want = np.sort(np.repeat(-np.exp(np.asarray(params["nu_log"])), 2))[::-1]
    np.testing.assert_allclose(got.exponents_K, want, atol=1e-10)


@pytest.mark.parametrize("interval", [1, 3])
def test_a_delay_line_forgets_everything(interval: int, x64: None) -> None:
    cell = build(("tdnn", {"delay_steps": 3}), 2, 4)
    got = autonomous_spectrum(
        cell,
        weights(cell),
        steps=40,
        batch_size=2,
        warmup_steps=2,
        interval_steps=interval,
        key=KEY,
    )
    np.testing.assert_array_equal(got.exponents_K, np.full(4 + 3 * 4 + 3 * 2, -np.inf))
    for value in (got.error_K, got.drift_K, got.lost_K, got.kaplan_yorke):
        np.testing.assert_array_equal(value, 0)
    assert bool(jnp.all(trusted(got)))


def test_a_nilpotent_part_leaves_the_other_exponents_right(x64: None) -> None:
    matrix = np.diag([0.0, 0, 0, 0.9, 0.5]) + np.diag([1.0, 1, 0, 0], 1)
    got = closed_form(matrix)
    want = np.array([np.log(0.9), np.log(0.5), -np.inf, -np.inf, -np.inf])
    np.testing.assert_allclose(got.exponents_K, want, atol=1e-10)


def test_a_unit_that_goes_out_for_one_step_leaves_the_slower_ones_right(x64: None) -> None:
    cell, params = linear(np.diag([0.9, 0.6, 0.3]), "relu", b=1.0)
    x = jnp.zeros((300, 1, 3)).at[200, 0, 1].set(-50.0)
    got = lyapunov_spectrum(cell, params, x, warmup_steps=100, key=KEY)
    want = np.array([np.log(0.9), np.log(0.3), -np.inf])
    np.testing.assert_allclose(got.exponents_K, want, atol=1e-10)


def test_a_jacobian_of_low_rank_without_zeros_is_seen(x64: None) -> None:
    """NARX: h acts only through one output, so h and the line hold 1 + 3 dimensions."""
    cell = build(("narx", {"input_delay_steps": 0, "output_delay_steps": 4}), 2, 6)
    params, x = weights(cell), drive(cell, 1500)
    got = lyapunov_spectrum(cell, params, x, warmup_steps=700, key=KEY)
    want = numpy_rates(cell, params, x, 700)
    np.testing.assert_allclose(got.exponents_K[:4], want[:4], rtol=1e-7)
    np.testing.assert_array_equal(got.exponents_K[4:], -np.inf)
    assert not bool(jnp.all(trusted(got)))


def test_an_lstm_agrees_with_products_of_explicit_jacobians(x64: None) -> None:
    cell = build(("lstm", {}), 2, 3)
    params, x = weights(cell, 1.0), drive(cell, 1600, 2)
    got = lyapunov_spectrum(cell, params, x, warmup_steps=800, key=KEY)
    want = numpy_rates(cell, params, x, 800)
    np.testing.assert_allclose(got.exponents_K, np.sort(want)[::-1], rtol=1e-8)


def test_a_gru_agrees_with_products_of_explicit_jacobians(x64: None) -> None:
    cell, params, x = gru()
    got = lyapunov_spectrum(cell, params, x, warmup_steps=600, key=KEY)
    want = numpy_rates(cell, params, x, 600)
    np.testing.assert_allclose(got.exponents_K, np.sort(want)[::-1], rtol=1e-7)


def test_the_largest_few_exponents_are_the_first_of_all(x64: None) -> None:
    cell, params, x = gru()
    all_ = lyapunov_spectrum(cell, params, x, warmup_steps=600, key=KEY)
    few = lyapunov_spectrum(cell, params, x, count=3, warmup_steps=600, key=KEY)
    assert few.exponents_K.shape == (3,)
    np.testing.assert_allclose(few.exponents_K, all_.exponents_K[:3], rtol=1e-7)


def test_the_exponents_add_up_to_the_determinants(x64: None) -> None:
    cell, params, x = gru()
    got = lyapunov_spectrum(cell, params, x, warmup_steps=600, key=KEY)
    jacobians = jax.jit(lambda x: step_jacobians(cell, params, x))
    logs = [np.linalg.slogdet(np.asarray(jacobians(x[:, b]))[600:])[1] for b in range(2)]
    np.testing.assert_allclose(jnp.sum(got.exponents_K), np.mean(logs), rtol=1e-12)


def test_the_interval_between_orthogonalisations_does_not_matter(x64: None) -> None:
    cell, params, x = gru()
    one = lyapunov_spectrum(cell, params, x, warmup_steps=600, key=KEY)
    # three steps more fill no interval: they come first, and the last 600 are kept as before
    longer = jnp.concatenate([jnp.ones((3, 2, 2)), x])
    five = lyapunov_spectrum(
        cell, params, longer, warmup_steps=600, interval_steps=5, key=jax.random.key(8)
    )
    np.testing.assert_allclose(five.exponents_K, one.exponents_K, rtol=1e-6)
