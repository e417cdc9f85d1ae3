"""The compiled kernels: values, gradients and adjoints are those of the scan."""

import dataclasses
import logging
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rnnexp.train.choose_kernel import obstacle, use_kernel

from rnnexp.cells.base import Cell, hidden_output
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Params, State
from rnnexp.gradflow.adjoints import probes, tap, zero_slot
from rnnexp.scan.kernels import build
from rnnexp.scan.unroll import Path, initial_state, unroll
from tests.helpers.variants import VARIANTS as TABLE
from tests.helpers.variants import build as build_cell
from tests.helpers.variants import variant_id

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "lstm": ("lstm", {}),
    "gru": ("gru", {}),
    "tanh": ("rnn", {"recurrent_scale": 0.9}),
    "relu": ("rnn", {"activation": "relu", "recurrent_scale": 0.9}),
    "linear": ("rnn", {"activation": "linear", "recurrent_scale": 0.9}),
}
T, I = 9, 3  # noqa: E741

pytestmark = pytest.mark.skipif(
    build.problem("lstm", "float32") != "", reason="no C++ compiler to build the kernels"
)


def made(name: str, hidden_size: int) -> tuple[Cell, Params]:
    """A cell and parameters none of which is zero."""
    cell = build_cell(VARIANTS[name], I, hidden_size)
    noise = jax.random.split(jax.random.key(5), 8)
    params = cell.init(jax.random.key(0))
    return cell, {
        k: v + 0.1 * jax.random.normal(key, v.shape)
        for key, (k, v) in zip(noise, params.items(), strict=False)
    }


def everything(
    cell: Cell, batch_size: int, *, kernel: bool, lengths_B: Array | None, remat_steps: int = 0
) -> Any:
    """The compiled function of parameters, inputs, state and slots: a loss of all that comes
    out, its gradients, and what comes out."""

    def loss(params: Params, x: Array, state: State, slot: State) -> tuple[Array, Any]:
        (probe,) = probes(tap, [slot])
        run = unroll(
            cell, params, x, lengths_B=lengths_B, state=state, probe=probe,
            path=Path(kernel=kernel, remat_steps=remat_steps),
        )  # fmt: skip
        weights = jnp.sin(jnp.arange(run.outputs_TxBxH.size, dtype=x.dtype))
        total = jnp.sum(weights.reshape(run.outputs_TxBxH.shape) * run.outputs_TxBxH)
        total += sum(jnp.sum(jnp.sin(leaf)) for leaf in run.final_state.values())
        return total + jnp.sum(run.final_BxH**2), run

    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2, 3), has_aux=True))


def arguments(cell: Cell, params: Params, batch_size: int) -> tuple[Params, Array, State, State]:
    x = jax.random.normal(jax.random.key(1), (T, batch_size, I))
    start = {
        k: jax.random.normal(jax.random.key(2), v.shape)
        for k, v in initial_state(cell, params, batch_size).items()
    }
    return params, x, start, zero_slot(cell, params, T, batch_size)


def assert_same(got: Any, wanted: Any, tolerance: float) -> None:
    def compare(a: Array, b: Array) -> None:
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * float(jnp.max(jnp.abs(b))))

    jax.tree.map(compare, got, wanted)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize(
    ("hidden_size", "batch_size", "padded", "remat_steps"),
    [(5, 1, False, 0), (70, 37, True, 0), (5, T, True, 2)],
)
def test_the_kernel_is_the_scan(
    name: str, hidden_size: int, batch_size: int, padded: bool, remat_steps: int, x64: None
) -> None:
    """Hidden sizes that fill no vector, batches of one block and of several; in segments, which
    T is no multiple of, and within and before which sequences end."""
    cell, params = made(name, hidden_size)
    lengths = jnp.arange(batch_size, dtype=jnp.int32) % T + 1 if padded else None
    given = arguments(cell, params, batch_size)
    ways = partial(everything, cell, batch_size, lengths_B=lengths)
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
            run = unroll(cell, params, x, state=start, probe=probe, path=Path(kernel=kernel))
            return jnp.sum(jnp.sin(run.outputs_TxBxH))

        grads: State = jax.grad(loss)({leaf: slots[leaf] for leaf in leaves})
        return grads

    both = adjoint(["h", "c"], True)
    for leaf in ("h", "c"):
        alone = adjoint([leaf], True)
        assert set(alone) == {leaf}
        np.testing.assert_array_equal(alone[leaf], both[leaf])
        np.testing.assert_allclose(alone[leaf], adjoint([leaf], False)[leaf], atol=1e-6)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("padded", [False, True])
def test_where_only_the_last_state_is_read_no_zeros_are_handed_over(
    name: str, padded: bool, x64: None
) -> None:
    cell, params = made(name, 21)
    _, x, start, slots = arguments(cell, params, 37)
    lengths = jnp.arange(37, dtype=jnp.int32) % T + 1 if padded else None

    def loss(kernel: bool, every: bool, params: Params, slots: State) -> Array:
        (probe,) = probes(tap, [slots])
        run = unroll(
            cell, params, x, lengths_B=lengths, state=start, probe=probe, path=Path(kernel=kernel)
        )
        total = jnp.sum(run.final_BxH**3) + sum(jnp.sum(leaf) for leaf in run.final_state.values())
        return total + 0.0 * jnp.sum(run.outputs_TxBxH) if every else total

    def compiled(kernel: bool, every: bool = False) -> Any:
        return jax.jit(jax.grad(partial(loss, kernel, every), argnums=(0, 1)))

    def whole_operands(function: Any) -> int:
        """How many arrays (T, B, H) the call of the backward pass is given."""
        lines = function.lower(params, slots).as_text().splitlines()
        (call,) = (line for line in lines if "custom_call" in line and "norms =" in line)
        operands = call[call.rindex(" : (") : call.rindex("->")]
        return int(operands.count(f"tensor<{T}x37x21xf64>"))

    assert_same(compiled(True)(params, slots), compiled(False)(params, slots), 1e-12)
    assert (whole_operands(compiled(True)), whole_operands(compiled(True, every=True))) == (1, 2)


@pytest.mark.parametrize("variant", TABLE, ids=variant_id)
def test_every_kernel_of_the_table_can_be_built(variant: Any) -> None:
    cell = build_cell(variant, I, 4)
    if cell.kernel is not None:
        assert cell.kernel in VARIANTS
        assert cell.output is hidden_output
        assert set(cell.init(jax.random.key(0))) <= {"w_x", "w_h", "b", "b_hn"}


@pytest.mark.parametrize("name", ["lstm", "gru", "tanh"])
def test_threads_and_side_by_side_change_no_bit(name: str) -> None:
    from rnnexp.scan.kernels.cpu import recurrence

    cell, params = made(name, 16)
    _, x, start, slot = arguments(cell, params, 64)

    def grads(params: Params, x: Array, threads: int) -> Any:
        def loss(params: Params, slot: State) -> Array:
            h, _ = recurrence(name, params, x, start, slots=slot, threads=threads)
            return jnp.sum(jnp.sin(h))

        return jax.grad(loss, argnums=(0, 1))(params, slot)

    one = jax.jit(grads, static_argnums=2)(params, x, 1)
    two = jax.jit(grads, static_argnums=2)(params, x, 2)
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf, 0.5 * leaf]), (params, x))
    beside = jax.jit(jax.vmap(lambda p, x: grads(p, x, 1)))(*stacked)
    jax.tree.map(np.testing.assert_array_equal, one, two)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[0]), one, beside)


def test_a_divergence_stays_one() -> None:
    cell, params = made("lstm", 8)
    given = arguments(cell, {**params, "b": params["b"].at[0].set(jnp.nan)}, 20)
    value, grads = everything(cell, 20, kernel=True, lengths_B=None)(*given)
    assert not np.isfinite(value[0])
    assert not np.isfinite(grads[0]["w_h"]).all()


def config_with(**model: Any) -> Any:
    import rnnexp

    config = rnnexp.experiment("adding/lstm")
    config.model.update(model)
    return rnnexp.finish(config)


def test_the_choice_follows_the_configuration() -> None:
    lstm = build_cell(("lstm", {}), 2, 4)
    assert use_kernel(config_with(), lstm)
    assert not use_kernel(config_with(kernel="scan"), lstm)
    assert not use_kernel(config_with(zoneout=0.1), lstm)
    assert not use_kernel(config_with(), build_cell(("lstm", {"peepholes": True}), 2, 4))
    with pytest.raises(UsageError, match=r"compiled.*config\.model\.cut_steps needs single steps"):
        use_kernel(config_with(kernel="compiled", cut_steps=5), lstm)
    with pytest.raises(UsageError, match=r"Did you mean 'scan'"):
        use_kernel(config_with(kernel="scann"), lstm)


def test_wide_cells_are_scanned_where_the_kernel_brings_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wide, widest = (build_cell(("lstm", {}), 256, size) for size in (512, 1024))
    for threads, chosen in ((2, True), (3, False)):
        monkeypatch.setattr("rnnexp.train.choose_kernel.threads_of_a_device", lambda n=threads: n)
        assert use_kernel(config_with(), wide) == chosen
        assert not use_kernel(config_with(), widest)
        assert use_kernel(config_with(kernel="compiled"), widest)


def test_without_a_compiler_the_scan_is_taken_and_a_line_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    for cached in (build.load, build.problem):
        cached.cache_clear()
    lstm = dataclasses.replace(build_cell(("lstm", {}), 2, 4), name="lonely")
    with caplog.at_level(logging.INFO, logger="rnnexp"):
        assert not use_kernel(config_with(), lstm)
    build.problem.cache_clear()
    assert "no C++ compiler (no-such-compiler) was found" in caplog.text
    assert "lonely is scanned step by step" in caplog.text


def test_a_compiler_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv(build.MARCH, "no-such-processor")
    for cached in (build.load, build.problem):
        cached.cache_clear()
    text = obstacle(config_with(), build_cell(("lstm", {}), 2, 4))
    build.problem.cache_clear()
    assert "no-such-processor" in text
    assert not list((tmp_path / "rnnexp" / "kernels").glob("*.so"))


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
