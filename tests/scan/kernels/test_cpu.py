"""The compiled kernels: values, gradients, adjoints and their norms are those of the scan."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.base import Cell
from rnnexp.core.types import Array, Params, State
from rnnexp.gradflow.adjoints import norm_tap, probes, tap
from rnnexp.scan.kernels import build
from rnnexp.scan.unroll import TimeLoop, unroll
from tests.helpers.kernel_cells import VARIANTS, T, arguments, assert_same, made, needs_compiler

pytestmark = needs_compiler


def everything(
    cell: Cell,
    batch_size: int,
    *,
    kernel: bool,
    lengths_B: Array | None,
    remat_steps: int = 0,
    cut_steps: int = 0,
) -> Any:
    """The compiled function of parameters, inputs, state and slots: a loss of all that comes
    out, its gradients, and what comes out."""

    def loss(params: Params, x: Array, state: State, slot: State) -> tuple[Array, Any]:
        (probe,) = probes(tap, [slot])
        run = unroll(
            cell, params, x, lengths_B=lengths_B, state=state, probe=probe,
            time_loop=TimeLoop(kernel=kernel, remat_steps=remat_steps, cut_steps=cut_steps),
        )  # fmt: skip
        weights = jnp.sin(jnp.arange(run.outputs_TxBxH.size, dtype=x.dtype))
        total = jnp.sum(weights.reshape(run.outputs_TxBxH.shape) * run.outputs_TxBxH)
        total += sum(jnp.sum(jnp.sin(leaf)) for leaf in run.final_state.values())
        return total + jnp.sum(run.final_BxH**2), run

    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2, 3), has_aux=True))


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize(
    ("hidden_size", "batch_size", "padded", "remat_steps", "cut_steps"),
    [
        (5, 1, False, 0, 0),
        (70, 37, True, 0, 0),
        (5, T, True, 2, 0),
        (21, T, True, 0, 4),
        (200, 9, True, 0, 0),
    ],
)
def test_the_kernel_is_the_scan(
    name: str,
    hidden_size: int,
    batch_size: int,
    padded: bool,
    remat_steps: int,
    cut_steps: int,
    x64: None,
) -> None:
    """Hidden sizes that fill no vector, batches of one block and of several; in segments, which
    T is no multiple of, and within and before which sequences end; with a gradient that is cut;
    with units divided over threads, which few examples do."""
    cell, params = made(name, hidden_size)
    lengths = jnp.arange(batch_size, dtype=jnp.int32) % T + 1 if padded else None
    given = arguments(cell, params, batch_size)
    ways = partial(everything, cell, batch_size, lengths_B=lengths, cut_steps=cut_steps)
    by_kernel, by_scan = ways(kernel=True, remat_steps=remat_steps), ways(kernel=False)
    assert "rnnexp_" in by_kernel.lower(*given).as_text()
    assert "rnnexp_" not in by_scan.lower(*given).as_text()
    assert_same(by_kernel(*given), by_scan(*given), 1e-12)


@pytest.mark.parametrize("name", VARIANTS)
def test_float32_is_as_close_to_float64_as_the_scan(name: str) -> None:
    """At saturated and tiny pre-activations too, where approximations of tanh are weakest."""
    cell, params = made(name, 24)
    params = {**params, "w_x": 3 * params["w_x"]}
    given = arguments(cell, params, 20)
    results = [
        everything(cell, 20, kernel=kernel, lengths_B=None)(*given) for kernel in (True, False)
    ]
    with jax.enable_x64(True):
        exact_given = jax.tree.map(lambda a: jnp.asarray(np.asarray(a), jnp.float64), given)
        exact = everything(cell, 20, kernel=False, lengths_B=None)(*exact_given)
    errors = [
        max(
            float(np.max(np.abs(np.asarray(a) - np.asarray(b))) / np.max(np.abs(np.asarray(b))))
            for a, b in zip(jax.tree.leaves(result), jax.tree.leaves(exact), strict=True)
        )
        for result in results
    ]
    assert errors[0] < max(4 * errors[1], 4e-6)


def test_the_adjoint_of_one_leaf_alone() -> None:
    cell, params = made("lstm", 5)
    _, x, start, slots = arguments(cell, params, 3)

    def adjoint(leaves: list[str], kernel: bool) -> State:
        def loss(slot: State) -> Array:
            (probe,) = probes(tap, [slot])
            run = unroll(
                cell, params, x, state=start, probe=probe, time_loop=TimeLoop(kernel=kernel)
            )
            return jnp.sum(jnp.sin(run.outputs_TxBxH))

        grads: State = jax.grad(loss)({leaf: slots[leaf] for leaf in leaves})
        return grads

    both = adjoint(["h", "c"], True)
    for leaf in ("h", "c"):
        alone = adjoint([leaf], True)
        assert set(alone) == {leaf}
        np.testing.assert_array_equal(alone[leaf], both[leaf])
        np.testing.assert_allclose(alone[leaf], adjoint([leaf], False)[leaf], atol=1e-6)


@pytest.mark.as_users
@pytest.mark.parametrize("name", ["lstm", "gru", "gru_before", "tanh"])
@pytest.mark.parametrize(("hidden_size", "batch_size"), [(16, 64), (200, 12), (768, 20)])
def test_threads_and_side_by_side_change_no_bit(
    name: str, hidden_size: int, batch_size: int
) -> None:
    """Threads that divide the batch, and those that divide the units of few examples, or of large
    weights (of which the Elman cell has none here)."""
    from rnnexp.scan.kernels.cpu import recurrence

    cell, params = made(name, hidden_size)
    _, x, start, slot = arguments(cell, params, batch_size)

    def grads(params: Params, x: Array, threads: int) -> Any:
        def loss(params: Params, slot: State) -> Array:
            h, _ = recurrence(
                name, cell.kernel_weights(params), x, start, slots=slot, threads=threads
            )
            return jnp.sum(jnp.sin(h))

        return jax.grad(loss, argnums=(0, 1))(params, slot)

    one = jax.jit(grads, static_argnums=2)(params, x, 1)
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf, 0.5 * leaf]), (params, x))
    beside = jax.jit(jax.vmap(lambda p, x: grads(p, x, 1)))(*stacked)
    for threads in (2, 3):
        more = jax.jit(grads, static_argnums=2)(params, x, threads)
        jax.tree.map(np.testing.assert_array_equal, one, more)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[0]), one, beside)


def test_a_divergence_stays_one() -> None:
    cell, params = made("lstm", 8)
    given = arguments(cell, {**params, "b": params["b"].at[0].set(jnp.nan)}, 20)
    value, grads = everything(cell, 20, kernel=True, lengths_B=None)(*given)
    assert not np.isfinite(value[0])
    assert not np.isfinite(grads[0]["w_h"]).all()


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize(
    ("size", "hidden_size", "batch_size"), [(1.0, 21, 37), (1e-200, 21, 37), (1.0, 200, 9)]
)
def test_norms_of_adjoints_come_from_the_kernel(
    name: str, size: float, hidden_size: int, batch_size: int, x64: None
) -> None:
    """Of those whose square underflows, too; they are 0 after the end of a sequence. Where threads
    divide the units, a norm is made of what several of them made."""
    cell, params = made(name, hidden_size)
    _, x, start, whole = arguments(cell, params, batch_size)
    lengths = jnp.arange(batch_size, dtype=jnp.int32) % T + 1
    slots = {leaf: jnp.zeros(slot.shape[:2]) for leaf, slot in whole.items()}

    def loss(kernel: bool, slots: State) -> Array:
        (probe,) = probes(norm_tap, [slots])
        run = unroll(
            cell,
            params,
            x,
            lengths_B=lengths,
            state=start,
            probe=probe,
            time_loop=TimeLoop(kernel=kernel),
        )
        return size * jnp.sum(jnp.sin(run.outputs_TxBxH))

    by_kernel, by_scan = (jax.jit(jax.grad(partial(loss, kernel))) for kernel in (True, False))
    assert "rnnexp_" in by_kernel.lower(slots).as_text()
    norms = by_kernel(slots)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-12), norms, by_scan(slots))
    assert float(jnp.min(norms["h"][0])) > 0
    assert np.all(np.asarray(norms["h"])[np.arange(T)[:, None] >= np.asarray(lengths)] == 0)


def test_norms_in_float32_neither_underflow_nor_hide_what_is_not_finite() -> None:
    cell, params = made("tanh", 24)
    _, x, start, whole = arguments(cell, params, 3)

    def norms(size: float) -> Array:
        def loss(slots: State) -> Array:
            (probe,) = probes(norm_tap, [slots])
            run = unroll(cell, params, x, state=start, probe=probe, time_loop=TimeLoop(kernel=True))
            return size * jnp.sum(run.outputs_TxBxH[-1])

        grads: State = jax.grad(loss)({"h": jnp.zeros(whole["h"].shape[:2])})
        return grads["h"]

    np.testing.assert_allclose(norms(1e-30)[-1], 1e-30 * np.sqrt(24), rtol=1e-6)
    np.testing.assert_allclose(norms(1e30)[-1], 1e30 * np.sqrt(24), rtol=1e-6)
    assert bool(jnp.all(jnp.isinf(norms(jnp.inf)[-1])))
    assert bool(jnp.all(jnp.isnan(norms(jnp.nan))))


@pytest.mark.parametrize("march", ["x86-64-v3", "x86-64"])
@pytest.mark.slow
def test_other_instruction_sets_compute_the_same(march: str) -> None:
    import os
    import platform
    import subprocess
    import sys

    if platform.machine() != "x86_64":
        pytest.skip("instruction sets of x86")
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", __file__, "-k", "scan or float32"]
    done = subprocess.run(
        command, env=os.environ | {build.MARCH: march}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
