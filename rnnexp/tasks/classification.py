"""Scores and the Task of tasks that classify whole sequences."""

import math
from collections.abc import Callable

from rnnexp.core.types import Array, Batch, Key
from rnnexp.tasks.base import Endless, Lengths, Score, Task
from rnnexp.tasks.scores import correct, cross_entropy, once


def classification_scores(logits_BxO: Array, batch: Batch) -> dict[str, Score]:
    """Cross-entropy in nats and accuracy, one term a sequence."""
    return {
        "loss": once(cross_entropy(logits_BxO, batch.targets)),
        "accuracy": once(correct(logits_BxO, batch.targets)),
    }


def drawn_classes(
    name: str,
    draw: Callable[[Key, int], Batch],
    *,
    input_size: int,
    classes: int,
    num_steps: int,
    lengths: Lengths | None,
) -> Task:
    """A task of endless batches whose classes are equally likely: chance is its baseline."""
    source = Endless(draw)
    return Task(
        name=name,
        mode="sequence_to_one",
        input_size=input_size,
        output_size=classes,
        num_steps=num_steps,
        train=source,
        valid=source,
        test=source,
        scores=classification_scores,
        baseline={"loss": math.log(classes), "accuracy": 1 / classes},
        headline="accuracy",
        higher_is_better=True,
        lengths=lengths,
    )
