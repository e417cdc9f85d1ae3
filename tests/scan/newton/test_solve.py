"""Newton's iteration: how many times, in which precision, and what if it does not settle."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array
from rnnexp.gradflow.adjoints import norm_tap, perturb, probes, tap
from rnnexp.models.noise import zoneout
from rnnexp.scan.newton import solve
from rnnexp.scan.newton.steps import solve_adjoint
from rnnexp.scan.unroll import TimeLoop, unroll
from tests.helpers.newton_runs import DIAGONAL, FULL, SCAN, all_ways, arguments, assert_same, states
from tests.helpers.variants import build

I, H = 3, 6  # noqa: E741


@pytest.mark.parametrize(
    ("probe", "leaves", "time_loop"), [(tap, ("c", "h"), FULL), (perturb, ("c",), DIAGONAL)]
)
def test_probes_of_both_kinds_have_the_adjoints(
    probe: Any, leaves: tuple[str, ...], time_loop: TimeLoop, x64: None
) -> None:
    cell = build(("lstm", {}), I, H)
    params, x, start, slots = arguments(cell, 8, 2)
    given = params, x, start, {leaf: slots[leaf] for leaf in leaves}
    scan, got = all_ways(cell, SCAN, time_loop, probe=probe)(*given)
    assert tuple(got[1][3]) == leaves
    assert_same(got, scan, 1e-9)


def test_a_perturbation_that_is_not_zero_moves_the_states(x64: None) -> None:
    cell = build(("gru", {}), I, H)
    params, x, start, slots = arguments(cell, 8, 2)
    pushed = {"h": slots["h"].at[2].set(0.5)}
    scan, full = (states(cell, path)(params, x, start, pushed) for path in (SCAN, FULL))
    np.testing.assert_allclose(full.outputs_TxBxH, scan.outputs_TxBxH, atol=1e-12)
    plain = states(cell, FULL)(params, x, start, slots)
    assert float(jnp.max(jnp.abs(plain.outputs_TxBxH - full.outputs_TxBxH))) > 0.1


def test_float32_over_long_sequences() -> None:
    cell = build(("gru", {}), I, 8)
    given = arguments(cell, 128, 3)
    scan, full, diagonal = all_ways(cell, SCAN, FULL, DIAGONAL)(*given)
    for got, tolerance in ((full, 1e-4), (diagonal, 1e-3)):
        assert bool(got[0][1].newton_stats.converged)
        assert_same(got, scan, tolerance)
    assert int(full[0][1].newton_stats.iterations) < 12
    assert int(full[0][1].newton_stats.iterations) < int(diagonal[0][1].newton_stats.iterations)


def test_a_linear_cell_takes_one_iteration_and_one_to_confirm(x64: None) -> None:
    dense = build(("rnn", {"activation": "linear", "recurrent_scale": 0.9}), I, H)
    diagonal = build(("min_gru", {}), I, H)
    for cell, path in ((dense, FULL), (diagonal, DIAGONAL)):
        run = states(cell, path)(*arguments(cell, 8, 2))
        assert int(run.newton_stats.iterations) == 2
        assert bool(run.newton_stats.converged)


def test_a_chaotic_network_is_scanned_and_that_is_said(x64: None) -> None:
    cell = build(("rnn", {"recurrent_scale": 3.0}), I, 16)
    given = arguments(cell, 144, 2)
    scan, full = all_ways(cell, SCAN, FULL)(*given)
    diagonal = states(cell, DIAGONAL)(*given)
    for run in (full[0][1], diagonal):
        assert not bool(run.newton_stats.converged)
        np.testing.assert_allclose(run.outputs_TxBxH, scan[0][1].outputs_TxBxH, atol=1e-12)
    assert_same(full, scan, 1e-7)  # chaos makes rounding larger


def test_what_is_not_finite_stays_so() -> None:
    cell = build(("gru", {}), I, H)
    params, *given = arguments(cell, 8, 2)
    params = {**params, "b": params["b"].at[0].set(jnp.nan)}
    run = states(cell, FULL)(params, *given)
    assert not np.isfinite(run.outputs_TxBxH[1:]).any()
    assert int(run.newton_stats.iterations) == 1


def test_products_that_overflow_are_scanned_backwards(x64: None) -> None:
    """Growth along some directions past the range of numbers, and a loss that has no part in it."""
    slopes = jnp.stack([jnp.diag(jnp.array([1e200, 0.5]))] * 4)[:, None]
    direct = jnp.zeros((4, 1, 2)).at[-1, 0, 1].set(1.0)
    assert not np.isfinite(solve_adjoint(slopes, direct)).all()
    cell = build(("rnn", {"activation": "linear"}), 1, 2)
    params = {"w_x": jnp.zeros((1, 2)), "w_h": slopes[0, 0], "b": jnp.zeros(2)}
    x, start = jnp.zeros((4, 1, 1)), {"h": jnp.zeros((1, 2))}

    def last(start: Any, time_loop: TimeLoop) -> Array:
        return unroll(cell, params, x, state=start, time_loop=time_loop).final_BxH[0, 1]

    for path in (SCAN, FULL):
        grad = jax.jit(jax.grad(last), static_argnums=1)(start, path)["h"]
        np.testing.assert_allclose(grad, [[0.0, 0.0625]])


@pytest.mark.parametrize("what", ["hooks", "cut", "probe"])
def test_what_needs_single_steps_is_refused(what: str) -> None:
    cell = build(("gru", {}), I, H)
    params, x, start, _ = arguments(cell, 8, 2)
    path = TimeLoop(newton="full", cut_steps=3 if what == "cut" else 0)
    hooks = (zoneout(cell, 0.5, jax.random.key(0)),) if what == "hooks" else ()
    probed = probes(norm_tap, [{"h": jnp.zeros((8, 2))}])[0] if what == "probe" else None
    with pytest.raises(UsageError, match="Newton path takes no"):
        unroll(cell, params, x, state=start, time_loop=path, hooks=hooks, probe=probed)


def test_one_step_is_taken_as_it_is() -> None:
    cell = build(("gru", {}), I, H)
    params, x, start, _ = arguments(cell, 1, 2)
    run = unroll(cell, params, x, state=start, time_loop=FULL)
    assert run.newton_stats is None
    plain = unroll(cell, params, x, state=start)
    np.testing.assert_array_equal(run.outputs_TxBxH, plain.outputs_TxBxH)


def test_the_limit_of_iterations_is_kept(monkeypatch: pytest.MonkeyPatch, x64: None) -> None:
    monkeypatch.setitem(solve.MOST_ITERATIONS, "full", 2)
    cell = build(("gru", {}), I, H)
    scan, full = (states(cell, path)(*arguments(cell, 8, 2)) for path in (SCAN, FULL))
    assert (int(full.newton_stats.iterations), bool(full.newton_stats.converged)) == (2, False)
    np.testing.assert_allclose(full.outputs_TxBxH, scan.outputs_TxBxH, atol=1e-12)


def test_lanes_side_by_side_do_not_meet(x64: None) -> None:
    """One settles while the other has to be scanned."""
    cell = build(("rnn", {}), I, 16)
    params, *given = arguments(cell, 64, 2)
    wild = {**params, "w_h": 3.0 * params["w_h"]}
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), params, wild)
    beside = jax.jit(jax.vmap(states(cell, FULL), (0, None, None, None)))(both, *given)
    np.testing.assert_array_equal(beside.newton_stats.converged, [True, False])
    for lane, weights in enumerate((params, wild)):
        scan = states(cell, SCAN)(weights, *given)
        np.testing.assert_allclose(beside.outputs_TxBxH[lane], scan.outputs_TxBxH, atol=1e-9)
