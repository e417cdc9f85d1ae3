"""rnnexp as a contender: its own training loop, by kernel or by scan, and its bare step."""

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from ml_collections import FrozenConfigDict

from rnnexp.bench.workloads import CLASSES, LEARNING_RATE, Workload, draw
from rnnexp.config.schema import experiment, finish
from rnnexp.core.errors import RunError
from rnnexp.core.types import Array, Batch, Tree
from rnnexp.run.callbacks import Observer, RunResult, run_path
from rnnexp.run.files import RunLog
from rnnexp.run.run import CHUNK_STEPS, import_storage
from rnnexp.run.session import RunSession
from rnnexp.run.trainer import VISIT_S, Trainer
from rnnexp.runtime.signals import StopRequest
from rnnexp.tasks import TASKS, task
from rnnexp.tasks.base import Finite, Score, Task
from rnnexp.tasks.batches import Keys, epoch_order, source_arrays, stream_keys
from rnnexp.tasks.scores import once
from rnnexp.train.compiled import Programs, initial_state
from rnnexp.train.evaluate import evaluate_function
from rnnexp.train.plan import make_plan
from rnnexp.train.program import TrainState
from rnnexp.train.step import Lane, take_step

TimedLoop = Callable[[float], tuple[int, float]]
"""`seconds -> (steps, seconds)`: trains for at least `seconds`; the steps made and their time."""
FOREVER = 1_000_000_000
EPOCH_BATCHES = 1000
EVALUATED_BATCHES = 10
BARE_STEPS = 10


def training_loop(work: Workload, cell: str, *, kernel: str = "auto") -> TimedLoop:
    """The loop of `rnnexp run` at the default recording period: data, metrics, gradients.

    Evaluations and checkpoints, which are not part of a training step, are off. Of a workload
    without training: the program with which it evaluates.
    """
    if not work.train:
        return _evaluation(work, cell, kernel)
    import_storage()  # a run does so at its second chunk
    going = _training(configure(work, cell, kernel))
    trainer, session = next(going)

    def run(seconds: float) -> tuple[int, float]:
        next(going)  # collects the last call's chunk and launches another
        first, began, spent = session.step, time.monotonic(), 0.0
        while spent < seconds:
            next(going)
            spent = time.monotonic() - began
        jax.block_until_ready(trainer.lane_states.state)  # the devices are idle for the others
        return session.step - first, spent

    return run


def _training(config: FrozenConfigDict) -> Iterator[tuple[Trainer, RunSession]]:
    """Yields the run's trainer and session before its first chunk and after every launch."""
    with tempfile.TemporaryDirectory(prefix="rnnexp-bench-") as folder:
        plan = make_plan(config, data_dir=None, chunk_steps=CHUNK_STEPS)
        session = RunSession(plan, RunLog(run_path(config, Path(folder))), Observer())
        waiting = [(session, session.begin())]
        trainer = Trainer(Programs(plan), lambda: waiting.pop() if waiting else None, _on_run_end)
        yield trainer, session
        for _ in trainer.rounds(StopRequest()):
            yield trainer, session


def _evaluation(work: Workload, cell: str, kernel: str) -> TimedLoop:
    """Evaluations of a few batches at a time; a step is a batch."""
    plan = make_plan(configure(work, cell, kernel), data_dir=None, chunk_steps=CHUNK_STEPS)
    source, key = plan.recipe.task.valid, stream_keys(0)["valid"]
    examples = EVALUATED_BATCHES * work.batch_size
    evaluate = jax.jit(evaluate_function(plan.recipe, "valid", work.batch_size, examples))
    params, arrays = initial_state(plan).params, source_arrays(source)
    jax.block_until_ready(evaluate(params, key, arrays))

    def run(seconds: float) -> tuple[int, float]:
        count, began, spent = 0, time.monotonic(), 0.0
        while spent < seconds:
            jax.block_until_ready(evaluate(params, key, arrays))
            count, spent = count + EVALUATED_BATCHES, time.monotonic() - began
        return count, spent

    return run


def scan_loop(work: Workload, cell: str) -> TimedLoop:
    """`training_loop` without the compiled kernel."""
    return training_loop(work, cell, kernel="scan")


def bare_step(work: Workload, cell: str) -> TimedLoop:
    """Only the compiled training step of `training_loop`: no records, files or host work."""
    plan = make_plan(configure(work, cell), data_dir=None, chunk_steps=CHUNK_STEPS)
    recipe, keys = plan.recipe, stream_keys(0)
    streams, arrays = Keys(keys["train"], keys["noise"]), source_arrays(plan.recipe.task.train)

    @partial(jax.jit, donate_argnums=0)
    def steps(state: TrainState, arrays: Tree, count: Array) -> TrainState:
        order = epoch_order(recipe.task.train, streams.data, state.step, recipe.batch_size)

        def body(_: Array, state: TrainState) -> TrainState:
            lane = Lane(state, order, streams, plan.hyper)
            return take_step(recipe, arrays, lane, record=False).state

        new: TrainState = jax.lax.fori_loop(0, count, body, state)
        return new

    launch = BARE_STEPS
    state = jax.block_until_ready(steps(initial_state(plan), arrays, jnp.asarray(launch)))

    def run(seconds: float) -> tuple[int, float]:
        nonlocal state, launch
        count, began, spent = 0, time.monotonic(), 0.0
        while spent < seconds:
            state = jax.block_until_ready(steps(state, arrays, jnp.asarray(launch)))
            count, spent = count + launch, time.monotonic() - began
        launch = max(1, int(VISIT_S * count / spent))  # next time as many as in a chunk
        return count, spent

    return run


def _on_run_end(result: RunResult, error: BaseException | None) -> None:
    raise RunError(f"the benchmark's run ended: {result.status}, {result.reason}") from error


def configure(
    work: Workload, cell: str, kernel: str = "auto", changes: Mapping[str, Any] | None = None
) -> FrozenConfigDict:
    """The experiment of a workload, with `changes` of its keys; its task is `_task`.

    Raises `UsageError` as `finish` does.
    """
    name = f"bench_{work.name}"
    if name not in TASKS.names():
        task(name, modes=("sequence_to_one",))(partial(_task, work))
    config = experiment(f"{name}/{cell}")
    config.update_from_flattened_dict(
        {
            "cell.hidden_size": work.hidden_size,
            "model.kernel": kernel,
            "optimizer.name": "sgd",
            "optimizer.learning_rate": LEARNING_RATE,
            "clip.name": "none",
            "train.batch_size": work.batch_size,
            "train.duration_steps": FOREVER,
            "model.num_layers": work.layers,
            "model.bidirectional": work.both_ways,
            **({} if work.record else {"record.every_steps": FOREVER}),
            "eval.every_steps": FOREVER,
            "checkpoint.every_steps": FOREVER,
            **(changes or {}),
        }
    )
    return finish(config)


def _task(work: Workload) -> Task:
    """A task whose epoch repeats one batch of noise `EPOCH_BATCHES` times."""
    drawn = jax.tree.map(jnp.asarray, draw(work))
    examples = work.batch_size

    def take(arrays: Tree, index_B: Array) -> Batch:
        x_TxBxI, class_B, lengths_B = arrays
        index_B = index_B % examples
        lengths_B = None if lengths_B is None else lengths_B[index_B]
        return Batch(x_TxBxI[:, index_B], class_B[index_B], lengths_B)

    source = Finite(tuple(drawn), examples * EPOCH_BATCHES, take)
    return Task(
        name=f"bench_{work.name}",
        mode="sequence_to_one",
        input_size=work.input_size,
        output_size=CLASSES,
        num_steps=work.steps,
        train=source,
        valid=source,
        test=source,
        scores=_scores,
        baseline={"loss": math.log(CLASSES)},
        headline="loss",
        higher_is_better=False,
    )


def _scores(logits_BxC: Array, batch: Batch) -> dict[str, Score]:
    losses_B = optax.softmax_cross_entropy_with_integer_labels(logits_BxC, batch.targets)
    return {"loss": once(losses_B)}
