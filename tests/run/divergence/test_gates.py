"""The shares of a unit's gates are those of its cell stepped by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.cells.lstm import lstm
from rnnexp.models.recurrent import Recurrent
from rnnexp.models.stack import Unit
from rnnexp.run.divergence.gates import gate_fractions
from rnnexp.scan.unroll import Trajectory, unroll


def test_gate_shares_are_those_of_the_cell_stepped_by_hand(x64: None) -> None:
    steps, batch, padded = 5, 3, 7
    layer = Recurrent(lstm(2, 4, forget_bias=2.0), jax.random.key(0))
    x_TxBxI = 4.0 * jax.random.normal(jax.random.key(1), (steps, batch, 2))
    lengths = [5, 2, 0]
    lengths_B = jnp.asarray(lengths, jnp.int32)
    run_ = unroll(layer.cell, layer.params(), x_TxBxI, lengths_B=lengths_B, keep_states=True)
    assert run_.states is not None
    start = {k: jnp.zeros((batch, 4)) for k in ("c", "h")}
    seen = Trajectory(x_TxBxI, start, run_.states)
    for backward in (False, True):
        got = gate_fractions(Unit("layer_0", layer, backward), seen, lengths_B, padded)
        expected = np.zeros((2, steps))
        for b, length in enumerate(lengths):
            state = {k: jnp.zeros(4) for k in ("c", "h")}
            for t in range(length):
                values = layer.cell.gates(layer.params(), state, x_TxBxI[t, b])["forget"]
                place = length - 1 - t if backward else t
                expected[0, place] += float(np.mean(np.asarray(values) < 0.1))
                expected[1, place] += float(np.mean(np.asarray(values) > 0.9))
                state = dict(layer.cell.transition(layer.params(), state, x_TxBxI[t, b]))
        expected /= [sum(t < length for length in lengths) for t in range(steps)]
        assert (expected > 0).any()
        assert np.isnan(got["forget"][:, :2]).all()
        np.testing.assert_allclose(got["forget"][:, 2:], expected, rtol=1e-12)
