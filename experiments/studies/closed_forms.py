"""Lyapunov exponents whose values are known in closed form.

    rnnexp study experiments/studies/closed_forms.py

Three linear systems: h' = c Q h with an orthogonal Q has all exponents ln c. Independent Gaussian
Jacobians, with entries of variance g^2/N, have

    lambda_i = (ln(2 g^2 / N) + psi((N - i + 1) / 2)) / 2

(Newman 1986, "The distribution of Lyapunov exponents: exact results for random matrices"). And a
tanh network without input whose weights have the variance g^2/N, g < 1, comes to rest at 0, where
its Jacobian is the weight matrix: for large N the circular law makes the largest exponent ln g.
Of a driven tanh network, ln ||dh_t/dh_s|| grows over t - s with the slope lambda_1.

Nothing is trained. Expected: a minute.
"""

import math

import jax
import jax.numpy as jnp
from scipy.special import digamma  # type: ignore[import-untyped]

from rnnexp.cells.base import Cell
from rnnexp.cells.rnn import rnn
from rnnexp.core.types import Array, Params, State
from rnnexp.laboratory.lyapunov import autonomous_spectrum, lyapunov_spectrum
from rnnexp.laboratory.products import jacobian_products
from rnnexp.study import Computation, Constant, Margin, Number, Reference, Study

SCALES = (0.9, 1.0, 1.1)
HIDDEN = 16
SIZE, GAIN, STEPS, SEEDS = 6, 1.0, 20_000, 10
"""Of the Gaussian Jacobians."""
WIDTH, QUIET = 512, 0.8
"""Of the tanh network at rest."""


def orthogonal_exponents(seed: int) -> dict[str, float]:
    """The largest and the smallest exponent of c Q for every c."""
    found = {}
    for scale in SCALES:
        cell = rnn(1, HIDDEN, activation="linear", recurrent_scale=scale)
        key_w, key_t = jax.random.split(jax.random.key(seed))
        spectrum = autonomous_spectrum(
            cell, cell.init(key_w), steps=200, batch_size=1, warmup_steps=10, key=key_t
        )
        found[f"largest, c = {scale}"] = float(spectrum.exponents_K[0])
        found[f"smallest, c = {scale}"] = float(spectrum.exponents_K[-1])
    return found


def product_of_inputs(size: int) -> Cell:
    """A cell whose Jacobian at every step is the matrix that it reads."""

    def transition(params: Params, state: State, x_BxI: Array) -> State:
        del params
        return {"h": x_BxI.reshape(size, size) @ state["h"]}

    return Cell(
        name="product_of_inputs",
        input_size=size * size,
        output_size=size,
        init=lambda key: {},
        init_state=lambda params: {"h": jnp.zeros(size)},
        transition=transition,
        parameter_count=0,
    )


def gaussian_exponents(seed: int) -> dict[str, float]:
    """All exponents of a product of independent Gaussian matrices."""
    key_j, key_t = jax.random.split(jax.random.key(seed))
    scale = GAIN / math.sqrt(SIZE)
    x_TxBxI = scale * jax.random.normal(key_j, (STEPS, 1, SIZE * SIZE))
    cell = product_of_inputs(SIZE)
    spectrum = lyapunov_spectrum(cell, {}, x_TxBxI, warmup_steps=100, key=key_t)
    return {f"lambda_{i}": float(v) for i, v in enumerate(spectrum.exponents_K, 1)}


def tanh_network(seed: int, size: int, gain: float) -> tuple[Cell, Params]:
    """A tanh network with Gaussian recurrent weights of variance gain^2 / size."""
    cell = rnn(1, size)
    key_w, key_h = jax.random.split(jax.random.key(seed))
    params = dict(cell.init(key_w))
    params["w_h"] = gain / math.sqrt(size) * jax.random.normal(key_h, (size, size))
    return cell, params


def exponent_at_rest(seed: int) -> dict[str, float]:
    """The largest exponent of a tanh network that comes to rest at 0."""
    cell, params = tanh_network(seed, WIDTH, QUIET)
    spectrum = autonomous_spectrum(
        cell, params, steps=2000, batch_size=1, warmup_steps=500, count=1, start_scale=0.1,
        interval_steps=4, key=jax.random.key(seed),
    )  # fmt: skip
    return {"largest": float(spectrum.exponents_K[0])}


def slope_and_exponent(seed: int) -> dict[str, float]:
    """The slope of ln ||dh_t/dh_s|| over t - s, less lambda_1, of a driven tanh network."""
    cell, params = tanh_network(seed, 32, 1.5)
    x_TxBxI = jax.random.normal(jax.random.key(seed + 1000), (3000, 4, 1))
    spectrum = lyapunov_spectrum(
        cell, params, x_TxBxI, count=1, warmup_steps=500, key=jax.random.key(seed)
    )
    spans = (250, 2000)
    products = jacobian_products(
        cell, params, x_TxBxI[500:], count=1, spans=spans, method="krylov", iterations=12,
        key=jax.random.key(seed),
    )  # fmt: skip
    near, far = (float(norm) for norm in products.singular[:, 0])
    slope = (far - near) / (spans[1] - spans[0])
    return {"slope less exponent": slope - float(spectrum.exponents_K[0])}


def gaussian_closed_form(i: int) -> float:
    """lambda_i of independent Gaussian Jacobians, in nats per step."""
    return float(0.5 * (math.log(2 * GAIN**2 / SIZE) + digamma((SIZE - i + 1) / 2)))


def get_study() -> Study:
    """Closed forms, no trainings."""
    rounding = Margin(1e-5, "rounding of float32 in 190 steps")
    orthogonal = [
        Constant(
            name=f"{c} * orthogonal, {which} exponent",
            reference=Reference("closed form ln c", "C", math.log(c)),
            group="orthogonal", measure=f"{which}, c = {c}", margin=rounding,
        )
        for c in SCALES for which in ("largest", "smallest")
    ]  # fmt: skip
    gaussian = [
        Number(
            name=f"Gaussian Jacobians, N = {SIZE}, exponent {i}",
            reference=Reference("closed form of Newman 1986", "C", gaussian_closed_form(i)),
            group="gaussian", measure=f"lambda_{i}", higher_is_better=False,
            margin=Margin(0.01, "a tenth of the smallest gap between two of them, rounded down"),
        )
        for i in range(1, SIZE + 1)
    ]  # fmt: skip
    rest = Number(
        name=f"tanh network at rest, N = {WIDTH}, g = {QUIET}",
        reference=Reference("closed form ln g by the circular law", "C", math.log(QUIET)),
        group="at rest", measure="largest", higher_is_better=False,
        margin=Margin(0.05, "the spectral radius at this N exceeds its limit by a few hundredths"),
    )  # fmt: skip
    slope = Number(
        name="driven tanh network, slope of ln ||dh_t/dh_s|| less the largest exponent",
        reference=Reference("Oseledets' theorem: the two are the same", "C", 0.0),
        group="slope", measure="slope less exponent", higher_is_better=False,
        margin=Margin(0.005, "half of the hundredth to which exponents are called converged"),
    )  # fmt: skip
    return Study(
        name="closed_forms",
        paper="Lyapunov exponents",
        table="closed forms",
        groups=[
            Computation("orthogonal", orthogonal_exponents),
            Computation("gaussian", gaussian_exponents, seeds=SEEDS),
            Computation("at rest", exponent_at_rest, seeds=5),
            Computation("slope", slope_and_exponent, seeds=5),
        ],
        claims=[*orthogonal, *gaussian, rest, slope],
    )
