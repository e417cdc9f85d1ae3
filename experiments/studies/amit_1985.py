"""How much a Hopfield network stores: Amit, Gutfreund & Sompolinsky 1985.

    rnnexp study experiments/studies/amit_1985.py

With P random patterns on N units and weights W = (1/N) sum of xi xi^T without diagonal, a unit of
a stored pattern flips at the first update with the exact probability

    P[Bin((N-1)(P-1), 1/2) < ((N-1)(P-1) - N + 1) / 2]

and the state of retrieval has, by the replica-symmetric theory for large N at alpha = P / N, the
overlap m = 1 - 2 d with e = erfinv(1 - 2 d) and

    alpha = ((1 - 2 d) / (sqrt(2) e) - sqrt(2 / pi) exp(-e^2))^2.

It ends at the largest such alpha, 0.1379, with m = 0.967. Nothing is trained. Expected: two
minutes.
"""

import math
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import brentq, minimize_scalar  # type: ignore[import-untyped]
from scipy.special import erfcinv  # type: ignore[import-untyped]
from scipy.stats import binom, norm  # type: ignore[import-untyped]

from rnnexp.cells.hopfield import hopfield
from rnnexp.core.types import Array, Key
from rnnexp.scan.unroll import unroll
from rnnexp.study import Bound, Computation, Margin, Number, Reference, Study
from rnnexp.study.claims import Claim, Group
from rnnexp.tasks.pattern_recall import random_patterns

FLIPS = ((500, 50), (1000, 138), (1000, 185))
NETWORKS, DRAWS = 64, 100
"""Of flips: networks of a seed, and seeds."""
UNITS, SWEEPS, TRIALS = 2000, 30, 12
RETRIEVED = (0.08, 0.10, 0.12)
"""Patterns per unit with a state of retrieval."""
BEYOND = 0.16
"""Patterns per unit without one."""


def recalled(key: Key, networks: int, count: int, size: int, order: str, updates: int) -> Array:
    """Stored patterns times the states that updates reach from them, (networks, size)."""
    cell = hopfield(size, 0, kind="classical", order=order, updates=updates)
    stored_BxMxN = random_patterns(key, networks, count, size)
    first_BxN = stored_BxMxN[:, 0]
    context = {"patterns": stored_BxMxN, "cue": first_BxN}
    nothing = jnp.zeros((cell.steps, networks, size))
    params = cell.init(jax.random.key(0))
    return first_BxN * unroll(cell, params, nothing, context=context).final_BxH


_recalled = jax.jit(recalled, static_argnums=(1, 2, 3, 4, 5))


def flip_rate(seed: int, size: int, count: int) -> dict[str, float]:
    """The fraction of units that flip at the first update."""
    kept = _recalled(jax.random.key(seed), NETWORKS, count, size, "synchronous", 1)
    return {"rate": float(jnp.mean(kept < 0))}


def overlap(seed: int, alpha: float) -> dict[str, float]:
    """The overlap with the stored pattern after asynchronous sweeps."""
    count = round(alpha * UNITS)
    product = _recalled(jax.random.key(seed), 1, count, UNITS, "asynchronous", SWEEPS)
    return {"overlap": float(jnp.mean(product))}


def exact_rate(size: int, count: int) -> float:
    """The probability that a unit flips."""
    pairs = (size - 1) * (count - 1)
    return float(binom.cdf(math.ceil((pairs - size + 1) / 2) - 1, pairs, 0.5))


def load_of(wrong: float) -> float:
    """alpha of the state of retrieval in which a fraction of the units is wrong."""
    e = erfcinv(2 * wrong)
    part = (1 - 2 * wrong) / (math.sqrt(2) * e) - math.sqrt(2 / math.pi) * math.exp(-(e**2))
    return float(part**2)


@cache
def capacity() -> tuple[float, float]:
    """The largest alpha with a state of retrieval, and the fraction of wrong units there."""
    found = minimize_scalar(
        lambda power: -load_of(np.exp(power)), bounds=(-10, -2), method="bounded"
    )
    return -float(found.fun), float(np.exp(found.x))


def theory(alpha: float) -> float:
    """The overlap of the state of retrieval."""
    _, wrong = capacity()
    power = brentq(lambda power: load_of(np.exp(power)) - alpha, -30, math.log(wrong))
    return 1 - 2 * math.exp(power)


def flips() -> tuple[list[Group], list[Claim]]:
    """What is tested of the first update."""
    groups: list[Group] = []
    claims: list[Claim] = []
    for size, count in FLIPS:
        name = f"flips at the first update, N = {size}, P = {count}"
        groups.append(
            Computation(name, lambda seed, s=size, c=count: flip_rate(seed, s, c), DRAWS)  # type: ignore[misc]
        )
        exact = exact_rate(size, count)
        gaussian = float(norm.sf(math.sqrt(size / count)))
        claims.append(
            Number(
                name=name,
                reference=Reference("exact binomial probability", "C", exact),
                group=name,
                measure="rate",
                margin=Margin(
                    abs(exact - gaussian), "the distance to the Gaussian limit of the same rate"
                ),
                higher_is_better=False,
            )
        )
    return groups, claims


def get_study() -> Study:
    """Flips at the first update, overlaps below the capacity, and none beyond it."""
    groups, claims = flips()
    source = "Amit, Gutfreund & Sompolinsky 1985, replica-symmetric theory"
    for alpha in (*RETRIEVED, BEYOND):
        name = f"overlap, alpha = {alpha}"
        groups.append(Computation(name, lambda seed, a=alpha: overlap(seed, a), TRIALS))  # type: ignore[misc]
    claims += [
        Number(
            name=f"overlap, alpha = {alpha}",
            reference=Reference(source, "C", theory(alpha)),
            group=f"overlap, alpha = {alpha}",
            measure="overlap",
            margin=Margin(0.005, f"N = {UNITS}, not infinite: a fraction of 10 / N units"),
            higher_is_better=True,
        )
        for alpha in RETRIEVED
    ]
    largest, wrong = capacity()
    claims.append(
        Bound(
            name=f"overlap, alpha = {BEYOND}: below all states of retrieval",
            reference=Reference(source, "C", convention=f"they end at alpha = {largest:.4f}"),
            group=f"overlap, alpha = {BEYOND}",
            measure="overlap",
            at_most=1 - 2 * wrong,
        )
    )
    return Study(
        name="amit_1985",
        paper="Amit, Gutfreund & Sompolinsky 1985, Storing infinite numbers of patterns in a "
        "spin-glass model of neural networks",
        table="flip rates and overlaps of retrieval",
        groups=groups,
        claims=claims,
    )
