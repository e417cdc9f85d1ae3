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
from rnnexp.models.decode import Beam, beam
from rnnexp.models.forward import ForwardOptions
from rnnexp.models.transduction import Transducer
from rnnexp.run.bleu import UNSEEN, corpus_bleu, sentence
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
      bleu: corpus BLEU of the best hypotheses, 0 to 100; None of a task that writes no words, or
        without sacrebleu.
    """

    width: int
    exact: float
    log_p: float
    length: float
    search_errors: float
    bleu: float | None = None


class BeamsOfRun(NamedTuple):
    """The training step of the parameters, the number of examples, and a row for every width.

    `bleu_note` is the signature of the BLEU, or how to get sacrebleu; empty where a task writes no
    words.
    """

    step: int
    examples: int
    rows: list[AtWidth]
    bleu_note: str = ""


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
    def measure(params: Tree, batch: Batch, width: int) -> tuple[Array, tuple[Array, ...]]:
        model = recipe.model(params)
        assert isinstance(model, Transducer)
        found = beam(
            model, batch.inputs_TxBxI, batch.lengths_B, steps=recipe.task.target_steps,
            width=width, length_power=length_power,
        )  # fmt: skip
        return found.symbols_UxBxW[..., 0], beam_figures(model, batch, found)

    rows, note = [], ""
    for width in widths:
        best_UxB, figures = measure(trained.state.params, batch, width)
        means = [float(np.mean(figure_B)) for figure_B in figures]
        bleu = None
        if recipe.task.output_words is not None:
            bleu, note = bleu_of(best_UxB, batch.targets, recipe.task.output_words)
        rows.append(AtWidth(width, *means)._replace(bleu=bleu))
    return BeamsOfRun(int(trained.state.step), batch.inputs_TxBxI.shape[1], rows, note)


def bleu_of(
    written_UxB: Array, targets_UxB: Array, words: Sequence[str]
) -> tuple[float | None, str]:
    """Corpus BLEU of classes that were written, and what `corpus_bleu` says of it."""
    written, targets = np.asarray(written_UxB).T.tolist(), np.asarray(targets_UxB).T.tolist()
    return corpus_bleu(
        [sentence(classes, words) for classes in written],
        [sentence(classes, words, unknown=UNSEEN) for classes in targets],
    )


def beam_figures(model: Transducer, batch: Batch, found: Beam) -> tuple[Array, ...]:
    """Of every example the fields of `AtWidth` after the width and before BLEU, (B,) each."""
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
