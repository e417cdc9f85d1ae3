"""Ways through time: truncated, rematerialised, associative."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.base import Cell
from rnnexp.core.errors import UsageError
from rnnexp.core.tree import tree_bytes
from rnnexp.core.types import Array, State, Tree
from rnnexp.gradflow.adjoints import perturb, tap, zero_slot
from rnnexp.models.noise import zoneout
from rnnexp.scan.kernels.build import problem as build_problem
from rnnexp.scan.remat import segment_length
from rnnexp.scan.unroll import Path, Probe, unroll
from rnnexp.train.compiled import initial_state
from rnnexp.train.plan import make_plan
from rnnexp.train.step import train_step
from tests.helpers.small_run import small_config
from tests.helpers.structured_models import KEY, LENGTHS, B, H, I, T, inputs, model_of, moves
from tests.helpers.variants import build


@pytest.mark.parametrize("cut", [2, 3])
def test_truncation_cuts_the_gradient_and_nothing_else(cut: int, x64: None) -> None:
    full, cut_model = model_of(), model_of(path=Path(cut_steps=cut))
    np.testing.assert_array_equal(full(inputs()).outputs, cut_model(inputs()).outputs)
    t = 5
    reached = jnp.sum(moves(cut_model, lambda got: jnp.sum(got.outputs[t])), 1) > 0
    first = t // cut * cut
    np.testing.assert_array_equal(reached, (np.arange(T) >= first) & (np.arange(T) <= t))


@pytest.mark.parametrize(
    "path", [Path(cut_steps=T), Path(cut_steps=T + 5), Path(remat_steps=3), Path(remat_steps=7)]
)
@pytest.mark.parametrize("lengths", [pytest.param(None, marks=pytest.mark.slow), LENGTHS])
def test_other_ways_through_time_give_the_same(
    path: Path, lengths: tuple[int, ...] | None, x64: None
) -> None:
    ends = None if lengths is None else jnp.array(lengths)
    same_everywhere(build(("lstm", {}), I, H), path, ends, tap)


@pytest.mark.parametrize("name", ["lru", "min_gru", "min_lstm"])
@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_the_associative_path_gives_the_same(
    name: str, lengths: tuple[int, ...] | None, x64: None
) -> None:
    ends = None if lengths is None else jnp.array(lengths)
    same_everywhere(build((name, {}), I, H), Path(associative=True), ends, perturb)


def same_everywhere(cell: Cell, path: Path, lengths: Array | None, probe: Any) -> None:
    """Outputs, final states, gradients and adjoints are those of the plain scan."""
    params = jax.jit(cell.init)(jax.random.key(0))
    weights = jax.random.normal(jax.random.key(2), (T, B, cell.output_size))

    def run(params: Tree, slot: State, path: Path, probe: Any) -> tuple[Array, Any]:
        sits = Probe(probe, slot, additive=probe is perturb)
        got = unroll(cell, params, inputs(), lengths_B=lengths, probe=sits, path=path)
        return jnp.sum(weights * jnp.sin(got.outputs_TxBxH)) + jnp.sum(got.final_BxH), got

    slot = zero_slot(cell, params, T, B)
    differentiated = jax.value_and_grad(run, argnums=(0, 1), has_aux=True)
    grad = jax.jit(differentiated, static_argnums=(2, 3))
    plain = grad(params, slot, Path(), tap)
    other = grad(params, slot, path, probe)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), plain, other)


def step_bytes(name: str, path: Path) -> float:
    """What value and gradient of a cell of 64 units take at T = 1024, B = 8, in states; the
    gradient of the weights is left out."""
    cell = build((name, {}), I, 64)
    params, x = cell.init(jax.random.key(0)), jnp.zeros((1024, 8, I))
    loss = lambda p: jnp.sum(unroll(cell, p, x, path=path).final_BxH)  # noqa: E731
    analysis = jax.jit(jax.grad(loss)).lower(params).compile().memory_analysis()
    assert analysis is not None
    taken = analysis.temp_size_in_bytes - tree_bytes(params)
    return float(taken / (8 * tree_bytes(cell.init_state(params))))


def test_rematerialisation_needs_less_memory() -> None:
    assert step_bytes("lstm", Path(remat_steps=32)) < step_bytes("lstm", Path()) / 4


@pytest.mark.skipif(build_problem("lstm", "float32") != "", reason="no C++ compiler")
@pytest.mark.parametrize(("name", "kept"), [("lstm", 3), ("gru", 5), ("rnn", 1)])
def test_rematerialised_kernels_hold_the_states_between_segments_and_one_segment(
    name: str, kept: int
) -> None:
    """T / k states, and k times what the kernel keeps of a step: LSTM its four gates, c and h,
    GRU three gates, the candidate's share of h, and h."""
    wanted = 1024 / 16 + kept * 16
    taken = step_bytes(name, Path(kernel=True, remat_steps=16))
    assert wanted <= taken < 1.2 * wanted


@pytest.mark.parametrize(
    ("steps", "remat_steps", "length"),
    [(784, 28, 28), (1020, 31, 30), (997, 31, 31), (10, 9, 9), (7, 1, 1), (11, 4, 3), (12, 5, 4)],
)
def test_segments_leave_little_over(steps: int, remat_steps: int, length: int) -> None:
    assert segment_length(steps, remat_steps) == length


@pytest.mark.parametrize("kernel", ["scan", "auto"])
def test_recording_keeps_no_adjoints_where_states_are_computed_again(kernel: str) -> None:
    def recorded(remat_steps: int) -> tuple[Any, int]:
        changes: dict[str, Any] = {
            "task.length_steps": 400,
            "model.num_layers": 1,
            "cell.hidden_size": 16,
        }
        changes |= {"model.remat_steps": remat_steps, "model.kernel": kernel}
        plan = make_plan(small_config(**changes), data_dir=None, chunk_steps=1)
        batch = plan.recipe.task.train.draw(KEY, 8)  # type: ignore[union-attr]
        step = jax.jit(partial(train_step, plan.recipe, record=True))
        given = (initial_state(plan), batch, plan.hyper, KEY)
        compiled = step.lower(*given).compile()
        analysis = compiled.memory_analysis()
        assert analysis is not None
        return compiled(*given).norms, int(analysis.temp_size_in_bytes)

    (all_kept, most), (few_kept, least) = recorded(0), recorded(20)
    assert least < most / 4
    for leaf, norms_LxT in all_kept.items():
        np.testing.assert_allclose(few_kept[leaf], norms_LxT, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "hooks"), [("lru", True), ("gru", False)], ids=["with hooks", "not linear"]
)
def test_what_the_associative_path_cannot_do_is_refused(name: str, hooks: bool) -> None:
    cell = build((name, {}), I, H)
    params = cell.init(jax.random.key(0))
    noise = (zoneout(cell, 0.5, KEY),) if hooks else ()
    with pytest.raises(UsageError, match="associative path"):
        unroll(cell, params, inputs(), hooks=noise, path=Path(associative=True))
