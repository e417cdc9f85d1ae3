"""How the width of a beam changes what a trained encoder-decoder writes."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.core.errors import UsageError
from rnnexp.core.masking import valid_steps
from rnnexp.core.types import Array, Batch, Tree
from rnnexp.models.decode import beam
from rnnexp.models.forward import ForwardOptions
from rnnexp.models.transduction import Transducer
from rnnexp.run.measure import fixed_examples
from rnnexp.run.sample import load_trained, require_range
from rnnexp.tasks.scores import cross_entropy
from rnnexp.tasks.transduction import exact_match

TOLERANCE = 1e-5
"""Relative, within which two ln p of float32 are one."""


class AtWidth(NamedTuple):
    """What a beam of one width finds, on average over examples.

    Attributes:
      width: prefixes that are kept.
      exact: fraction of examples whose best hypothesis is the target.
      log_p: mean ln p of the best hypothesis, nats.
      length: its mean number of symbols, the stop included.
      search_errors: fraction whose target is likelier than the best hypothesis: the network knew
        better than what the beam found.
    """

    width: int
    exact: float
    log_p: float
    length: float
    search_errors: float


class BeamsOfRun(NamedTuple):
    """The training step of the parameters, the number of examples, and a row for every width."""

    step: int
    examples: int
    rows: list[AtWidth]


def beams_of_run(
    path: Path, widths: Sequence[int], *, length_power: float = 0.0, data_dir: Path | None = None
) -> BeamsOfRun:
    """Beams of a run's best checkpoint (its last if there is no best), on the first validation
    batch.

    Args:
      length_power: a in ln p / length^a, by which hypotheses are ranked.

    Raises `UsageError` if the task writes no sequence, or a width is below 1.
    """
    for width in widths:
        if width < 1:
            raise UsageError(f"a beam's width must be at least 1, not {width}")
    require_range(length_power=length_power)
    trained = load_trained(path, data_dir, with_data=True)
    recipe = trained.plan.recipe
    if recipe.task.mode != "asynchronous":
        raise UsageError(f"{recipe.task.name} is {recipe.task.mode}: no beam writes its answers")
    batch = fixed_examples(trained.plan, 0)

    @partial(jax.jit, static_argnames="width")
    def measure(params: Tree, batch: Batch, width: int) -> tuple[Array, ...]:
        model = recipe.model(params)
        assert isinstance(model, Transducer)
        return measure_width(model, batch, recipe.task.target_steps, width, length_power)

    rows = []
    for width in widths:
        means = [float(np.mean(v)) for v in measure(trained.state.params, batch, width)]
        rows.append(AtWidth(width, *means))
    return BeamsOfRun(int(trained.state.step), batch.inputs_TxBxI.shape[1], rows)


def measure_width(
    model: Transducer, batch: Batch, steps: int, width: int, length_power: float
) -> tuple[Array, ...]:
    """Of every example the fields of `AtWidth` after the width, (B,) each."""
    found = beam(
        model, batch.inputs_TxBxI, batch.lengths_B, steps=steps, width=width,
        length_power=length_power,
    )  # fmt: skip
    best_UxB, log_p_B = found.symbols_UxBxW[..., 0], found.log_likelihood_BxW[:, 0]
    right_B = exact_match(best_UxB, batch).total_B
    true_B = target_log_p(model, batch)
    missed_B = (true_B > log_p_B + TOLERANCE * jnp.abs(log_p_B)) & (right_B == 0)
    return right_B, log_p_B, found.length_BxW[:, 0], missed_B.astype(float)


def target_log_p(model: Transducer, batch: Batch) -> Array:
    """ln p of every example's target, (B,)."""
    logits = model(batch.inputs_TxBxI, batch.targets, ForwardOptions(batch.lengths_B)).outputs
    nats_UxB = cross_entropy(logits, batch.targets)
    valid_UxB = valid_steps(len(nats_UxB), batch.target_lengths_B)
    return -jnp.sum(jnp.where(valid_UxB, nats_UxB, jnp.zeros_like(nats_UxB)), 0)
