"""Whether a run goes through time by Newton's iteration, and if not, why."""

import dataclasses
import logging
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from ml_collections import FrozenConfigDict

from rnnexp.core.types import Batch, Key, Tree
from rnnexp.gradflow.position_losses import Model, apply, spans, stacks
from rnnexp.laboratory.lag_gradients import take_examples
from rnnexp.laboratory.lyapunov import lyapunov_spectrum
from rnnexp.laboratory.measure import step_by_step
from rnnexp.laboratory.settings import (
    Laboratory,
    choose_examples,
    fit_unit,
    shared_steps,
)
from rnnexp.tasks.base import Bucketed, Source, Task
from rnnexp.tasks.batches import (
    bucket_batch,
    bucket_of,
    epoch_order,
    source_arrays,
    stream_keys,
    training_batch,
)

EXAMPLES = 8  # trajectories for the exponents, the longest of the first batch
log = logging.getLogger("rnnexp")


class Offer(NamedTuple):
    """What came of `config.model.newton`.

    Attributes:
      method: the one that is used; empty: none.
      exponents: by unit the largest Lyapunov exponent of the initial network, nats per step;
        NaN where the sequences are too short for one. Empty if Newton was not asked for.
    """

    method: str = ""
    exponents: Mapping[str, float] = {}


def offer_newton(
    config: FrozenConfigDict, task: Task, graphdef: Any, params: Tree
) -> tuple[Any, Offer]:
    """The model's static part, on the path that it takes, and what came of the choice.

    Newton's iteration is taken if `config.model.newton` asks for it and the largest Lyapunov
    exponents of all units are negative: those of the network with its initial weights, on the
    first batch of the run. Otherwise the path stays what it was, and a line of the log says so.
    """
    method = config.model.newton
    if method == "none":
        return graphdef, Offer()
    batch = first_batch(task.train, stream_keys(config.seed)["train"], config.train.batch_size)
    exponents = largest_exponents(nnx.merge(graphdef, params), batch)
    told = ", ".join(f"{name} {value:+.3g}" for name, value in exponents.items())
    if not all(value < 0 for value in exponents.values()):
        _warn_once(
            f"config.model.newton={method!r} is not used, and steps are taken one after the other: "
            f"it pays where all largest Lyapunov exponents are negative, and at the start they are "
            f"{told} nats per step"
        )
        return graphdef, Offer("", exponents)
    _say_once(
        f"all steps at once by Newton's iteration ({method}): the largest Lyapunov exponents at "
        f"the start are {told} nats per step"
    )
    model = nnx.merge(graphdef, params)
    for stack in stacks(model):
        path = stack.structure.path._replace(newton=method, kernel=False)
        stack.structure = dataclasses.replace(stack.structure, path=path)
    return nnx.graphdef(model), Offer(method, exponents)


def first_batch(source: Source, key: Key, size: int) -> Batch:
    """The batch of a run's first step; `key` is that of its training data."""
    step, arrays = jnp.zeros((), jnp.int32), source_arrays(source)
    order = jax.jit(lambda key: epoch_order(source, key, step, size))(key)
    if isinstance(source, Bucketed):
        bucket, index = bucket_of(source, order, step, size)
        return bucket_batch(source, int(bucket), arrays, order, index, size)
    drawn = source  # no buckets

    def draw(arrays: Tree, order: Tree, key: Key) -> Batch:
        return training_batch(drawn, arrays, order, key, step, size)

    batch: Batch = jax.jit(draw)(arrays, order, key)
    return batch


def largest_exponents(model: Model, batch: Batch) -> dict[str, float]:
    """The largest Lyapunov exponent of every unit on a batch, in nats per step, by its name.

    Of up to `EXAMPLES` trajectories, over the steps that all of them have; NaN for fewer than
    two steps.
    """
    model = step_by_step(model)
    index_E = choose_examples(batch.lengths_B, batch.inputs_TxBxI.shape[1], EXAMPLES)
    batch = take_examples(model, batch, jnp.asarray(index_E))
    watched = apply(model, batch, watch=True).watched
    settings = Laboratory(exponents=1, longest_span=0)
    found = {}
    for unit, seen, span in zip(model.units(), watched, spans(model, batch), strict=True):
        cell, params = unit.layer.cell, unit.layer.params()
        steps = shared_steps(span.steps, span.lengths_B)
        fitted, _ = fit_unit(settings, cell, params, steps, len(index_E))
        found[unit.name] = float("nan")
        if fitted.exponents:
            spectrum = lyapunov_spectrum(
                cell, params, seen.inputs_TxBxI[:steps], count=1, start=seen.start,
                warmup_steps=fitted.warmup_steps, interval_steps=fitted.interval_steps,
                key=jax.random.key(0), leave_out=cell.counters_of(params),
            )  # fmt: skip
            found[unit.name] = float(spectrum.exponents_K[0])
    return found


class FallBacks:
    """Counts the recorded steps whose batch had to be scanned after all, and says so: at the
    first one, and whenever their number has doubled."""

    def __init__(self) -> None:
        self.count, self.next = 0, 1

    def notice(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Look at the rows of newly recorded steps."""
        for row in rows:
            units = [
                name.partition("/")[2]
                for name, value in row.items()
                if name.startswith("newton_fell_back/") and value > 0
            ]
            if not units:
                continue
            self.count += 1
            if self.count == self.next:
                self.next *= 2
                log.warning(
                    "step %d: Newton's iteration did not come to rest in %s, and the batch was "
                    "taken step by step, with the same result (%d recorded steps so far); "
                    "config.model.newton='none' saves the attempt",
                    row["step"], ", ".join(units), self.count,
                )  # fmt: skip


@lru_cache(maxsize=64)
def _say_once(text: str) -> None:
    log.info("%s", text)


@lru_cache(maxsize=64)
def _warn_once(text: str) -> None:
    log.warning("%s", text)
