"""A NARX network equals NumPy, taught or free, and refuses bad options, as a TDNN does."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.narx import narx
from rnnexp.cells.tdnn import tdnn
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, State
from rnnexp.gradflow.adjoints import perturb, tap, zero_slot
from rnnexp.models.noise import teacher
from rnnexp.scan.unroll import Probe, unroll
from tests.helpers.reached_lags import B, H, I, O, T, reached


def narx_by_hand(params: Any, x: np.ndarray, shown: np.ndarray | None, du: int, dy: int) -> Any:
    """Outputs (T, B, O) of a NARX network; `shown` are the true outputs, or its own."""
    p = {name: np.asarray(value) for name, value in params.items()}
    start = np.broadcast_to(p["b_y"], (B, O))  # of h = 0
    past: list[np.ndarray] = []
    outputs = []
    for t in range(T):
        window = [x[t - k] if t >= k else np.zeros((B, I)) for k in range(du + 1)]
        recent = (past[::-1] + [start] + [np.zeros((B, O))] * dy)[:dy]
        h = np.tanh(np.concatenate([*window, *recent], -1) @ p["w"] + p["b"])
        outputs.append(h @ p["w_y"] + p["b_y"])
        past.append(outputs[-1] if shown is None else shown[t])
    return np.stack(outputs)


@pytest.mark.parametrize(("du", "dy"), [(2, 3), (0, 1)])
@pytest.mark.parametrize("forced", [0, 5, T])
def test_a_narx_network_equals_numpy(du: int, dy: int, forced: int, x64: None) -> None:
    cell = narx(I, H, input_delay_steps=du, output_delay_steps=dy, output_size=O)
    params = jax.tree.map(lambda v: v + 0.1, cell.init(jax.random.key(0)))
    x = jax.random.normal(jax.random.key(1), (T, B, I))
    true = jax.random.normal(jax.random.key(2), (T, B, O))
    hook = teacher("taught", true, forced)
    got = np.asarray(unroll(cell, params, x, hooks=(hook,)).outputs_TxBxH)
    if forced == 5:  # what is shown ends, what it says itself goes on
        own = np.concatenate([np.asarray(true)[:5], got[5:]])
        expected = narx_by_hand(params, np.asarray(x), own, du, dy)
    else:
        shown = np.asarray(true) if forced else None
        expected = narx_by_hand(params, np.asarray(x), shown, du, dy)
    np.testing.assert_allclose(got, expected, rtol=1e-10)


def test_no_gradient_flows_through_a_teacher() -> None:
    cell = narx(I, H, input_delay_steps=1, output_delay_steps=3, output_size=O)
    true = jax.random.normal(jax.random.key(2), (T, B, O))
    assert reached(cell, hooks=(teacher("taught", true, T),)) == ([0], [0, 1])
    assert reached(cell) == ([*range(T)], [*range(T)])


def test_the_probe_of_a_narx_network_counts_the_way_through_the_output(x64: None) -> None:
    cell = narx(I, H, output_size=O)
    params = cell.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (T, B, I))

    def last(slot: State, apply: Any) -> Array:
        return jnp.sum(unroll(cell, params, x, probe=Probe(apply, slot)).final_BxH)

    slot = zero_slot(cell, params, T, B)
    by_tap, by_definition = (jax.grad(last)(slot, apply)["h"] for apply in (tap, perturb))
    np.testing.assert_allclose(by_tap, by_definition, rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        (tdnn, {"delay_steps": 0}, "delay_steps must be at least 1"),
        (narx, {"output_delay_steps": 0}, "output_delay_steps must be at least 1"),
        (narx, {"feedback": "softmx"}, "Did you mean 'softmax'"),
    ],
)
def test_bad_options(make: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make(I, H, **options)
