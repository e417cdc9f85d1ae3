"""The nodes of a trained graph network: adjoints by distance from the answer, and the energy."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

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
from rnnexp.run.measure import fixed_examples
from rnnexp.run.sample import load_trained

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
    trained = load_trained(path, data_dir, with_data=True)
    task = trained.plan.recipe.task
    batch = fixed_examples(trained.plan, EXAMPLES)

    @jax.jit
    def measure(params: Tree, batch: Batch) -> NodeAdjoints:
        model = trained.plan.recipe.model(params)
        cell = model.units()[0].layer.cell
        if not isinstance(model, SequenceModel) or len(model.units()) > 1:
            raise UsageError(f"cell {cell.name!r} of {path} is no graph network")

        def losses(outputs: Array, batch: Batch) -> Array:
            score = scores_of(model, task.scores)(outputs, batch)["loss"]
            return score.total_B / score.count_B

        return node_adjoints(model, batch, losses)

    found = jax.device_get(measure(trained.state.params, batch))
    data = nodes_dataset(found, answering_nodes(batch, task.mode))
    return NodesOfRun(int(trained.state.step), data.sizes["example"], data)
