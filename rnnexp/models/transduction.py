"""Encoder and decoder: one sequence in, another out (the asynchronous mode).

The encoder is a stack over the inputs. The decoder is a stack over target symbols, with
the previous symbol as the input of a step, and starts from the encoder's final state (of
a bidirectional one, the mean of both directions). With attention the readout sees

    a_us = softmax_s(score(d_u, e_s))      c_u = sum_s a_us e_s
    out_u = W_o tanh(W_c [c_u, d_u])

over the valid encoder outputs e_s, where score is d_u . W e_s (dot; Luong, Pham &
Manning 2015, "general") or v . tanh(W d_u + U e_s) (additive; Bahdanau, Cho & Bengio
2015). Sutskever, Vinyals & Le 2014 without attention.

Symbol 0 is the stop symbol. There is no start symbol: the first step sees zeros. With an
embedding both stacks read rows of a trained matrix, each of its own (`rnnexp.models.embedding`).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from rnnexp.core.masking import valid_steps
from rnnexp.core.types import Array, Key, State
from rnnexp.models.embedding import as_features, embedding
from rnnexp.models.forward import EVALUATION, ForwardOptions
from rnnexp.models.heads.linear import linear
from rnnexp.models.sequence import Modelled
from rnnexp.models.stack import MakeCell, Stack, Stacked, Unit
from rnnexp.models.structure import Structure
from rnnexp.scan.newton.solve import NewtonStats
from rnnexp.scan.unroll import Trajectory

STREAMS = (4, 5)
"""Make the keys of both embeddings; the other parts have the four keys of a split."""


class Encoded(NamedTuple):
    """The encoder's results."""

    outputs_TxBxH: Array
    lengths_B: Array | None
    states: Sequence[State]
    trajectories: Sequence[Trajectory] = ()
    newton_stats: Sequence[NewtonStats | None] = ()


class Transducer(nnx.Module):
    """Encoder, decoder, optional attention and readout.

    Args:
      make_cell: `(input_size, layer) -> Cell` of both stacks.
      output_size: target symbols, the stop symbol included.
    """

    def __init__(
        self,
        make_cell: MakeCell,
        *,
        structure: Structure,
        input_size: int,
        output_size: int,
        key: Key,
    ):
        key_enc, key_dec, key_read, key_att = jax.random.split(key, 4)
        self.input_size, size = input_size, structure.embedding_size
        self.embedding, self.target_embedding = (
            embedding(symbols, size, key, stream=stream) if size else None
            for symbols, stream in zip((input_size, output_size), STREAMS, strict=True)
        )
        self.encoder = Stack(
            make_cell, structure=structure, input_size=size or input_size, key=key_enc
        )
        self.decoder = Stack(
            make_cell,
            structure=replace(structure, bidirectional=False),
            input_size=size or output_size,
            key=key_dec,
        )
        self.attention = structure.attention
        size_e, size_d = self.encoder.output_size, self.decoder.output_size
        if self.attention != "none":
            key_query, key_memory, key_score, key_mix = jax.random.split(key_att, 4)
            if self.attention == "additive":
                self.query = linear(size_d, size_d, key_query)
                self.score = linear(size_d, 1, key_score)
            self.memory = linear(size_e, size_d, key_memory)
            self.mix = linear(size_e + size_d, size_d, key_mix)
        self.readout = linear(size_d, output_size, key_read)
        self.output_size = output_size

    def units(self) -> list[Unit]:
        """All cells: `encoder_layer_0`, ..., then `decoder_layer_0`, ..."""
        return [
            unit._replace(name=f"{part}_{unit.name}")
            for part, stack in (("encoder", self.encoder), ("decoder", self.decoder))
            for unit in stack.units()
        ]

    def __call__(
        self, inputs_TxBxI: Array, targets_UxB: Array, options: ForwardOptions = EVALUATION
    ) -> Modelled:
        """Logits (U, B, O) of every target symbol, given the true ones before it.

        Inputs may be numbers of symbols, (T, B).

        The options `states`, `taught_TxBxO` and `forced_steps` have no effect.
        """
        count = len(self.encoder.layers)
        probes = options.probes or [None] * (count + len(self.decoder.layers))
        key_enc, key_dec = options.split_key(2)
        encoded = self.encode(inputs_TxBxI, options._replace(probes=probes[:count], key=key_enc))
        first_1xBxO = jnp.zeros((1, targets_UxB.shape[1], self.output_size))
        later = jax.nn.one_hot(targets_UxB[:-1], self.output_size, dtype=float)
        decoding = ForwardOptions(
            states=encoded.states,
            probes=probes[count:],
            key=key_dec,
            rates=options.rates,
            keep_states=options.keep_states,
        )
        got = self._decode(jnp.concatenate([first_1xBxO, later]), decoding)
        return Modelled(
            self.read(got.outputs_TxBxH, encoded),
            got.states,
            [*encoded.trajectories, *got.trajectories],
            [*encoded.newton_stats, *got.newton_stats],
        )

    def encode(self, inputs_TxBxI: Array, options: ForwardOptions = EVALUATION) -> Encoded:
        """Run the encoder; its `states` are the decoder's initial states."""
        inputs_TxBxI = as_features(inputs_TxBxI, self.input_size, self.embedding, options.lengths_B)
        got = self.encoder(inputs_TxBxI, options._replace(states=None))
        directions = len(self.encoder.layers) // len(self.decoder.layers)
        starts = []
        for number, layer in enumerate(self.decoder.layers):
            ends = got.states[number * directions : (number + 1) * directions]
            state = dict(layer.start(inputs_TxBxI.shape[1]))
            for leaf in layer.cell.probed:
                state[leaf] = jnp.mean(jnp.stack([end[leaf] for end in ends]), 0)
            starts.append(state)
        return Encoded(
            got.outputs_TxBxH, options.lengths_B, starts, got.trajectories, got.newton_stats
        )

    def step(
        self, states: Sequence[State], shown_BxO: Array, encoded: Encoded
    ) -> tuple[list[State], Array]:
        """One step of the decoder: states and logits (B, O) after seeing `shown`."""
        got = self._decode(shown_BxO[None], ForwardOptions(states=states))
        return got.states, self.read(got.outputs_TxBxH, encoded)[0]

    def _decode(self, shown_UxBxO: Array, options: ForwardOptions) -> Stacked:
        """Run the decoder on symbols one-hot, or on zeros before the first."""
        features = as_features(shown_UxBxO, self.output_size, self.target_embedding, None)
        return self.decoder(features, options)

    def read(self, d_UxBxH: Array, encoded: Encoded) -> Array:
        """Logits from decoder outputs, through attention if there is any."""
        if self.attention != "none":
            weights_UxBxT = self.weights(d_UxBxH, encoded)
            context_UxBxH = jnp.einsum("ubt,tbh->ubh", weights_UxBxT, encoded.outputs_TxBxH)
            d_UxBxH = jnp.tanh(self.mix(jnp.concatenate([context_UxBxH, d_UxBxH], -1)))
        return jnp.asarray(self.readout(d_UxBxH))

    def weights(self, d_UxBxH: Array, encoded: Encoded) -> Array:
        """Attention (U, B, T) over the valid encoder outputs; sums to 1."""
        memory_TxBxH = self.memory(encoded.outputs_TxBxH)
        if self.attention == "dot":
            scores_UxBxT = jnp.einsum("ubh,tbh->ubt", d_UxBxH, memory_TxBxH)
        else:
            query = self.query(d_UxBxH)
            both_UxTxBxH = jnp.tanh(query[:, None] + memory_TxBxH[None])
            scores_UxBxT = jnp.swapaxes(self.score(both_UxTxBxH)[..., 0], 1, 2)
        if encoded.lengths_B is not None:
            valid_TxB = valid_steps(encoded.outputs_TxBxH.shape[0], encoded.lengths_B)
            nothing = jnp.full_like(scores_UxBxT, -jnp.inf)
            scores_UxBxT = jnp.where(valid_TxB.T[None], scores_UxBxT, nothing)
        return jax.nn.softmax(scores_UxBxT, -1)
