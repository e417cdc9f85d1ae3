"""The fused kernels of graphics processors, run by Pallas's interpreter: they are the scan."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rnnexp.train.choose_kernel import fused_precision, obstacle, use_kernel

from rnnexp.cells.base import Cell
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Params, State
from rnnexp.gradflow.adjoints import probes, tap, zero_slot
from rnnexp.scan.kernels.build import CELLS as OF_PROCESSORS
from rnnexp.scan.kernels.gpu import problem as tried
from rnnexp.scan.kernels.gpu import recurrence as fused
from rnnexp.scan.kernels.gpu.cells import CELLS
from rnnexp.scan.kernels.gpu.layout import PRECISIONS, layout, too_wide
from rnnexp.scan.kernels.gpu.recurrence import recurrence
from rnnexp.scan.unroll import Path, initial_state, unroll
from tests.helpers.variants import build as build_cell
from tests.scan.test_kernels import VARIANTS, assert_same, config_with

T, I = 4, 3  # noqa: E741
SCAN = Path()
Given = tuple[Params, Array, State, State]


def made(name: str, hidden_size: int, batch_size: int) -> tuple[Cell, Given]:
    """A cell; parameters none of which is zero, inputs, a state, and zeros for the adjoints."""
    cell = build_cell(VARIANTS[name], I, hidden_size)
    params = cell.init(jax.random.key(0))
    keys = iter(jax.random.split(jax.random.key(1), 8))

    def shaken(tree: Any) -> Any:
        return {k: v + 0.3 * jax.random.normal(next(keys), v.shape) for k, v in tree.items()}

    x = jax.random.normal(next(keys), (T, batch_size, I))
    start = shaken(initial_state(cell, params, batch_size))
    return cell, (shaken(params), x, start, zero_slot(cell, params, T, batch_size))


def everything(cell: Cell, how: Path, lengths_B: Array | None, *given: Any) -> Any:
    """A loss of all that comes out, what comes out, and the derivatives by all that is given."""

    def loss(params: Params, x: Array, start: State, slots: State) -> tuple[Array, Any]:
        (probe,) = probes(tap, [slots])
        run = unroll(cell, params, x, lengths_B=lengths_B, state=start, probe=probe, path=how)
        weights = jnp.sin(jnp.arange(run.outputs_TxBxH.size, dtype=x.dtype))
        total = jnp.sum(weights.reshape(run.outputs_TxBxH.shape) * run.outputs_TxBxH)
        total += sum(jnp.sum(jnp.sin(leaf)) for leaf in run.final_state.values())
        return total, (run.outputs_TxBxH, run.final_state)

    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2, 3), has_aux=True))(*given)


@pytest.mark.parametrize(
    ("name", "hidden_size", "batch_size", "precision", "held"),
    [
        ("lstm", 46, 5, "float32", 1),
        ("gru", 20, 17, "tf32", 3),
        ("relu", 70, 2, "float32", 1),
    ],
)
def test_the_fused_kernel_is_the_scan(
    name: str,
    hidden_size: int,
    batch_size: int,
    precision: str,
    held: int,
    monkeypatch: pytest.MonkeyPatch,
    x64: None,
) -> None:
    """Values, gradients, adjoints of h and c; sizes to be padded; sequences that end early;
    weights that are held and weights that are read again."""
    cell, given = made(name, hidden_size, batch_size)
    shape = layout(name, hidden_size, precision)._replace(held=held)
    monkeypatch.setattr(fused, "layout", lambda *_: shape)
    lengths = jnp.arange(batch_size, dtype=jnp.int32) % T + 1
    got = everything(cell, Path(kernel=True, fused=precision), lengths, *given)
    assert_same(got, everything(cell, SCAN, lengths, *given), 1e-12)


def test_bf16_makes_the_error_of_its_seven_bits() -> None:
    cell, (params, x, start, _) = made("tanh", 5, 4)

    def outputs(how: Path) -> Array:
        run = jax.jit(lambda: unroll(cell, params, x, state=start, path=how).outputs_TxBxH)
        return jnp.asarray(run())

    error = jnp.max(jnp.abs(outputs(Path(kernel=True, fused="bf16")) - outputs(SCAN)))
    assert 1e-4 < float(error) < 2e-2


def test_lanes_side_by_side_change_nothing() -> None:
    _, (params, x, start, slots) = made("tanh", 5, 3)

    def grads(params: Params, x: Array) -> Any:
        def loss(params: Params, slots: State) -> Array:
            h, _ = recurrence("tanh", params, x, start, slots=slots)
            return jnp.sum(jnp.sin(h))

        return jax.grad(loss, argnums=(0, 1))(params, slots)

    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf, 0.5 * leaf]), (params, x))
    beside = jax.jit(jax.vmap(grads))(*stacked)
    assert_same(jax.tree.map(lambda leaf: leaf[0], beside), jax.jit(grads)(params, x), 1e-6)
    assert not np.allclose(beside[0]["w_h"][0], beside[0]["w_h"][1], rtol=0.1)


@pytest.mark.parametrize("name", CELLS)
def test_slopes_are_the_derivatives_of_a_step(name: str, x64: None) -> None:
    cell = CELLS[name]
    random = np.random.default_rng(0)
    z, x, (h, c, b_hn, dh, dc) = (
        [jnp.asarray(random.standard_normal((2, 3))) for _ in range(count)]
        for count in (cell.gates, len(cell.apart), 5)
    )
    h_new, c_new, saved = cell.forward(z, x, h, c, b_hn)
    slopes = cell.backward(saved, c_new, c, h_new, h, dh, dc)
    pull = jax.vjp(lambda *given: cell.forward(*given)[:2], z, x, h, c, b_hn)[1]
    of_z, of_x, of_h, of_c, of_b = pull((dh, dc))
    wanted = [of_x[cell.apart.index(g)] if g in cell.apart else of_z[g] for g in range(cell.gates)]
    assert_same([slopes.z[k] for k in cell.of_x], wanted, 1e-12)
    assert_same([slopes.z[k] for k in cell.of_h], of_z, 1e-12)
    assert_same([slopes.h, slopes.c], [of_h, of_c], 1e-12)
    if name == "gru":
        assert_same(slopes.z[-1], of_b, 1e-12)


@pytest.mark.parametrize("cell", ["lstm", "gru", "tanh"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_kernels_can_be_lowered_for_cuda(cell: str, precision: str) -> None:
    """As far as this goes without such a device: into Triton's language, both ways."""
    compute = jax.jit(partial(tried._everything, cell, precision))
    lowered = compute.trace(*tried.shapes(cell, 20, 33)).lower(lowering_platforms=("cuda",))
    assert lowered.as_text().count("xla.gpu.triton") == 2


def test_what_is_held_is_what_the_layout_says() -> None:
    assert set(CELLS) == set(OF_PROCESSORS)
    held = {
        (cell, size, precision): layout(cell, size, precision).held
        for cell in ("lstm", "gru", "tanh")
        for size in (46, 128)
        for precision in PRECISIONS
    }
    assert [key for key, gates in held.items() if gates < CELLS[key[0]].gates] == [
        ("lstm", 128, "float32"),
        ("lstm", 128, "tf32"),
    ]
    assert not any(too_wide(cell, 128, "float32") for cell in CELLS)
    assert too_wide("lstm", 129, "float32")
    assert too_wide("lstm", 256, "bf16")
    assert not too_wide("tanh", 256, "bf16")
    for cell in CELLS:
        for precision in PRECISIONS:
            shape = layout(cell, 46, precision)
            assert shape.padded == 64
            assert shape.rows == (4 if precision == "float32" else 16)


def test_a_processor_has_no_other_precision() -> None:
    lstm = build_cell(("lstm", {}), 2, 4)
    assert fused_precision(config_with()) == ""
    with pytest.raises(UsageError, match=r"config\.model\.precision 'tf32' is for graphics"):
        use_kernel(config_with(precision="tf32"), lstm)
    with pytest.raises(UsageError, match=r"Did you mean 'bf16'"):
        use_kernel(config_with(precision="bf17"), lstm)


def test_the_choice_on_a_graphics_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    compiled: list[tuple[str, int, str]] = []
    monkeypatch.setattr(tried, "_compile", lambda *given: compiled.append(given))
    tried.problem.cache_clear()
    lstm = build_cell(("lstm", {}), 2, 46)
    config = config_with(precision="bf16")
    assert use_kernel(config, lstm)
    assert compiled == [("lstm", 46, "bf16")]
    assert fused_precision(config) == "bf16"
    wide = build_cell(("lstm", {}), 2, 300)
    assert not use_kernel(config_with(), wide)
    with pytest.raises(UsageError, match=r"compiled.*300 hidden units \(padded to 512\)"):
        use_kernel(config_with(kernel="compiled"), wide)
    with pytest.raises(UsageError, match=r"'bf16' is for the fused kernels, but .*zoneout"):
        use_kernel(config_with(precision="bf16", zoneout=0.1), lstm)
    with pytest.raises(UsageError, match=r"'bf16' is for the fused kernels, but .*'scan'"):
        use_kernel(config_with(precision="bf16", kernel="scan"), lstm)


def test_a_device_that_cannot_compile_it_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as this one: Pallas compiles for no processor."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    tried.problem.cache_clear()
    text = obstacle(config_with(), build_cell(("rnn", {}), 2, 16))
    tried.problem.cache_clear()
    assert text.startswith("its kernel cannot be compiled here: ValueError: Only interpret mode")
