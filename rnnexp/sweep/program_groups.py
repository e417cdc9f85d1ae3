"""Groups runs that share a compiled program.

Runs share a program if they differ only in values that it takes as arguments: the seed and the
keys of `rnnexp.train.optim.TRACED`. Whether a dropout rate or the weight of a penalty is zero is
a branch of the program, so it makes another group. An option of a cell may change the initial
weights alone (a scale, a bias) or the program as well. Cells do not declare which: the programs
of both values are traced, and their texts compared.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_collections import FrozenConfigDict

from rnnexp.config.defaults import WORK
from rnnexp.config.schema import flat
from rnnexp.train.optim import BRANCHES, TRACED

if TYPE_CHECKING:
    from rnnexp.train.plan import Plan

SIZES = ("cell.name", "cell.hidden_size")
"""Options of a cell that always change the program."""


def group_runs(configs: Sequence[FrozenConfigDict], *, data_dir: Path | None = None) -> list[int]:
    """The group number of each run, counted from 0 in the order of first appearance."""
    names = ProgramNames(partial(program_digest, data_dir=data_dir))
    numbers: dict[str, int] = {}
    return [numbers.setdefault(names.of(config), len(numbers)) for config in configs]


def signature(config: FrozenConfigDict) -> str:
    """A text that is equal only for configurations that share a program.

    The converse does not hold: programs with different signatures may be equal.
    """
    values = flat(config)
    if values["model.newton"] == "none":  # otherwise the time loop depends on the drawn weights
        values.pop("seed")
    for key in WORK:
        values.pop(key)
    for key in TRACED:
        value = values.pop(key)
        if key in BRANCHES:
            values[key] = value > 0
    return json.dumps(values, sort_keys=True)


def family_of(name: str) -> str:
    """The part of a signature without the cell's options; only within a family can programs of
    different signatures be equal."""
    values = json.loads(name)
    kept = {k: v for k, v in values.items() if not k.startswith("cell.") or k in SIZES}
    return json.dumps(kept, sort_keys=True)


class ProgramNames:
    """Names the programs of configurations that come one by one; equal programs share a name.

    Tracing a program takes seconds. So the first signature of a family names its program
    untraced, and only a second one makes both be traced and compared.

    Args:
      digest: of a configuration's program, such as `program_digest`.
    """

    def __init__(self, digest: Callable[[FrozenConfigDict], str]):
        self.digest = digest
        self.names: dict[str, str] = {}
        """Program names by signature."""
        self.first: dict[str, FrozenConfigDict] = {}
        """The first configuration of each family."""
        self.digests: dict[str, dict[str, str]] = {}
        """By family, program names by digest; empty until a second signature comes."""

    def of(self, config: FrozenConfigDict) -> str:
        """The name of a configuration's program: the signature that had it first."""
        name = signature(config)
        if name not in self.names:
            self.names[name] = self._find(name, config)
        return self.names[name]

    def _find(self, name: str, config: FrozenConfigDict) -> str:
        family = family_of(name)
        if family not in self.first:
            self.first[family], self.digests[family] = config, {}
            return name
        digests = self.digests[family]
        if not digests:
            first = self.first[family]
            digests[self.digest(first)] = signature(first)
        return digests.setdefault(self.digest(config), name)


def program_digest(config: FrozenConfigDict, data_dir: Path | None) -> str:
    """SHA-256 of the text of a configuration's training program, constants included."""
    from rnnexp.run.run import CHUNK_STEPS
    from rnnexp.train.lanes import LaneLayout, spread_chunk
    from rnnexp.train.plan import make_plan  # slow to import, and few sweeps need it

    plan = make_plan(config, data_dir=data_dir, chunk_steps=CHUNK_STEPS)
    program: Any = spread_chunk(plan.recipe, LaneLayout())
    text = program.lower(*chunk_arguments(plan)).as_text()
    return hashlib.sha256(text.encode()).hexdigest()


def chunk_arguments(plan: "Plan") -> tuple[Any, ...]:
    """The shapes and types of a chunk's arguments."""
    import jax
    import jax.numpy as jnp

    from rnnexp.tasks.batches import Keys, no_order, source_arrays
    from rnnexp.train.compiled import initial_state

    key = jax.random.key(0)
    step = jnp.zeros((), jnp.int32)
    source = plan.recipe.task.train
    order = no_order(source, plan.recipe.batch_size)
    arguments = (
        initial_state(plan), order, step, step, Keys(key, key), dict(plan.hyper),
        source_arrays(source),
    )  # fmt: skip
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), arguments)
    return tuple(shapes)
