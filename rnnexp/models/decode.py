"""Decoding with an encoder-decoder: greedy, or by beam search."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnexp.core.types import Array, State, Tree
from rnnexp.models.forward import ForwardOptions
from rnnexp.models.transduction import Encoded, Transducer

STOP = 0


def greedy(model: Transducer, inputs_TxBxI: Array, lengths_B: Array | None, *, steps: int) -> Array:
    """Symbols (U, B) int32, each the likeliest given those before it; stops after a stop."""
    encoded = model.encode(inputs_TxBxI, ForwardOptions(lengths_B))
    batch_size = inputs_TxBxI.shape[1]

    def body(carry: Tree, _: None) -> tuple[Tree, Array]:
        states, shown_BxO, stopped_B = carry
        states, logits_BxO = model.step(states, shown_BxO, encoded)
        symbol_B = jnp.argmax(logits_BxO, -1).astype(jnp.int32)
        symbol_B = jnp.where(stopped_B, jnp.full_like(symbol_B, STOP), symbol_B)
        shown_BxO = jax.nn.one_hot(symbol_B, model.output_size, dtype=float)
        return (states, shown_BxO, stopped_B | (symbol_B == STOP)), symbol_B

    start = (
        encoded.states,
        jnp.zeros((batch_size, model.output_size)),
        jnp.zeros(batch_size, bool),
    )
    symbols_UxB: Array = jax.lax.scan(body, start, length=steps)[1]
    return symbols_UxB


class Beam(NamedTuple):
    """Hypotheses of one batch, best first: symbols (U, B, W), log-likelihoods (B, W), and their
    numbers of symbols (B, W), the stop included."""

    symbols_UxBxW: Array
    log_likelihood_BxW: Array
    length_BxW: Array


def beam(
    model: Transducer,
    inputs_TxBxI: Array,
    lengths_B: Array | None,
    *,
    steps: int,
    width: int,
    length_power: float = 0.0,
) -> Beam:
    """The `width` best sequences by beam search with that many prefixes at each step.

    A stopped hypothesis keeps its likelihood and continues with stop symbols. Width 1 is `greedy`;
    a width of all prefixes finds the true maximum.

    Args:
      length_power: a in the score ln p / length^a, by which prefixes and sequences are ranked; 0:
        by ln p, which favours short ones, 1: by the mean ln p of a symbol. Wu et al. 2016,
        "Google's neural machine translation system", section 7, with another constant.
    """
    batch_size, dtype = inputs_TxBxI.shape[1], jnp.zeros(()).dtype
    symbols = model.output_size
    encoded = _repeated(model.encode(inputs_TxBxI, ForwardOptions(lengths_B)), width)

    def body(carry: Tree, step: Array) -> tuple[Tree, None]:
        states, shown, stopped_BxW, (total_BxW, length_BxW), written_UxBxW = carry
        states, logits = model.step(states, shown, encoded)
        log_p = jax.nn.log_softmax(logits, -1).reshape(batch_size, width, symbols)
        only_stop_O = jnp.where(jnp.arange(symbols) == STOP, 0.0, -jnp.inf).astype(log_p.dtype)
        after_stop = jnp.broadcast_to(only_stop_O[None, None], log_p.shape)
        log_p = jnp.where(stopped_BxW[:, :, None], after_stop, log_p)
        longer_BxW = length_BxW + (~stopped_BxW).astype(length_BxW.dtype)
        reached = total_BxW[:, :, None] + log_p
        ranked = reached / (longer_BxW**length_power).astype(dtype)[:, :, None]
        chosen_BxW = jax.lax.top_k(ranked.reshape(batch_size, -1), width)[1]
        total_BxW = jnp.take_along_axis(reached.reshape(batch_size, -1), chosen_BxW, axis=1)
        parent_BxW, symbol_BxW = chosen_BxW // symbols, chosen_BxW % symbols
        states = [_follow(state, parent_BxW) for state in states]
        written = jnp.take_along_axis(written_UxBxW, parent_BxW[None], axis=2)
        written = written.at[step].set(symbol_BxW.astype(jnp.int32))
        stopped = jnp.take_along_axis(stopped_BxW, parent_BxW, axis=1) | (symbol_BxW == STOP)
        length_BxW = jnp.take_along_axis(longer_BxW, parent_BxW, axis=1)
        shown = jax.nn.one_hot(symbol_BxW.reshape(-1), symbols, dtype=dtype)
        return (states, shown, stopped, (total_BxW, length_BxW), written), None

    first_W = jnp.where(jnp.arange(width) == 0, 0.0, -jnp.inf).astype(dtype)
    start = (
        encoded.states,
        jnp.zeros((batch_size * width, symbols), dtype),
        jnp.zeros((batch_size, width), bool),
        (jnp.broadcast_to(first_W[None], (batch_size, width)), jnp.zeros((batch_size, width))),
        jnp.zeros((steps, batch_size, width), jnp.int32),
    )
    end, _ = jax.lax.scan(body, start, jnp.arange(steps, dtype=jnp.int32))
    return Beam(end[4], *end[3])


def _repeated(encoded: Encoded, width: int) -> Encoded:
    """Every example `width` times, side by side in the batch."""
    return Encoded(
        jnp.repeat(encoded.outputs_TxBxH, width, axis=1),
        None if encoded.lengths_B is None else jnp.repeat(encoded.lengths_B, width),
        [{k: jnp.repeat(v, width, axis=0) for k, v in state.items()} for state in encoded.states],
    )


def _follow(state: State, parent_BxW: Array) -> State:
    """The states of the parents of the new hypotheses."""
    batch_size, width = parent_BxW.shape
    row_B = jnp.arange(batch_size, dtype=parent_BxW.dtype)[:, None] * width
    index = (row_B + parent_BxW).reshape(-1)
    return {k: v[index] for k, v in state.items()}
