"""A recorded step keeps norms of adjoints alone where the kernel has them."""

import jax
import jax.numpy as jnp

from rnnexp.gradflow.adjoints import wanted_whole
from rnnexp.gradflow.position_losses import spans
from rnnexp.scan.unroll import TimeLoop
from rnnexp.tasks.base import Endless
from rnnexp.train.loss import recorder_for
from rnnexp.train.plan import make_plan
from rnnexp.train.program import StepInputs
from tests.helpers.kernel_cells import config_with, needs_compiler

pytestmark = needs_compiler


def test_a_recorded_step_keeps_norms_alone_where_the_kernel_has_them() -> None:
    assert wanted_whole(TimeLoop(kernel=True)) is False
    assert wanted_whole(TimeLoop(kernel=True, fused="float32")) is True
    assert wanted_whole(TimeLoop(remat_steps=3)) is False
    assert wanted_whole(TimeLoop()) is None
    plan = make_plan(config_with(), data_dir=None, chunk_steps=4)
    recipe, shape = plan.recipe, (plan.recipe.task.num_steps, plan.recipe.batch_size)
    assert isinstance(recipe.task.train, Endless)
    batch = recipe.task.train.draw(jax.random.key(0), shape[1])
    given = StepInputs(batch, [], jax.random.key(0), plan.hyper, jnp.zeros((), jnp.int32))
    recorder = recorder_for(
        recipe,
        recipe.model(plan.params),
        spans(recipe.model(plan.params), batch),
        given,
        record=True,
    )
    assert recorder is not None
    assert {slot.shape for slot in recorder.slots[0].values()} == {shape}
