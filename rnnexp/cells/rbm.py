"""A restricted Boltzmann machine; a step of the cell is a step of its Gibbs chain.

    p(v) = exp(-F(v)) / Z,    F(v) = -b . v - sum_j softplus(c_j + (v W)_j)

The chain starts at the pattern of the example, v_0, and after k steps, `cell.gibbs_steps`, is at
v_k. Random numbers of the chain are made of the example's seed, in its context.

| objective | loss in training |
| --- | --- |
| cd | F(v_0) - F(v_k), v_k held fixed: contrastive divergence, CD-k (Hinton 2002) |
| exact | F(v_0) + ln Z by enumeration: the negative log-likelihood |

With `chain="persistent"` every example of a batch has a chain that goes on from update to update
and never returns to a pattern (PCD; Tieleman 2008, "Training restricted Boltzmann machines using
approximations to the likelihood gradient"): the same loss with the v_k of that chain. The chains,
as many as `train.batch_size`, start with all bits 0.

An evaluation's loss is the negative log-likelihood in nats, by enumeration if the smaller layer
has up to 20 units; else it is an estimate by annealed importance sampling, repeated as `loss_ais`,
with the standard error `loss_ais_error`. Such estimates of ln Z, and of the loss, lean low.

A sampled chain has no slope: dL/dv_t is 0. With `chain="mean_field"` probabilities take the place
of samples (Welling & Hinton 2002, "A new learning algorithm for mean field Boltzmann machines"),
and `through_chain` adds the part of the gradient that goes through the chain, which CD leaves out.

Sizes: N visible and H hidden units. Start: W normal with standard deviation 0.01 (Hinton 2010, "A
practical guide to training restricted Boltzmann machines"), biases 0. Parameters: N H + N + H.
"""

import jax
import jax.numpy as jnp

from rnnexp.cells.base import CONTEXT, Cell
from rnnexp.cells.free_energy import MOST_UNITS, log_partition, require_enumerable
from rnnexp.cells.gibbs import Machine, annealed_log_partition, gibbs_step
from rnnexp.cells.gibbs_cell import (
    chain_context,
    chain_fields,
    first_state,
    next_state,
    noise_of_step,
)
from rnnexp.core.errors import UsageError, require_at_least, require_choice
from rnnexp.core.types import Array, Key, Params, State

OBJECTIVES = ("cd", "exact")
CHAINS = ("sampled", "mean_field", "persistent")
STDDEV = 0.01
NOTE_CD = (
    "in training `loss` is the difference of free energies of {}-{}, in evaluations nats; its "
    "gradient leaves out the chain, so dL/dv_t is 0"
)
NOTE_AIS = (
    "a smaller layer of {} units is too large to enumerate (at most {}): in evaluations `loss` is "
    "an estimate by annealed importance sampling (loss_ais, with loss_ais_error)"
)


def rbm(
    input_size: int,
    hidden_size: int,
    *,
    gibbs_steps: int = 1,
    objective: str = "cd",
    chain: str = "sampled",
    through_chain: bool = False,
    ais_chains: int = 100,
    ais_temperatures: int = 1000,
) -> Cell:
    """A restricted Boltzmann machine.

    Args:
      gibbs_steps: k, the steps of the chain.
      objective: cd or exact; exact needs a layer of up to 20 units.
      chain: sampled, mean_field, or persistent (it goes on from update to update).
      through_chain: of cd with a mean-field chain, the gradient also follows the chain.
      ais_chains: chains of an estimate of ln Z in evaluations, where one is needed.
      ais_temperatures: steps of such a chain.

    Raises `UsageError` for a bad option.
    """
    smaller, steps = min(input_size, hidden_size), gibbs_steps
    _check(smaller, gibbs_steps, objective, chain, through_chain, ais_chains, ais_temperatures)

    def init(key: Key) -> Params:
        w_NxH = STDDEV * jax.random.normal(key, (input_size, hidden_size))
        return {"w": w_NxH, "b": jnp.zeros(input_size), "c": jnp.zeros(hidden_size)}

    def machine(params: Params) -> Machine:
        return Machine(params["w"], params["b"], params["c"])

    def transition(params: Params, state: State, x_I: Array) -> State:
        del x_I
        own, v_N = machine(params), state["v"]
        if chain == "mean_field":
            moved_N = own.visible_means(own.hidden_means(v_N))
        else:
            moved_N = gibbs_step(own, v_N, noise_of_step(params, state))
        return next_state("v", moved_N, params, state)

    def scores(params: Params, end_BxN: Array, targets_BxN: Array, key: Key) -> dict[str, Array]:
        own = machine(params)
        if objective == "exact":
            return {"loss": exact_nats(own, targets_BxN)}
        held = end_BxN if through_chain else jax.lax.stop_gradient(end_BxN)
        return {"loss": own.free_energies(targets_BxN) - own.free_energies(held)}

    def evaluation_scores(
        params: Params, end_BxN: Array, targets_BxN: Array, key: Key
    ) -> dict[str, Array]:
        own = machine(params)
        if smaller <= MOST_UNITS:
            return {"loss": exact_nats(own, targets_BxN)}
        log_z, error = annealed_log_partition(
            own, key, chains=ais_chains, temperatures=ais_temperatures
        )
        nats_B = own.free_energies(targets_BxN) + log_z
        return {"loss": nats_B, "loss_ais": nats_B, "loss_ais_error": jnp.full_like(nats_B, error)}

    method = "PCD" if chain == "persistent" else "CD"
    notes = [NOTE_CD.format(method, steps)] if objective == "cd" and not through_chain else []
    notes += [NOTE_AIS.format(smaller, MOST_UNITS)] if smaller > MOST_UNITS else []
    return Cell(
        name="rbm",
        init=init,
        init_state=lambda params: first_state("v", jnp.zeros_like(params["b"])),
        transition=transition,
        output=lambda params, state, x_I: state["v"],
        parameter_count=input_size * hidden_size + input_size + hidden_size,
        context=lambda params, example: chain_context(
            example, steps, input_size + hidden_size, params["b"].dtype
        ),
        start=lambda params: first_state("v", params[CONTEXT]["pattern"]),
        persistent=chain == "persistent",
        scores=scores,
        evaluation_scores=evaluation_scores,
        note="; ".join(notes),
        **chain_fields("v", input_size, steps),
    )


def exact_nats(machine: Machine, v_BxN: Array) -> Array:
    """-ln p(v) of several vectors, (B,), ln Z by enumeration."""
    return machine.free_energies(v_BxN) + log_partition(*machine)


def _check(
    smaller: int,
    gibbs_steps: int,
    objective: str,
    chain: str,
    through_chain: bool,
    ais_chains: int,
    ais_temperatures: int,
) -> None:
    """Raise `UsageError` for a bad option."""
    require_choice("objective", objective, OBJECTIVES)
    require_choice("chain", chain, CHAINS)
    if through_chain and (objective, chain) != ("cd", "mean_field"):
        raise UsageError(
            "through_chain goes with objective='cd' and chain='mean_field': samples have no slope, "
            "and the exact likelihood has no chain"
        )
    if (objective, chain) == ("exact", "persistent"):
        raise UsageError(
            "chain='persistent' goes with objective='cd': the exact likelihood has no chain"
        )
    require_at_least(1, gibbs_steps=gibbs_steps, ais_temperatures=ais_temperatures)
    require_at_least(2, ais_chains=ais_chains)
    if objective == "exact":
        require_enumerable(smaller, "objective='exact'")
