"""The nodes of a trained graph network: adjoints by distance from the answer, and the energy."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch, Tree
from rnnexp.laboratory.node_adjoints import (
    NodeAdjoints,
    answering_nodes,
    node_adjoints,
    nodes_dataset,
)
from rnnexp.models.scoring import scores_of
from rnnexp.models.sequence import SequenceModel
from rnnexp.run.files import saved_config
from rnnexp.run.measure import fixed_examples
from rnnexp.run.sample import best_state, load_trained
from rnnexp.run.sources import require_same_code
from rnnexp.train.program import TrainState

if TYPE_CHECKING:
    import xarray

EXAMPLES = 64
"""Of the first validation batch; those with the most nodes."""


class NodesOfRun(NamedTuple):
    """The training step that was read, how many examples, and what was found (see
    `rnnexp.laboratory.node_adjoints.nodes_dataset`)."""

    step: int
    examples: int
    data: "xarray.Dataset"


def nodes_of_run(path: Path, *, data_dir: Path | None = None) -> NodesOfRun:
    """The nodes of a run's best checkpoint (its last if there is no best), on validation examples.

    Raises:
      UsageError: the cell is no graph network, there is no checkpoint, or the run, its code or its
        data cannot be read.
    """
    return nodes_of_runs([path], data_dir=data_dir)[0]


def nodes_of_runs(paths: Sequence[Path], *, data_dir: Path | None = None) -> list[NodesOfRun]:
    """`nodes_of_run` of runs that differ in their seeds alone, by one compiled program, and on the
    same examples: those of the first.

    Raises:
      UsageError: as `nodes_of_run`, or if the runs differ in more.
    """
    first, *others = paths
    trained = load_trained(first, data_dir, with_data=True)
    for path in others:
        if _without_seed(path) != _without_seed(first):
            raise UsageError(f"{path} differs from {first} in more than its seed")
        require_same_code(path, trained.plan.config)
    task = trained.plan.recipe.task
    batch = fixed_examples(trained.plan, EXAMPLES)

    @jax.jit
    def measure(params: Tree, batch: Batch) -> NodeAdjoints:
        model = trained.plan.recipe.model(params)
        cell = model.units()[0].layer.cell
        if not isinstance(model, SequenceModel) or len(model.units()) > 1:
            raise UsageError(f"cell {cell.name!r} of {first} is no graph network")

        def losses(outputs: Array, batch: Batch) -> Array:
            score = scores_of(model, task.scores)(outputs, batch)["loss"]
            return score.total_B / score.count_B

        return node_adjoints(model, batch, losses)

    def of(state: TrainState) -> NodesOfRun:
        found = jax.device_get(measure(state.params, batch))
        data = nodes_dataset(found, answering_nodes(batch, task.mode))
        return NodesOfRun(int(state.step), data.sizes["example"], data)

    return [of(state) for state in (trained.state, *(best_state(p, trained.state) for p in others))]


def _without_seed(path: Path) -> dict[str, Any]:
    """A run's configuration but for its seed."""
    return {key: value for key, value in saved_config(path).items() if key != "seed"}
