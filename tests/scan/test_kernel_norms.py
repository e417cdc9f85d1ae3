"""The compiled kernels hand over norms of adjoints, which are all that a recorded step keeps."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.types import Array, State
from rnnexp.gradflow.adjoints import norm_tap, probes, wanted_whole
from rnnexp.gradflow.position_losses import spans
from rnnexp.scan.kernels import build
from rnnexp.scan.unroll import Path, unroll
from rnnexp.tasks.base import Endless
from rnnexp.train.loss import recorder_for
from rnnexp.train.plan import make_plan
from rnnexp.train.regularizers import Given
from tests.scan.test_kernels import VARIANTS, T, arguments, config_with, made

pytestmark = pytest.mark.skipif(
    build.problem("lstm", "float32") != "", reason="no C++ compiler to build the kernels"
)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("size", [1.0, 1e-200])
def test_norms_of_adjoints_come_from_the_kernel(name: str, size: float, x64: None) -> None:
    """Of those whose square underflows, too; they are 0 after the end of a sequence."""
    cell, params = made(name, 21)
    _, x, start, whole = arguments(cell, params, 37)
    lengths = jnp.arange(37, dtype=jnp.int32) % T + 1
    slots = {leaf: jnp.zeros(slot.shape[:2]) for leaf, slot in whole.items()}

    def loss(kernel: bool, slots: State) -> Array:
        (probe,) = probes(norm_tap, [slots])
        run = unroll(
            cell, params, x, lengths_B=lengths, state=start, probe=probe, path=Path(kernel=kernel)
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
            run = unroll(cell, params, x, state=start, probe=probe, path=Path(kernel=True))
            return size * jnp.sum(run.outputs_TxBxH[-1])

        grads: State = jax.grad(loss)({"h": jnp.zeros(whole["h"].shape[:2])})
        return grads["h"]

    np.testing.assert_allclose(norms(1e-30)[-1], 1e-30 * np.sqrt(24), rtol=1e-6)
    np.testing.assert_allclose(norms(1e30)[-1], 1e30 * np.sqrt(24), rtol=1e-6)
    assert bool(jnp.all(jnp.isinf(norms(jnp.inf)[-1])))
    assert bool(jnp.all(jnp.isnan(norms(jnp.nan))))


def test_a_recorded_step_keeps_norms_alone_where_the_kernel_has_them() -> None:
    assert wanted_whole(Path(kernel=True)) is False
    assert wanted_whole(Path(kernel=True, fused="float32")) is True
    assert wanted_whole(Path(remat_steps=3)) is False
    assert wanted_whole(Path()) is None
    plan = make_plan(config_with(), data_dir=None, chunk_steps=4)
    recipe, shape = plan.recipe, (plan.recipe.task.num_steps, plan.recipe.batch_size)
    assert isinstance(recipe.task.train, Endless)
    batch = recipe.task.train.draw(jax.random.key(0), shape[1])
    given = Given(batch, [], jax.random.key(0), plan.hyper, jnp.zeros((), jnp.int32))
    recorder = recorder_for(
        recipe,
        recipe.model(plan.params),
        spans(recipe.model(plan.params), batch),
        given,
        record=True,
    )
    assert recorder is not None
    assert {slot.shape for slot in recorder.slots[0].values()} == {shape}
