"""The RTRBM: hand-written loops over all states, its gradient, one set of parameters, refusals."""

from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.flatten_util import ravel_pytree

from rnnexp.cells.rnn import rnn
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch
from rnnexp.models.heads.rbm import rbm
from rnnexp.models.scoring import scores_of
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.structure import Structure
from rnnexp.train.plan import Plan
from tests.helpers.bits import all_bits, sigmoid
from tests.helpers.frame_heads import music_plan

D, H, T, B = 4, 3, 5, 2
RANDOM = np.random.default_rng(0)


def made() -> tuple[Any, Any]:
    """The static part and weights of size 1 of an RTRBM."""
    model = SequenceModel(
        lambda input_size, layer: rnn(input_size, H, activation="sigmoid"),
        structure=Structure(), input_size=D, output_size=D, mode="synchronous",
        key=jax.random.key(0), make_head=partial(rbm_of_top, tied=True, hidden_size=H),
    )  # fmt: skip
    graphdef, state = nnx.split(model)
    flat, unravel = ravel_pytree(nnx.to_pure_dict(state))
    return graphdef, unravel(jax.random.normal(jax.random.key(1), flat.shape, flat.dtype))


def rbm_of_top(features: int, outputs: int, key: Any, top: Any, **options: Any) -> Any:
    """The head over a layer."""
    return rbm(features, outputs, key, top=top, **options)


def by_hand(w: Any, w_h: Any, b_h: Any, b_v: Any, w_v: Any, frames_TxD: Any) -> float:
    """Nats of frames 1, 2, ... given those before, summed: the equations of the paper, with Z by
    the energies of all pairs."""
    v_all, h_all = all_bits(D), all_bits(H)
    mean_H = np.zeros(H)
    total = 0.0
    for before, frame in pairwise(frames_TxD):
        mean_H = sigmoid(before @ w + b_h + mean_H @ w_h)
        b_t, c_t = b_v + mean_H @ w_v, b_h + mean_H @ w_h
        weight = np.exp((v_all @ b_t)[:, None] + (h_all @ c_t)[None] + v_all @ w @ h_all.T).sum(1)
        total -= np.log(weight[int(frame @ 2 ** np.arange(D))] / weight.sum())
    return float(total)


def test_likelihood_and_gradient_are_those_of_loops_by_hand(x64: None) -> None:
    graphdef, params = made()
    frames = RANDOM.integers(0, 2, (T + 1, B, D)).astype(float)
    batch = Batch(jnp.asarray(frames[:-1]), jnp.asarray(frames[1:]))
    flat, unravel = ravel_pytree(params)

    @jax.jit
    def loss(flat: Array) -> Array:
        model = nnx.merge(graphdef, unravel(flat))
        score = scores_of(model, lambda outputs, batch: {})(
            model(batch.inputs_TxBxI).outputs, batch
        )
        return jnp.sum(score["loss"].total_B)

    def own(flat: Any) -> float:
        model = nnx.merge(graphdef, unravel(jnp.asarray(flat)))
        cell, biases = model.stack.layers[0], model.readout.biases
        leaves = (cell.w_x, cell.w_h, cell.b, biases.b, biases.u_b)
        w, w_h, b_h, b_v, w_v = (np.asarray(leaf[...]) for leaf in leaves)
        return float(sum(by_hand(w, w_h, b_h, b_v, w_v, frames[:, b]) for b in range(B)))

    assert len(flat) == D * H + H * H + H + D + H * D
    np.testing.assert_allclose(loss(flat), own(flat), rtol=1e-12)
    moves = 1e-5 * np.eye(len(flat))
    start = np.asarray(flat)
    numeric = [(own(start + move) - own(start - move)) / 2e-5 for move in moves]
    np.testing.assert_allclose(jax.grad(loss)(flat), numeric, rtol=1e-6, atol=1e-8)


def tied_plan(cell: str = "rnn", **changes: Any) -> Plan:
    """The plan of such a network; `__` stands for the dot."""
    given: dict[str, Any] = {"cell__hidden_size": 4, "head__hidden_size": 4, "head__tied": True}
    given |= {"cell__activation": "sigmoid"} if cell == "rnn" else {}
    return music_plan("rbm", cell=cell, **given | changes)


def test_there_is_one_set_of_parameters() -> None:
    plan = tied_plan()
    sizes = [leaf.size for leaf in jax.tree.leaves(plan.params)]
    assert sum(sizes) == 88 * 4 + 4 * 4 + 4 + 88 + 4 * 88
    model: Any = plan.recipe.model(plan.params)
    layer, head = model.stack.layers[0], model.readout
    for own, other in ((layer.w_x, head.w), (layer.w_h, head.biases.u_c), (layer.b, head.biases.c)):
        assert own is other


@pytest.mark.parametrize(
    ("cell", "changes", "text"),
    [
        ("lstm", {}, "takes the parameters of a cell 'rnn' .* the layer under the head is lstm"),
        ("rnn", {"cell__activation": "tanh"}, "set config.cell.activation=sigmoid, not tanh"),
        ("rnn", {"head__hidden_size": 5}, "must be that of the cell with config.head.tied, 4, not"),
        ("rnn", {"model__layer_norm": True}, "config.model.layer_norm: with config.head.tied"),
        ("rnn", {"model__num_layers": 2}, "the layer under the head is rnn with 4 inputs"),
    ],
)
def test_what_cannot_be_tied_is_said_in_one_line(cell: str, changes: Any, text: str) -> None:
    with pytest.raises(UsageError, match=text) as said:
        tied_plan(cell, **changes)
    assert "\n" not in str(said.value)
