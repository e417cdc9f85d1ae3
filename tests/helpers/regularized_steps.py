"""Programs and first steps of tiny runs with interventions."""

from functools import cache, partial
from typing import Any

import jax

from rnnexp.tasks.batches import Keys, epoch_order, source_arrays, stream_keys
from rnnexp.train.compiled import Programs, initial_state
from rnnexp.train.lanes import LaneLayout
from rnnexp.train.plan import Plan, make_plan
from rnnexp.train.program import TrainState
from rnnexp.train.step import Lane, StepResult, take_step
from tests.helpers.small_programs import configured

QUICK = {"xla_backend_optimization_level": 0}
"""Programs that run once: most of their time is compilation."""
PLAIN: dict[str, Any] = {
    "cell__hidden_size": 4,
    "train__batch_size": 4,
    "task__length_steps": 6,
    "optimizer__name": "sgd",
    "optimizer__learning_rate": 0.5,
    "clip__name": "none",
}
WEIGHTS = {"regularizer__omega": 0.3, "regularizer__orthogonality": 0.2}
FLOSSING = {"regularizer__flossing": 0.4, "regularizer__flossing_exponents": 2}
ALL = WEIGHTS | FLOSSING


def build(name: str = "adding/rnn", layout: LaneLayout = LaneLayout(), **changes: Any) -> Programs:  # noqa: B008
    """The compiled functions of a tiny run."""
    config = configured(name, **changes)
    return Programs(make_plan(config, data_dir=None, chunk_steps=4), layout)


def first_step(name: str = "adding/rnn", **changes: Any) -> tuple[StepResult, Plan]:
    """One recorded step from the start, without the chunk around it, and its plan."""
    plan = make_plan(configured(name, **changes), data_dir=None, chunk_steps=1)
    streams, source = stream_keys(plan.config.seed), plan.recipe.task.train
    keys, arrays = Keys(streams["train"], streams["noise"]), source_arrays(source)

    @partial(jax.jit, compiler_options=QUICK)
    def step(state: TrainState) -> StepResult:
        order = epoch_order(source, keys.data, state.step, plan.recipe.batch_size)
        lane = Lane(state, order, keys, plan.hyper)
        return take_step(plan.recipe, arrays, lane, record=True)

    return jax.device_get(step(initial_state(plan))), plan


@cache
def one_step(**changes: Any) -> StepResult:
    """The first step of a tiny float64 run."""
    return first_step(**(PLAIN | changes))[0]


def logged(step: StepResult, name: str) -> float:
    """A recorded scalar."""
    return float(step.scalars[name])
