"""A Boltzmann machine whose units, visible and hidden, are all coupled; a step is a Gibbs sweep.

    p(s) = exp(b . s + s^T L s / 2) / Z,    L symmetric with a zero diagonal,    s = (v, h)

Ackley, Hinton & Sejnowski 1985. The loss is -ln p(v), exactly, by enumeration: of all states for Z,
of the hidden ones for the free energy of v. So there are at most 20 units.

The chain starts at the pattern of the example with hidden units 0. A step draws all units, one
after the other, each given all others; its random numbers are made of the example's seed. A
sample has no slope, and the loss does not depend on the chain: dL/ds_t is 0.

Sizes: M = N visible + H hidden units. Start: couplings normal with standard deviation 0.1, biases
0. Parameters: M (M - 1) / 2 + M.
"""

import jax
import jax.numpy as jnp

from rnnexp.cells.base import CONTEXT, Cell
from rnnexp.cells.free_energy import (
    couplings,
    general_free_energy,
    general_log_partition,
    require_enumerable,
)
from rnnexp.cells.gibbs import gibbs_sweep
from rnnexp.cells.gibbs_cell import (
    chain_context,
    chain_fields,
    first_state,
    next_state,
    noise_of_step,
)
from rnnexp.core.errors import require_at_least
from rnnexp.core.types import Array, Key, Params, State

STDDEV = 0.1
NOTE = "the likelihood is exact and does not depend on the Gibbs chain: dL/ds_t is 0"


def boltzmann(input_size: int, hidden_size: int, *, gibbs_steps: int = 1) -> Cell:
    """A Boltzmann machine, trained on its exact likelihood.

    Args:
      gibbs_steps: sweeps of its chain over all units.

    Raises `UsageError` for a bad option, or more than 20 units.
    """
    units = input_size + hidden_size
    require_at_least(1, gibbs_steps=gibbs_steps)
    require_enumerable(units, f"a machine of {input_size} visible and {hidden_size} hidden units")
    pairs = units * (units - 1) // 2

    def init(key: Key) -> Params:
        return {"w": STDDEV * jax.random.normal(key, (pairs,)), "b": jnp.zeros(units)}

    def prepare(params: Params) -> Params:
        return {**params, "l": couplings(params["w"], units)}

    def matrix(params: Params) -> Array:
        return params["l"] if "l" in params else couplings(params["w"], units)

    def start(params: Params) -> State:
        return first_state("s", jnp.pad(params[CONTEXT]["pattern"], (0, hidden_size)))

    def transition(params: Params, state: State, x_I: Array) -> State:
        del x_I
        noise_M = noise_of_step(params, state)
        drawn_M = gibbs_sweep(matrix(params), params["b"], state["s"], noise_M)
        return next_state("s", drawn_M, params, state)

    def scores(params: Params, end_BxN: Array, targets_BxN: Array, key: Key) -> dict[str, Array]:
        l_MxM, b_M = matrix(params), params["b"]
        free_B = jax.vmap(lambda v_N: general_free_energy(l_MxM, b_M, v_N))(targets_BxN)
        return {"loss": free_B + general_log_partition(l_MxM, b_M)}

    return Cell(
        name="boltzmann",
        init=init,
        init_state=lambda params: first_state("s", jnp.zeros_like(params["b"])),
        transition=transition,
        output=lambda params, state, x_I: state["s"][:input_size],
        prepare=prepare,
        parameter_count=pairs + units,
        context=lambda params, example: chain_context(
            example, gibbs_steps, units, params["b"].dtype
        ),
        start=start,
        scores=scores,
        note=NOTE,
        **chain_fields("s", input_size, gibbs_steps),
    )
