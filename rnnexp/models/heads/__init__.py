"""The table of heads. A new head is one file here and one row below.

A head turns the features of a model's top layer into what its task scores. Its factory
`(feature_size, output_size, key, *, options)` returns a `flax.nnx` module that holds the head's
parameters:

* `module(features) -> outputs`, features (..., F) to outputs (..., O) as the task's scores expect
  them: a distribution's logits, or an estimate.
* optionally `module.scores(features, batch, key) -> {name: Score}`, for a head that scores itself:
  a distribution that outputs (..., O) cannot express. It sees the targets, and a key for what it
  has to draw: in training that of the step, in an evaluation a fixed one. Its scores are in place
  of the task's. The task's `loss`, which is minimised, and its headline must be among them.
* with scores of its own, optionally `module.evaluation_scores`, with the same arguments, for
  evaluations: what is reported may be dearer than what is trained, or cannot be differentiated.
  The task's `loss` and its headline must be among them too.
* a factory with a keyword `top` gets the stack's top layer (`rnnexp.models.recurrent.Recurrent`),
  whose parameters the head may hold too (`top.param("w_h")`): they are then one and the same.
* optionally `module.note`: a line that a run says at its start.
* with scores of its own, `module.same_units = True` if they are the same quantities as the
  task's, all of which are then among them. If not, the task's baselines say nothing about them
  and are left out.
* `module.binary = True` if its targets must be 0 or 1.
* optionally `module.draw(features, key, temperature) -> (..., O)`: draws from the distribution,
  with which `rnnexp sample` writes. Temperature 0 takes what is likeliest.

A cell that is a network of its own (`Cell.is_network`) has no head.
"""

from collections.abc import Callable
from typing import Any

from rnnexp.core.registry import READING_MODES, Entry, Table

ROWS = {
    "linear": "one linear layer: Glorot uniform kernel, bias 0",
    "logistic": "logistic units, trained on their squared error; `wrong`: off by a tolerance",
    "rbm": "RBM: a frame of bits; exact up to 12 hidden units, CD-k beyond; tied, the RTRBM",
    "nade": "NADE: the exact distribution of a frame of bits, one bit after the other",
}
"""One line on every head. Its file and its factory have its name."""
HEADS = Table(
    "head",
    {
        name: Entry(f"rnnexp.models.heads.{name}:{name}", summary, READING_MODES)
        for name, summary in ROWS.items()
    },
)
head: Callable[..., Any] = HEADS.register
"""Decorator: `@rnnexp.head("name")` adds a factory `(feature_size, output_size, key, *, ...)`."""
