"""The memory network is that of the paper, read anew in loops, and its Jacobians are exact."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.base import CONTEXT, LINEAR_START, Cell
from rnnexp.cells.memory_network import memory_network
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Params, State, Tree
from rnnexp.gradflow.adjoints import probes, tap, zero_slot
from rnnexp.laboratory.jacobians import adjoints_by_products, step_jacobians
from rnnexp.scan.step import prepare_batch
from rnnexp.scan.unroll import Unrolled, unroll
from tests.helpers.contexts import bound
from tests.helpers.distributions import assert_gaussian

V, D, B, HOPS = 9, 4, 3, 3
STORY = np.array(
    [
        [[1, 2, 3, 4], [5, 6, 1, 0], [8, 0, 0, 0]],
        [[2, 2, 0, 0], [7, 3, 2, 1], [0, 0, 0, 0]],
        [[4, 3, 2, 1], [1, 2, 3, 4], [6, 6, 6, 0]],
    ]
)
QUESTION = np.array([[1, 5, 0, 0], [3, 0, 0, 0], [2, 7, 8, 0]])
TIME = np.array([[2, 1, 0], [4, 0, 0], [3, 2, 0]])
CONTEXT_OF = {
    name: jnp.asarray(values, jnp.int32)
    for name, values in (("story", STORY), ("question", QUESTION), ("time", TIME))
}


def made(**options: Any) -> tuple[Cell, Params]:
    """A network with three rows of time encoding and large weights, in which softmax bends."""
    cell = memory_network(V, D, hops=HOPS, memory_size=3, **options)
    return cell, jax.tree.map(lambda w: 6 * w, cell.init(jax.random.key(0)))


def run(cell: Cell, params: Params, **context: Array) -> Unrolled:
    """All hops, with states; the context may have other leaves."""

    @jax.jit
    def hops(params: Params, context: Tree) -> Unrolled:
        return unroll(cell, params, jnp.zeros((HOPS, B, V)), context=context, keep_states=True)

    got: Unrolled = hops(params, CONTEXT_OF | context)
    return got


def example(b: int) -> dict[str, Array]:
    return {name: leaf[b] for name, leaf in CONTEXT_OF.items()}


def by_loops(
    params: Params, b: int, *, adjacent: bool, position: bool, time: bool, linear: bool, slots: int
) -> np.ndarray:
    """u_2 ... u_(K+1) of example b, (K, D), word by word from the paper; nil words are zeros.

    Sentences fill `slots` up with zero rows."""
    table = {name: np.array(value) for name, value in params.items()}
    table["embedding"][:, 0] = 0
    if "w_q" in table:
        table["w_q"][0] = 0
    length = STORY.shape[2]

    def weight(i: int, j: int) -> float:  # counted from 1
        middle = (i - (D + 1) / 2) * (j - (length + 1) / 2)
        return 1 + 4 * middle / (D * length) if position else 1.0

    def bag(matrix: np.ndarray, sentence: np.ndarray) -> np.ndarray:
        total = np.zeros(D)
        for j, word in enumerate(sentence, 1):
            for i in range(1, D + 1):
                total[i - 1] += weight(i, j) * matrix[word, i - 1]
        return total

    sentences = [s for s in range(STORY.shape[1]) if STORY[b, s].any()]

    def memory(which: int) -> np.ndarray:
        rows = [bag(table["embedding"][which], STORY[b, s]) for s in sentences]
        if time:
            ages = [min(TIME[b, s], 2) for s in sentences]
            rows = [row + table["time"][which, age] for row, age in zip(rows, ages, strict=True)]
        return np.array(rows + [np.zeros(D)] * (slots - len(rows)))

    u = bag(table["embedding"][0] if adjacent else table["w_q"], QUESTION[b])
    states = []
    for hop in range(HOPS):
        m, c = (memory(hop), memory(hop + 1)) if adjacent else (memory(0), memory(1))
        p = m @ u
        if not linear:
            p = np.exp(p - p.max()) / np.exp(p - p.max()).sum()
        u = (u if adjacent else table["w_h"].T @ u) + c.T @ p
        states.append(u)
    return np.array(states)


@pytest.mark.parametrize(("linear", "empty"), [(False, True), (False, False), (True, True)])
@pytest.mark.parametrize("encodings", [(True, True), (True, False), (False, True)], ids=str)
@pytest.mark.parametrize("adjacent", [True, False])
def test_every_hop_is_that_of_the_paper(
    adjacent: bool, encodings: tuple[bool, bool], linear: bool, empty: bool, x64: None
) -> None:
    cell, params = made(
        tying="adjacent" if adjacent else "layer_wise", linear=linear, empty_slots=empty,
        position_encoding=encodings[0], time_encoding=encodings[1],
    )  # fmt: skip
    got = run(cell, params)
    assert got.states is not None
    for b in range(B):
        expected = by_loops(
            params, b, adjacent=adjacent, position=encodings[0], time=encodings[1], linear=linear,
            slots=3 if empty else 0,
        )  # fmt: skip
        np.testing.assert_allclose(got.states["u"][:, b], expected, rtol=1e-12)
    np.testing.assert_array_equal(got.final_BxH, got.states["u"][-1])


def explicit_jacobian(cell: Cell, params: Params, state: Any, *, linear: bool) -> np.ndarray:
    """I + C^T (diag p - p p^T) M, or I + C^T M, with H in the place of I where there is one."""
    seen = {name: np.asarray(leaf) for name, leaf in params[CONTEXT].items()}
    hop = int(state.get("hop", 0))
    m, c = seen["reads"][hop], seen["reads"][hop + 1]
    assert cell.attention is not None
    p = np.asarray(cell.attention(params, state))[: len(m)]
    middle = np.eye(len(p)) if linear else np.diag(p) - np.outer(p, p)
    kept = np.asarray(params["w_h"]).T if "w_h" in params else np.eye(D)
    jacobian: np.ndarray = kept + c.T @ middle @ m
    return jacobian


WAYS = [("adjacent", False), ("layer_wise", False), ("adjacent", True), ("layer_wise", True)]


@pytest.mark.parametrize(("tying", "linear"), WAYS)
def test_jacobians_and_adjoints_are_products_of_the_closed_form(
    tying: str, linear: bool, x64: None
) -> None:
    cell, params = made(tying=tying, linear=linear)
    prepared = prepare_batch(cell, params, CONTEXT_OF)
    got = run(cell, params)
    last_BxD = jax.random.normal(jax.random.key(1), (B, D))

    def loss(slots: Any) -> Array:
        probe = probes(tap, [slots])[0]
        inputs = jnp.zeros((HOPS, B, V))
        final = unroll(cell, params, inputs, context=CONTEXT_OF, probe=probe).final_BxH
        return jnp.sum(last_BxD * final)

    @jax.jit
    def moved(own: Params, state: State) -> Array:
        new = jax.jacfwd(lambda u: cell.transition(own, {**state, "u": u}, jnp.zeros(V))["u"])
        jacobian: Array = new(state["u"])
        return jacobian

    @jax.jit
    def examined(params: Params, example: Tree) -> Array:
        return step_jacobians(bound(cell, example), params, jnp.zeros((HOPS, V)))

    recorded = jax.jit(jax.grad(loss))(zero_slot(cell, params, HOPS, B))["u"]
    for b in range(B):
        own = {**params, CONTEXT: {k: leaf[b] for k, leaf in prepared[CONTEXT].items()}}
        assert cell.start is not None
        assert got.states is not None
        states = [cell.start(own), *({k: v[t, b] for k, v in got.states.items()} for t in (0, 1))]
        exact = [explicit_jacobian(cell, own, state, linear=linear) for state in states]
        for state, jacobian in zip(states, exact, strict=True):
            np.testing.assert_allclose(moved(own, state), jacobian, rtol=1e-11, atol=1e-13)
        laboratory = examined(params, example(b))
        np.testing.assert_allclose(laboratory[:, -D:, -D:], exact, rtol=1e-11, atol=1e-13)
        adjoint, expected = np.asarray(last_BxD[b]), [np.asarray(last_BxD[b])]
        for jacobian in exact[:0:-1]:
            adjoint = jacobian.T @ adjoint
            expected.insert(0, adjoint)
        np.testing.assert_allclose(recorded[:, b], expected, rtol=1e-11, atol=1e-13)
        direct = jnp.zeros((HOPS, D)).at[-1].set(last_BxD[b])
        again = adjoints_by_products(jnp.asarray(exact), direct)
        np.testing.assert_allclose(again, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("tying", ["adjacent", "layer_wise"])
def test_a_linear_start_is_the_linear_network_while_it_lasts(tying: str, x64: None) -> None:
    cell, params = made(tying=tying, linear_start_steps=5)
    other = made(tying=tying, linear=True)[0]

    @jax.jit
    def gradient(params: Params, switch_B: Array) -> Params:
        context = {LINEAR_START: switch_B}
        found: Params = jax.grad(lambda p: jnp.sum(jnp.sin(run(cell, p, **context).final_BxH)))(
            params
        )
        return found

    def plain(cell: Cell) -> Params:
        found: Params = jax.jit(jax.grad(lambda p: jnp.sum(jnp.sin(run(cell, p).final_BxH))))(
            params
        )
        return found

    for switch, expected in ((1.0, plain(other)), (0.0, plain(cell))):
        for name, found in gradient(params, jnp.full(B, switch)).items():
            np.testing.assert_allclose(found, expected[name], rtol=1e-11, atol=1e-14, err_msg=name)
    assert not np.allclose(plain(other)["embedding"], plain(cell)["embedding"])


def test_empty_sentences_and_words_change_nothing_and_learn_nothing(x64: None) -> None:
    cell, params = made()
    longer = {
        "story": jnp.pad(CONTEXT_OF["story"], ((0, 0), (0, 2), (0, 0))),
        "time": jnp.pad(CONTEXT_OF["time"], ((0, 0), (0, 2))),
    }
    again = run(cell, params, **longer).final_BxH
    np.testing.assert_allclose(again, run(cell, params).final_BxH, rtol=1e-13)
    nil = {**params, "embedding": params["embedding"].at[:, 0].add(1.0)}
    np.testing.assert_array_equal(run(cell, nil).final_BxH, run(cell, params).final_BxH)
    gradient = jax.grad(lambda p: jnp.sum(run(cell, p).final_BxH))(params)["embedding"]
    assert not np.any(gradient[:, 0])


@pytest.mark.parametrize("empty", [True, False])
def test_attention_is_on_sentences_and_on_empty_slots(empty: bool, x64: None) -> None:
    cell, params = made(empty_slots=empty)
    prepared = prepare_batch(cell, params, CONTEXT_OF)
    one = {**params, CONTEXT: {k: leaf[1] for k, leaf in prepared[CONTEXT].items()}}
    assert cell.attention is not None
    assert cell.start is not None
    state = cell.start(one)
    p = cell.attention(one, state)
    assert p[2] == 0  # of the third sentence there is nothing in this story
    scores = np.asarray(one[CONTEXT]["reads"][0, :2] @ state["u"])
    weights = np.exp([*scores, *([0.0] if empty else [])])
    weights = np.insert(weights, 2, 0.0)
    np.testing.assert_allclose(p, weights / weights.sum(), rtol=1e-13)


def test_the_order_of_words_and_of_sentences_counts_where_it_is_encoded(x64: None) -> None:
    turned = {"story": CONTEXT_OF["story"].at[2].set(CONTEXT_OF["story"][2, ::-1])}
    words = {"story": CONTEXT_OF["story"].at[0, 0].set(jnp.array([4, 3, 2, 1], jnp.int32))}
    for encoding, changed in (("time_encoding", turned), ("position_encoding", words)):
        for on in (True, False):
            cell, params = made(**{encoding: on})
            same = np.allclose(
                run(cell, params).final_BxH, run(cell, params, **changed).final_BxH, rtol=1e-12
            )
            assert same != on, (encoding, on)


def test_a_tied_answer_is_the_last_embedding_of_the_state(x64: None) -> None:
    cell, params = made(tied_answer=True, output_size=V)
    plain = made()[0]
    u_BxD, table = np.asarray(run(plain, params).final_BxH), np.array(params["embedding"][-1])
    table[0] = 0
    np.testing.assert_allclose(run(cell, params).final_BxH, u_BxD @ table.T, rtol=1e-12)
    assert cell.is_network
    assert cell.output_size == V


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 4 * (V + 3) * D),
        ({"time_encoding": False}, 4 * V * D),
        ({"tying": "layer_wise"}, (3 * V + 2 * 3 + D) * D),
        ({"tying": "layer_wise", "time_encoding": False}, (3 * V + D) * D),
        ({"tied_answer": True, "output_size": V}, 4 * (V + 3) * D),
    ],
    ids=str,
)
def test_the_number_of_parameters_is_the_formula(options: dict[str, Any], count: int) -> None:
    cell, params = made(**options)
    assert cell.parameter_count == count == sum(leaf.size for leaf in jax.tree.leaves(params))


def test_weights_are_gaussian() -> None:
    params = memory_network(60, 40, tying="layer_wise").init(jax.random.key(3))
    for leaf in params.values():
        assert_gaussian(leaf, 0.1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hops": 0}, "hops must be at least 1, not 0"),
        ({"memory_size": 0}, "memory_size must be at least 1, not 0"),
        ({"tying": "adjoint"}, "Did you mean 'adjacent'"),
        ({"linear_start_steps": -1}, "linear_start_steps must be at least 0, not -1"),
        ({"tied_answer": True}, r"whose outputs \(1\) are its words \(9\)"),
        ({"tied_answer": True, "tying": "layer_wise", "output_size": V}, "needs tying='adjacent'"),
    ],
    ids=str,
)
def test_bad_options(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        memory_network(V, D, **options)


def test_a_run_says_that_its_start_is_linear() -> None:
    assert "the first 9 steps of training are" in memory_network(V, D, linear_start_steps=9).note
    always = memory_network(V, D, linear_start_steps=9, linear=True)
    for cell in (always, memory_network(V, D)):
        assert (cell.linear_start_steps, cell.note) == (0, "")


def test_a_hop_is_a_step_of_its_own_axis() -> None:
    cell = memory_network(V, D, hops=2)
    assert (cell.axis, cell.steps, cell.hidden, cell.counters) == ("hop", 2, "u", ("hop",))
