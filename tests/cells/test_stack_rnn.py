"""Stacks push and pop exactly: set by hand they count a^n b^n, and reverse a word."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.stack_rnn import stack_rnn
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array
from rnnexp.scan.unroll import unroll
from rnnexp.train.check_cell import check_cell
from tests.helpers.by_numpy import sigmoid
from tests.helpers.noisy_cells import H, I, inputs, noisy

S, D = 2, 4
LARGE = 50.0
"""An argument at which the logistic function is 0 or 1, to 2e-22."""


def stacks_by_numpy(
    p: dict[str, np.ndarray], stacks: list[list[float]], h: np.ndarray, x: np.ndarray, reads: int
) -> tuple[list[list[float]], np.ndarray]:
    """One step, a stack at a time; stacks are lists, the top first."""
    top = np.array([[stack[k] for stack in stacks] for k in range(reads)]).ravel()
    z = p["w_x"].T @ x + p["w_stack"].T @ top
    h = sigmoid(z + p["w_h"].T @ h if "w_h" in p else z)
    logits = (p["w_action"].T @ h).reshape(-1, len(stacks))
    pushed, after = sigmoid(p["w_push"].T @ h), []
    for s, stack in enumerate(stacks):
        share = np.exp(logits[:, s]) / np.exp(logits[:, s]).sum()
        down, up = [pushed[s], *stack[:-1]], [*stack[1:], -1.0]
        rows = [down, up, stack][: len(share)]
        after.append([float(share @ column) for column in zip(*rows, strict=True)])
    return after, h


@pytest.mark.parametrize(
    ("options", "reads"), [({}, 2), ({"no_op": True, "recurrent": True, "reads": 1}, 1)]
)
def test_steps_equal_numpy(options: dict[str, Any], reads: int, x64: None) -> None:
    cell = stack_rnn(I, H, stacks=S, depth=D, **options)
    params, x = noisy(cell), inputs()[:, 0]
    p = {name: np.asarray(value) for name, value in params.items()}
    got = jax.jit(lambda p: unroll(cell, p, x[:, None], keep_states=True).states)(params)
    assert got is not None
    stacks, h = [[-1.0] * D for _ in range(S)], np.zeros(H)
    for t in range(len(x)):
        stacks, h = stacks_by_numpy(p, stacks, h, np.asarray(x[t]), reads)
        np.testing.assert_allclose(got["M"][t, 0], np.array(stacks).T, rtol=1e-12)
        np.testing.assert_allclose(got["h"][t, 0], h, rtol=1e-12)


def test_a_stack_set_by_hand_recognises_a_n_b_n(x64: None) -> None:
    """a pushes 1, b pops; a third unit fires at a b on an empty stack. At the end it is empty."""
    cell = stack_rnn(2, 3, stacks=1, depth=12, reads=1)
    is_a, is_b, too_many = 0, 1, 2
    params = {name: np.zeros(v.shape) for name, v in noisy(cell).items()}
    params["w_x"][0], params["w_x"][1] = [LARGE, -LARGE, -2 * LARGE], [-LARGE, LARGE, 0]
    params["w_stack"][0, too_many] = -LARGE
    params["w_action"][is_a], params["w_action"][is_b] = [LARGE, -LARGE], [-LARGE, LARGE]
    params["w_push"][is_a] = LARGE
    counts = [(a, b) for a in range(5) for b in range(6) if a + b > 0]
    longest = max(a + b for a, b in counts)
    x = np.zeros((longest, len(counts), 2))
    for row, (a, b) in enumerate(counts):
        x[:a, row, 0], x[a : a + b, row, 1] = 1, 1
    lengths = jnp.array([a + b for a, b in counts])
    run: Any = jax.jit(
        lambda p: unroll(cell, p, jnp.asarray(x), lengths_B=lengths, keep_states=True)
    )
    got = run({name: jnp.asarray(value) for name, value in params.items()})
    top = np.asarray(got.final_state["M"][:, 0, 0])
    valid = np.arange(longest)[:, None] < np.asarray(lengths)
    fired = np.max(np.where(valid, got.states["h"][:, :, too_many], 0), axis=0)
    for row, (a, b) in enumerate(counts):
        np.testing.assert_allclose(top[row], 1.0 if a > b else -1.0, atol=1e-12)
        np.testing.assert_allclose(fired[row], float(b > a), atol=1e-12)
        accepted = top[row] < -0.5 and fired[row] < 0.5
        assert accepted == (a == b)


def test_stacks_set_by_hand_give_back_in_reverse(x64: None) -> None:
    """A stack a bit; while the mark shows they are popped, and no element is lost or changed."""
    bits, mark, one = 3, 3, 4  # the inputs: three bits, a mark, a 1; and their hidden units
    cell = stack_rnn(5, 5, stacks=bits, depth=7, reads=1)
    params = {name: np.zeros(v.shape) for name, v in noisy(cell).items()}
    np.fill_diagonal(params["w_x"], 2 * LARGE)
    params["w_x"][one, :4] = -LARGE
    np.fill_diagonal(params["w_push"], 2 * LARGE)
    params["w_push"][mark], params["w_push"][one] = 0, -LARGE
    params["w_action"][one] = [LARGE] * bits + [-LARGE] * bits
    params["w_action"][mark] = [-2 * LARGE] * bits + [2 * LARGE] * bits
    word = np.random.default_rng(0).integers(0, 2, (6, bits)).astype(float)
    x = np.zeros((12, 5))
    x[:6, :bits], x[6:, mark], x[:, one] = word, 1, 1
    run: Any = jax.jit(lambda p: unroll(cell, p, jnp.asarray(x)[:, None], keep_states=True).states)
    states = run({name: jnp.asarray(value) for name, value in params.items()})
    tops = np.asarray(states["M"][5:, 0, 0])
    np.testing.assert_allclose(tops, [*word[::-1], [-1.0] * bits], atol=1e-12)


def test_the_start_and_the_defaults_are_those_of_the_authors() -> None:
    cell = check_cell("stack_rnn", stack_rnn(3, 40), 3)
    params = cell.init(jax.random.key(0))
    assert set(params) == {"w_x", "w_stack", "w_action", "w_push"}
    assert params["w_stack"].shape == (20, 40)
    assert params["w_action"].shape == (40, 20)
    for name, value in params.items():
        assert 0.15 < np.abs(value).max() < 0.3, name  # a sum of three
        assert 0.08 < value.std() < 0.12  # 0.1
    start: Array = cell.init_state(params)["M"]
    assert start.shape == (200, 10)
    assert np.all(start == -1)
    assert cell.parameter_count == 40 * (3 + 20 + 20 + 10)
    recurrent = stack_rnn(3, 40, no_op=True, recurrent=True)
    assert recurrent.parameter_count == 40 * (3 + 20 + 30 + 10 + 40)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stacks": 0}, "stacks of stack_rnn must be at least 1, not 0"),
        ({"depth": 0}, "depth of stack_rnn must be at least 1"),
        ({"reads": 0}, "reads of stack_rnn must be at least 1"),
        ({"depth": 3, "reads": 4}, "reads of stack_rnn is 4, more than the depth of a stack, 3"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        stack_rnn(I, H, **options)
