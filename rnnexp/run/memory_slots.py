"""The external memory of a trained run along one validation example: adjoints and weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jax

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch, Tree
from rnnexp.laboratory.memory_slots import MemorySlots, memory_slots, slots_dataset
from rnnexp.models.scoring import scores_of
from rnnexp.run.measure import fixed_examples
from rnnexp.run.sample import load_trained

if TYPE_CHECKING:
    import xarray


class MemoryOfRun(NamedTuple):
    """The training step that was read, and of every unit with a memory a Dataset (see
    `rnnexp.laboratory.memory_slots.slots_dataset`)."""

    step: int
    units: Mapping[str, "xarray.Dataset"]


def memory_of_run(path: Path, *, data_dir: Path | None = None, whole: bool = False) -> MemoryOfRun:
    """The memory of a run's best checkpoint (its last if there is no best).

    The example is the longest of the first validation batch, the first of those.

    Args:
      path: the run's directory.
      data_dir: where to look for data files first.
      whole: also the adjoints themselves, not their norms alone.

    Raises:
      UsageError: the cell has no memory, there is no checkpoint, or the run, its code or its data
        cannot be read.
    """
    trained = load_trained(path, data_dir, with_data=True)
    plan, cell = trained.plan, trained.model.units()[0].layer.cell
    if cell.memory is None:
        raise UsageError(
            f"cell {cell.name!r} of {path} has no external memory, so there are no slots to look "
            "at; `rnnexp list cells` says which cells have one"
        )
    task = plan.recipe.task

    @jax.jit
    def measure(params: Tree, batch: Batch) -> dict[str, MemorySlots]:
        model = plan.recipe.model(params)

        def loss(outputs: Array, batch: Batch) -> Array:
            return scores_of(model, task.scores)(outputs, batch)["loss"].mean()

        teacher = task.teacher if plan.recipe.teacher_forcing else None
        return memory_slots(model, batch, loss, teacher=teacher)

    found = jax.device_get(measure(trained.state.params, fixed_examples(plan, 1)))
    names = [unit.name for unit in plan.units if unit.name in found]  # mapping sorts names
    return MemoryOfRun(
        int(trained.state.step), {name: slots_dataset(found[name], whole=whole) for name in names}
    )
