"""Which runs share a compiled program.

Runs that differ only in values that a program takes as arguments belong together: the
seed, and the keys of `rnnexp.train.optim.TRACED`. Whether a share of dropout or the weight of a
penalty is zero is a branch, so it opens another group. An option of a cell may matter to
the initial weights alone (a scale, a bias) or to the program as well; that is not declared
but found out: both programs are traced, and their texts compared.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_collections import FrozenConfigDict

from rnnexp.config.schema import flat
from rnnexp.train.optim import BRANCHES, TRACED

if TYPE_CHECKING:
    from rnnexp.train.plan import Plan

SIZES = ("cell.name", "cell.hidden_size")


def group_runs(configs: Sequence[FrozenConfigDict], *, data_dir: Path | None = None) -> list[int]:
    """The number of every run's group, counted from 0 in the order of first appearance."""
    signatures = [signature(config) for config in configs]
    first = dict(reversed(list(zip(signatures, configs, strict=True))))
    programs = merge(first, data_dir)
    numbers: dict[str, int] = {}
    return [numbers.setdefault(programs[name], len(numbers)) for name in signatures]


def signature(config: FrozenConfigDict) -> str:
    """A text that is the same for runs that certainly share a program."""
    values = flat(config)
    if values["model.newton"] == "none":  # else the path depends on the weights that are drawn
        values.pop("seed")
    for key in TRACED:
        value = values.pop(key)
        if key in BRANCHES:
            values[key] = value > 0
    return json.dumps(values, sort_keys=True)


def family_of(name: str) -> str:
    """What configurations have in common whose programs may be the same, of a signature."""
    values = json.loads(name)
    kept = {k: v for k, v in values.items() if not k.startswith("cell.") or k in SIZES}
    return json.dumps(kept, sort_keys=True)


def merge(first: dict[str, FrozenConfigDict], data_dir: Path | None) -> dict[str, str]:
    """The program of every signature, given one configuration of each.

    Only signatures that differ in nothing but options of their cell are compared further.
    """
    families: dict[str, list[str]] = {}
    for name in first:
        families.setdefault(family_of(name), []).append(name)
    programs = {}
    for names in families.values():
        for name in names:
            alone = len(names) == 1
            programs[name] = name if alone else program_digest(first[name], data_dir)
    return programs


def program_digest(config: FrozenConfigDict, data_dir: Path | None) -> str:
    """SHA-256 of the text of a configuration's training program, constants included."""
    from rnnexp.run.run import CHUNK_STEPS
    from rnnexp.train.lanes import Layout, spread_chunk
    from rnnexp.train.plan import make_plan  # slow to import, and few sweeps need them

    plan = make_plan(config, data_dir=data_dir, chunk_steps=CHUNK_STEPS)
    program: Any = spread_chunk(plan.recipe, Layout())
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
