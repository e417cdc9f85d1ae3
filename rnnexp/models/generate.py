"""A synchronous model that generates: its inputs are drawn from its own outputs."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from rnnexp.core.types import Array, Key, State
from rnnexp.models.forward import ForwardOptions
from rnnexp.models.sequence import SequenceModel

Draw = Callable[[Key, Array], Array]
"""`(key, outputs_BxO) -> inputs_BxI` of the next step."""


def generate(
    model: SequenceModel, prompt_TxBxI: Array, draw: Draw, *, steps: int, key: Key
) -> Array:
    """`steps` drawn inputs, (steps, B, I), after a prompt of at least one step."""
    read = model(prompt_TxBxI)
    Carry = tuple[list[State], Array]

    def body(carry: Carry, step_key: Key) -> tuple[Carry, Array]:
        states, outputs_BxO = carry
        drawn_BxI = draw(step_key, outputs_BxO)
        got = model(drawn_BxI[None], ForwardOptions(states=states))
        return (got.states, got.outputs[0]), drawn_BxI

    start = (read.states, read.outputs[-1])
    drawn: Array = jax.lax.scan(body, start, jax.random.split(key, steps))[1]
    return drawn


def symbol_draw(temperature: float, top_k: int) -> Draw:
    """One-hot symbols from softmax(logits / temperature) over the `top_k` likeliest.

    Temperature 0 takes the likeliest, top_k 0 all symbols.
    """

    def draw(key: Key, logits_BxO: Array) -> Array:
        symbols = logits_BxO.shape[-1]
        if 0 < top_k < symbols:
            least_Bx1 = jax.lax.top_k(logits_BxO, top_k)[0][:, -1:]
            kept = logits_BxO >= jnp.broadcast_to(least_Bx1, logits_BxO.shape)
            logits_BxO = jnp.where(kept, logits_BxO, jnp.full_like(logits_BxO, -jnp.inf))
        if temperature == 0:
            chosen_B = jnp.argmax(logits_BxO, -1)
        else:
            chosen_B = jax.random.categorical(key, logits_BxO / temperature)
        return jax.nn.one_hot(chosen_B, symbols, dtype=logits_BxO.dtype)

    return draw


def notes_draw(temperature: float) -> Draw:
    """Independent notes, each sounding with probability sigmoid(logit / temperature).

    Temperature 0 sounds those with a probability above 1/2.
    """

    def draw(key: Key, logits_BxO: Array) -> Array:
        if temperature == 0:
            return (logits_BxO > 0).astype(logits_BxO.dtype)
        sounding = jax.random.bernoulli(key, jax.nn.sigmoid(logits_BxO / temperature))
        return sounding.astype(logits_BxO.dtype)

    return draw
