"""A trained run's model: its parameters, its task, and how to call it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from ml_collections import FrozenConfigDict

from rnnexp.api.configure import as_path
from rnnexp.config.schema import from_saved
from rnnexp.core.errors import UsageError, require_at_least, require_choice
from rnnexp.core.types import Array, Batch, State, Tree
from rnnexp.gradflow.position_losses import apply
from rnnexp.models.forward import ForwardOptions
from rnnexp.models.scoring import evaluation_scores_of
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.transduction import Transducer
from rnnexp.results.load import RUNS_DIR, find_run
from rnnexp.run.files import saved_config
from rnnexp.run.sample import load_trained
from rnnexp.tasks.base import Bucketed, Stream, Task
from rnnexp.tasks.batches import evaluation_batch, source_arrays, stream_batch, stream_keys

SPLITS = ("train", "valid", "test")


class Output(NamedTuple):
    """What a model makes of a batch.

    Attributes:
      outputs: logits of classes, or predictions: (B, O), or (T, B, O) with one a step; the
        features (..., F) of a head that scores itself.
      states: by unit (`layer_0`) and leaf (`h`) the states after every step, (T, B, H). Those of a
        backward unit are in its own order of reading, which begins at the sequence's end.
      final: by unit and leaf the state after the last valid step, (B, H); of an encoder-decoder
        those of the decoder.
    """

    outputs: Array
    states: dict[str, dict[str, Array]]
    final: dict[str, dict[str, Array]]


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A trained model. Calling it with a batch computes its outputs and states, without noise.

    Attributes:
      model: the Flax module, with its parameters.
      params: the parameters, a tree of arrays.
      task: the task on which it was trained. Without `with_data` it has no batches and no scores.
      config: the run's configuration.
      step: updates made.
      run: the run's directory.
      has_data: whether the task has its data.
    """

    model: SequenceModel | Transducer
    params: Tree
    task: Task
    config: FrozenConfigDict
    step: int
    run: Path
    has_data: bool = False

    def __call__(self, batch: Batch | Any, *, states: dict[str, Any] | None = None) -> Output:
        """Outputs, and the states of all units after every step.

        It computes what an evaluation does; it is compiled once for batches of one shape.

        Args:
          batch: inputs (T, B, I), or symbols (T, B) of whole numbers; a `Batch` where sequences
            have lengths, or the model reads a context or (encoder-decoders) the targets. Given
            inputs alone, a network with output feedback runs on its own outputs.
          states: `final` of the batch before, to go on from; None: each unit's initial state.

        Raises:
          UsageError: for inputs of another shape, or that do not do alone.
        """
        alone = not isinstance(batch, Batch)
        given = self._as_batch(batch) if alone else batch
        self._require_inputs(given)
        names = [unit.name for unit in self.model.units()]
        begin = None
        if states is not None:
            if isinstance(self.model, Transducer):
                raise UsageError("an encoder-decoder takes no states: the encoder gives them")
            for name in states:
                require_choice("unit", name, names)
            if missing := [name for name in names if name not in states]:
                raise UsageError(f"there are no states of the units {', '.join(missing)}")
            begin = [states[name] for name in names]
        outputs, after, final = self._forward(self.params, given, begin, alone)
        last = names[len(names) - len(final) :]  # of an encoder-decoder those of the decoder
        return Output(
            outputs, dict(zip(names, after, strict=True)), dict(zip(last, final, strict=True))
        )

    def batch(self, split: str = "test", size: int = 32) -> Batch:
        """The first `size` examples of a split; of a stream the first window of so many stretches.

        Raises `UsageError` if the model was loaded without data, or there are not so many.
        """
        require_choice("split", split, SPLITS)
        require_at_least(1, of="a batch", size=size)
        self._require_data()
        source = getattr(self.task, split)
        arrays, first = source_arrays(source), jnp.zeros((), jnp.int32)
        if isinstance(source, Bucketed):
            bucket = max(source.buckets, key=lambda bucket: bucket.size)
            self._require_size(size, bucket.size, "its largest bucket")
            taken: Batch = source.take(bucket.arrays, jnp.arange(size, dtype=jnp.int32))
            return taken
        if (most := getattr(source, "size", None)) is not None:
            self._require_size(size, most, split)
        if isinstance(source, Stream):
            return stream_batch(source, arrays, first, size)
        key = stream_keys(self.config.seed)[split]
        return evaluation_batch(source, arrays, key, first, size, size)[0]

    def scores(self, batch: Batch) -> dict[str, float]:
        """The scores of a batch by name: the means over its examples, as an evaluation has them.

        Raises `UsageError` if the model was loaded without data.
        """
        self._require_data()
        found = evaluation_scores_of(self.model, self.task.scores)(self(batch).outputs, batch)
        return {name: float(score.mean()) for name, score in found.items()}

    @cached_property
    def _forward(self) -> Any:
        """The compiled forward pass, `(params, batch, states, alone) -> (outputs, states, final)`;
        `alone`: the batch has nothing but inputs."""
        graphdef, task = nnx.graphdef(self.model), self.task

        def forward(
            params: Tree, batch: Batch, begin: list[State] | None, alone: bool
        ) -> tuple[Array, list[State], list[State]]:
            model = nnx.merge(graphdef, params)
            forced = 0 if alone else task.forced_steps
            options = ForwardOptions(states=begin, forced_steps=forced, keep_states=True)
            got = apply(model, batch, options, teacher=task.teacher)
            return got.outputs, [dict(seen.states) for seen in got.trajectories], got.states

        return jax.jit(forward, static_argnums=3)

    def _as_batch(self, inputs: Any) -> Batch:
        """Inputs alone as a batch of full sequences."""
        if isinstance(self.model, Transducer):
            raise UsageError("an encoder-decoder reads targets too: give a rnnexp.Batch")
        if any(unit.layer.cell.context is not None for unit in self.model.units()):
            raise UsageError("this model reads a context too: give a rnnexp.Batch")
        try:
            inputs = jnp.asarray(inputs)
        except (TypeError, ValueError) as error:
            raise UsageError(f"a batch is an array (T, B, I) or a rnnexp.Batch: {error}") from error
        return Batch(inputs, jnp.zeros(0, jnp.int32))

    def _require_inputs(self, batch: Batch) -> None:
        """Raise `UsageError` for inputs that have not the shape of the task's."""
        shape, features = jnp.shape(batch.inputs_TxBxI), self.task.input_size
        symbols = len(shape) == 2 and jnp.issubdtype(batch.inputs_TxBxI.dtype, jnp.integer)
        if not symbols and (len(shape) != 3 or shape[-1] != features):
            raise UsageError(
                f"inputs of {self.task.name} are (T, B, {features}): steps, examples, features; "
                f"not {shape}"
            )

    def _require_data(self) -> None:
        if not self.has_data:
            raise UsageError("the task has no data: load_model(RUN, with_data=True) loads them")

    def _require_size(self, size: int, most: int, what: str) -> None:
        if size > most:
            raise UsageError(f"{what} of {self.task.name} has {most:,} examples, not {size:,}")


def load_model(
    run: str | Path,
    *,
    checkpoint: str | int = "best",
    runs_dir: str | Path = RUNS_DIR,
    data_dir: str | Path | None = None,
    with_data: bool = False,
) -> TrainedModel:
    """The model of a trained run.

    Args:
      run: its directory, id or name, or TASK/CELL for the latest one below `runs_dir`.
      checkpoint: `best` by validation (the last where there is no best), `last`, or the step of one
        that is kept (`checkpoint.keep_every`).
      data_dir: where to look for data files first.
      with_data: load the task's data too, for `batch` and `scores`.

    Raises:
      UsageError: there is no such run or checkpoint, or the run's code (or data) is no longer that
        with which it was trained.
    """
    path = find_run(str(run), Path(runs_dir))
    trained = load_trained(path, as_path(data_dir), with_data=with_data, checkpoint=checkpoint)
    plan, state = trained.plan, trained.state
    task = plan.recipe.task
    return TrainedModel(
        model=trained.model,
        params=state.params,
        task=task,
        config=from_saved(saved_config(path)),
        step=int(state.step),
        run=path,
        has_data=with_data or task.mode == "density",
    )
