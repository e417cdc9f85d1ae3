"""Measures runs with the laboratory, at any of their steps, on fixed validation examples.

One compiled program serves all steps of a run, and all runs on the lanes of one program. Each
run is measured by itself, so the numbers are those of a run that trains alone. What is
measured is described in `rnnexp.laboratory.examine`.
"""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import FrozenConfigDict

from rnnexp.core.errors import RunError, first_line
from rnnexp.core.types import Array, Batch, Key, Tree
from rnnexp.laboratory.dataset import model_dataset
from rnnexp.laboratory.examine import measure_function, prepare
from rnnexp.laboratory.lag_gradients import take_examples
from rnnexp.laboratory.measure import Wanted
from rnnexp.laboratory.settings import Laboratory, choose_examples
from rnnexp.tasks.base import Bucketed, Finite, Stream
from rnnexp.tasks.batches import (
    evaluation_batch,
    source_arrays,
    source_size,
    stream_batch,
    stream_keys,
)
from rnnexp.train.plan import Plan

if TYPE_CHECKING:
    import xarray

RECORDED = (
    "examples", "exponents", "warmup_steps", "interval_steps", "longest_span", "rank",
    "product_examples", "iterations", "lag_examples", "adjoint_matrix", "each_lag",
)  # fmt: skip
"""The settings that the variable `measured_with` has of every row; those of a row measured before a
setting came are without it, and it was off."""


def settings_of(config: FrozenConfigDict) -> Laboratory:
    """The settings in `config.laboratory`; `UsageError` for a number out of range."""
    values = config.laboratory.to_dict()
    return Laboratory(**{k: v for k, v in values.items() if not k.startswith("every_")})


def examiner_of(plan: Plan) -> "Callable[[], Examiner]":
    """A function that makes the examiner of a plan's program once, when it is first called."""
    return cache(lambda: Examiner(plan, settings_of(plan.config)))


class Examiner:
    """Measures the runs of one program, at any of their steps."""

    def __init__(self, plan: Plan, settings: Laboratory):
        self.recipe, self.settings = plan.recipe, settings
        task = plan.recipe.task
        self.teacher = task.teacher if plan.recipe.teacher_forcing else None
        self._given: dict[int, tuple[Batch, Wanted]] = {}
        self._programs: dict[Wanted, Any] = {}

    def measure(self, plan: Plan, params: Tree, step: int) -> "xarray.Dataset":
        """The row of a run after `step` updates.

        Args:
          plan: the run's; it may differ from the examiner's in the values of its lane.
          params: its parameters, on the host.

        Raises:
          UsageError: measuring takes more memory than `laboratory.memory_gib`.
          RunError: the device cannot do it.
        """
        task = self.recipe.task
        batch, wanted = self._of_run(plan)
        if wanted not in self._programs:
            program = measure_function(self.recipe.graphdef, task.scores, wanted, self.teacher)
            self._programs[wanted] = jax.jit(program)
        try:
            figures = jax.device_get(self._programs[wanted](params, batch, jax.random.key(0)))
        except jax.errors.JaxRuntimeError as error:
            raise RunError(f"the laboratory failed at step {step}: {first_line(error)}") from error
        names = [unit.name for unit in self.recipe.model(plan.params).units()]
        settings = {name: float(getattr(self.settings, name)) for name in RECORDED}
        return model_dataset(figures, wanted, names, step, settings)

    def _of_run(self, plan: Plan) -> tuple[Batch, Wanted]:
        """The run's fixed batch, and what is measured on it."""
        seed = int(plan.config.seed)
        if seed not in self._given:
            config, model = plan.config, self.recipe.model(plan.params)
            batch = fixed_examples(plan, self.settings.examples)
            name = f"{config.task.name}/{config.cell.name}, seed {seed}"
            scores = self.recipe.task.scores
            wanted = prepare(self.settings, model, batch, scores, self.teacher, name)
            self._given[seed] = batch, wanted
        return self._given[seed]


def fixed_examples(plan: Plan, count: int) -> Batch:
    """The `count` longest examples of a run's first validation batch (0: all).

    Of a task with buckets, the batch is of the largest bucket; of a stream, the first window.
    """
    source = plan.recipe.task.valid
    arrays = source_arrays(source)
    if isinstance(source, Bucketed):
        number = int(np.argmax([bucket.size for bucket in source.buckets]))
        bucket = source.buckets[number]
        source, arrays = Finite(bucket.arrays, bucket.size, source.take), arrays[number]
    available, size = source_size(source), int(plan.config.eval.batch_size)
    size = size if available is None else min(size, available)

    def draw(key: Key, arrays: Tree) -> Batch:
        first: Array = jnp.zeros((), jnp.int32)
        if isinstance(source, Stream):
            return stream_batch(source, arrays, first, size)
        return evaluation_batch(source, arrays, key, first, size, size)[0]

    batch = jax.jit(draw)(stream_keys(int(plan.config.seed))["valid"], arrays)
    index_E = choose_examples(batch.lengths_B, size, count)
    return take_examples(plan.recipe.model(plan.params), batch, jnp.asarray(index_E))
