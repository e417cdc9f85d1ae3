"""Every key of the configuration but the options of what is chosen by name: default and meaning."""

from typing import Any, NamedTuple

UNITS = {
    "steps": "in optimiser steps",
    "epochs": "in passes over the training set",
    "examples": "in training examples",
}
"""The units of a duration, one of which is set."""
POSITIVE, NOT_NEGATIVE = "positive", "not negative"


class Key(NamedTuple):
    """A key's default, its meaning in a line, and the range of a number: `POSITIVE` or so."""

    default: Any
    meaning: str
    range: str = ""


class Duration(NamedTuple):
    """A key that is given in one of `UNITS`: its default in steps, its meaning, and that of 0."""

    steps: int
    meaning: str
    may_be_zero: bool = False
    at_zero: str = "none"


DURATIONS = {
    "train.duration": Duration(2000, "length of the training"),
    "eval.every": Duration(200, "time between two validations"),
    "checkpoint.every": Duration(200, "time between two checkpoints to resume from"),
    "record.every": Duration(10, "time between two recorded steps: losses and gradient norms"),
    "optimizer.warmup": Duration(0, "in which the learning rate grows from 0", may_be_zero=True),
    "optimizer.decay": Duration(
        0,
        "from the warmup to the end of the schedule",
        may_be_zero=True,
        at_zero="with the training",
    ),
    "checkpoint.keep_every": Duration(
        0, "time between two checkpoints that are never deleted", may_be_zero=True
    ),
    "laboratory.every": Duration(
        0, "time between two measurements of the laboratory", may_be_zero=True
    ),
}
"""Keys that end in `_steps`, `_epochs` or `_examples`."""
RUN = {
    "seed": Key(0, "of initial weights, the order of the data and synthetic batches", NOT_NEGATIVE),
    "devices": Key(1, "over which every batch is divided, in all processes together", POSITIVE),
    "task.name": Key("", "the task, fixed by TASK/CELL; its options stand beside it"),
    "cell.name": Key("", "the cell, fixed by TASK/CELL; its options stand beside it"),
    "cell.hidden_size": Key(128, "units of the cell's hidden state", POSITIVE),
    "head.name": Key(
        "linear", "what features become a distribution by (`rnnexp list heads`), with its options"
    ),
}
MODEL = {
    "model.num_layers": Key(1, "cells on top of each other", POSITIVE),
    "model.bidirectional": Key(False, "a second cell in every layer reads the sequence backwards"),
    "model.residual": Key(False, "add a layer's input to its output, where the sizes agree"),
    "model.layer_norm": Key(False, "normalise every layer's output over its features"),
    "model.dropout": Key(0.0, "fraction of a layer's outputs hidden from the layer above"),
    "model.variational_dropout": Key(False, "dropout has the same mask at all steps"),
    "model.recurrent_dropout": Key(
        0.0, "fraction of the hidden state hidden from the next step, one mask for all steps"
    ),
    "model.weight_noise": Key(
        0.0,
        "standard deviation of noise on the cells' weights, drawn anew every update",
        NOT_NEGATIVE,
    ),
    "model.noisy_evaluation": Key(False, "evaluations have the weight noise too"),
    "model.start": Key("cell", "first weights: cell, uniform, gaussian; cell: its own start"),
    "model.start_scale": Key(
        0.1, "of uniform: the largest weight; of gaussian: the standard deviation", POSITIVE
    ),
    "model.start_recurrent": Key(
        "weights", "first recurrent matrices: weights, cell, orthogonal, sparse; weights: as those"
    ),
    "model.start_biases": Key("cell", "first biases: cell, weights, zero; weights: as those"),
    "model.start_entries": Key(15, "of sparse: numbers in a row that are not 0", POSITIVE),
    "model.start_radius": Key(0.95, "of sparse: the spectral radius", POSITIVE),
    "model.zoneout": Key(0.0, "fraction of every state that keeps its old value"),
    "model.learned_state": Key(False, "the initial state is a parameter"),
    "model.pooling": Key("last", "input of a sequence_to_one readout: last, mean, max"),
    "model.attention": Key(
        "none", "of an asynchronous decoder to the encoder: none, dot, additive"
    ),
    "model.embedding_size": Key(
        0, "features of an input symbol; 0: inputs as they are, or one-hot", NOT_NEGATIVE
    ),
    "model.tied_output": Key(False, "the readout has the matrix of the embedding"),
    "model.teacher_forcing": Key(True, "narx: feed back the true outputs in training"),
    "model.kernel": Key("auto", "the time loop, compiled for this device: auto, compiled, scan"),
    "model.precision": Key("float32", "of products on a GPU: float32, tf32, bf16"),
    "model.associative": Key(False, "parallel path through time of lru, min_gru, min_lstm"),
    "model.newton": Key(
        "none", "all steps at once, by Jacobians: none, full, diagonal; used where faster"
    ),
    "model.cut_steps": Key(0, "truncated backpropagation through so many steps; 0: full"),
    "model.remat_steps": Key(0, "keep one state in so many and recompute the others; 0: keep all"),
}
"""See `rnnexp.models.structure` and `rnnexp.models.start`."""
TRAINING = {
    "train.batch_size": Key(64, "examples in a batch, over all devices", POSITIVE),
    "train.budget_minutes": Key(
        0.0,
        "after which a process stops its runs with a checkpoint, to be resumed; 0: never",
        NOT_NEGATIVE,
    ),
    "optimizer.name": Key(
        "adam", "sgd, momentum, rmsprop, adam, adamw; options: `rnnexp list optimizers --options`"
    ),
    "optimizer.learning_rate": Key(1e-3, "the largest one, after the warmup", POSITIVE),
    "optimizer.momentum": Key(0.9, "of momentum and rmsprop", NOT_NEGATIVE),
    "optimizer.weight_decay": Key(1e-4, "of adamw", NOT_NEGATIVE),
    "optimizer.rms_decay": Key(
        0.9, "of rmsprop: fraction of the mean of squares that is kept", NOT_NEGATIVE
    ),
    "optimizer.rms_floor": Key(
        0.0, "of rmsprop: smallest divisor of a gradient; 0: none", NOT_NEGATIVE
    ),
    "optimizer.schedule": Key(
        "constant", "of the learning rate after the warmup: constant, linear, cosine"
    ),
    "optimizer.rate_floor": Key(
        0.0, "of linear and cosine: the last rate, as a fraction of the largest", NOT_NEGATIVE
    ),
    "loss.name": Key(
        "default", "what is minimised: default, absolute_error, huber, label_smoothing"
    ),
    "loss.reduction": Key("mean", "of the loss over a sequence's steps: mean, sum"),
    "clip.name": Key(
        "global_norm",
        "of the gradient: none, global_norm, value, adaptive; of the update: update_norm",
    ),
    "clip.threshold": Key(1.0, "at which the gradient, or the update, is clipped", POSITIVE),
    "clip.adjoint_limit": Key(
        0.0, "largest norm of dL/ds_t in the backward pass; 0: any", NOT_NEGATIVE
    ),
}
REGULARIZER = {
    "regularizer.omega": Key(
        0.0, "weight: backward steps keep the norm of the gradient (Pascanu); 0: off", NOT_NEGATIVE
    ),
    "regularizer.omega_form": Key(
        "norms",
        "of omega: norms, squares; norms: sum of (ratio - 1)^2; squares: mean of (ratio^2 - 1)^2",
    ),
    "regularizer.orthogonality": Key(
        0.0, "weight of ||W^T W - I||^2 of recurrent kernels; 0: off", NOT_NEGATIVE
    ),
    "regularizer.flossing": Key(
        0.0, "weight of the mean square of the leading Lyapunov exponents; 0: off", NOT_NEGATIVE
    ),
    "regularizer.flossing_exponents": Key(4, "how many exponents flossing takes", POSITIVE),
    "regularizer.flossing_before_steps": Key(
        0, "so many first updates use flossing alone", NOT_NEGATIVE
    ),
    "regularizer.flossing_again_steps": Key(
        (), "at which as many updates of flossing alone begin again; none: never"
    ),
    "regularizer.flossing_every_steps": Key(
        1, "one of so many other updates adds flossing; 0: none", NOT_NEGATIVE
    ),
    "regularizer.flossing_window_steps": Key(
        0, "first time steps whose exponents flossing takes; 0: all", NOT_NEGATIVE
    ),
    "regularizer.flossing_examples": Key(
        0, "first examples of a batch that flossing takes; 0: all", NOT_NEGATIVE
    ),
    "regularizer.flossing_optimizer": Key(
        "shared", "of flossing alone: shared, own; own has moments apart, without clipping"
    ),
}
"""See `rnnexp.gradflow.regularizers`."""
EVALUATION = {
    "eval.batch_size": Key(256, "examples in a batch of an evaluation", POSITIVE),
    "eval.examples": Key(
        1024,
        "examples in an evaluation of an endless task; data sets are evaluated whole",
        POSITIVE,
    ),
    "eval.at_start": Key(False, "validate before the first update too"),
    "eval.lengths": Key((), "at which the trained network is tested too; none: the task's own"),
    "early_stopping.patience": Key(
        0, "validations without gain after which a run ends; 0: off", NOT_NEGATIVE
    ),
    "early_stopping.goal": Key("", "a score of validations whose goal ends a run; none: off"),
    "early_stopping.goal_below": Key(0.0, "the goal: the mean of that score is below this"),
    "early_stopping.goal_validations": Key(1, "in so many last validations together", POSITIVE),
}
LABORATORY = {
    "laboratory.examples": Key(
        2, "trajectories, the longest of the first validation examples; 0: all", NOT_NEGATIVE
    ),
    "laboratory.exponents": Key(8, "Lyapunov exponents; 0: all", NOT_NEGATIVE),
    "laboratory.warmup_steps": Key(50, "of a sequence, before exponents count", NOT_NEGATIVE),
    "laboratory.interval_steps": Key(4, "between re-orthogonalisations", POSITIVE),
    "laboratory.longest_span": Key(
        64, "of singular values: k = 1, 2, 4 ... steps up to it; 0: none", NOT_NEGATIVE
    ),
    "laboratory.rank": Key(4, "singular values; 0: all", NOT_NEGATIVE),
    "laboratory.product_examples": Key(1, "trajectories for singular values; 0: all", NOT_NEGATIVE),
    "laboratory.iterations": Key(12, "of the Krylov method for singular values", POSITIVE),
    "laboratory.lag_examples": Key(
        2, "examples for the parts of dL/dW by lag; 0: without", NOT_NEGATIVE
    ),
    "laboratory.each_lag": Key(False, "measure the part of dL/dW from every single lag too"),
    "laboratory.adjoint_matrix": Key(False, "measure dL_s/dh_t of one example as a matrix too"),
    "laboratory.memory_gib": Key(2.0, "limit of memory for measuring, in GiB", POSITIVE),
}
"""Besides `laboratory.every`; see `rnnexp.laboratory.settings`. A measurement costs about as much
as ten steps of training."""
LOG = {
    "log.tensorboard": Key(
        False, "write every figure into an event file of TensorBoard too, while the run trains"
    ),
}
"""Besides `metrics.jsonl`; see `rnnexp.run.tensorboard`."""
KEYS: dict[str, Key] = {
    **RUN, **MODEL, **TRAINING, **REGULARIZER, **EVALUATION, **LABORATORY, **LOG,
    **{
        f"{name}_{unit}": Key(
            duration.steps if unit == "steps" else None,
            f"{duration.meaning}, {words}" + f"; 0: {duration.at_zero}" * duration.may_be_zero,
        )
        for name, duration in DURATIONS.items()
        for unit, words in UNITS.items()
    },
}  # fmt: skip
"""All keys. A duration's units other than steps are unset (None)."""

LATER: dict[str, Any] = {
    "head.name": "linear",
    "eval.lengths": (),
    "eval.at_start": False,
    "train.budget_minutes": 0.0,
    "log.tensorboard": False,
    "model.embedding_size": 0,
    "model.tied_output": False,
    "laboratory.each_lag": False,
    "model.weight_noise": 0.0,
    "model.noisy_evaluation": False,
    "model.start": "cell",
    "model.start_scale": 0.1,
    "model.start_recurrent": "weights",
    "model.start_biases": "cell",
    "model.start_entries": 15,
    "model.start_radius": 0.95,
    "optimizer.rms_decay": 0.9,
    "optimizer.rms_floor": 0.0,
    "optimizer.rate_floor": 0.0,
    "optimizer.decay_steps": 0,
    "optimizer.decay_epochs": None,
    "optimizer.decay_examples": None,
    "loss.name": "default",
    "loss.reduction": "mean",
    "early_stopping.goal": "",
    "early_stopping.goal_below": 0.0,
    "early_stopping.goal_validations": 1,
    "regularizer.omega_form": "norms",
    "regularizer.flossing_again_steps": (),
    "regularizer.flossing_window_steps": 0,
    "regularizer.flossing_examples": 0,
    "regularizer.flossing_optimizer": "shared",
}
"""Keys that came after runs had been named, and the value at which they change nothing.

At that value a key does not count in a run's name, so that runs made before are found again; and
a run without the key has that value.
"""

LATER_OF_TASKS: dict[str, dict[str, Any]] = {
    "char_lm": {"task.encoding": "utf-8", "task.unknown": False},
    "word_lm": {"task.encoding": "utf-8"},
    "adding": {"task.form": "2015", "task.operation": "sum"},
    "temporal_order": {"task.form": "2013", "task.shortest_steps": 0},
}
"""`LATER` of tasks' own options, by the name of the task; another task's option of that name is
another option."""


LATER_OF_CELLS: dict[str, dict[str, Any]] = {
    "lstm": {"cell.without": "nothing"},
    "lstm_1997": {"cell.truncated": False},
}
"""The same of cells' options."""


def later_keys(task: str, cell: str) -> dict[str, Any]:
    """`LATER` with those of a task and of a cell of these names."""
    return LATER | LATER_OF_TASKS.get(task, {}) | LATER_OF_CELLS.get(cell, {})


SHARED = (
    "optimizer.momentum", "optimizer.weight_decay", "optimizer.rms_decay", "optimizer.rms_floor",
    "optimizer.rate_floor",
)  # fmt: skip
"""Keys of every experiment that an optimiser or a schedule may have as an option."""

WORK = ("train.budget_minutes", "log.tensorboard")
"""Keys that say how a process works and change nothing of what a run becomes: they do not count in
a run's name, and runs do not differ in them."""


def section_defaults(section: str) -> dict[str, Any]:
    """The defaults of a section's keys but its durations, by their names within the section."""
    names = {key: key.removeprefix(f"{section}.") for key in KEYS if key.startswith(f"{section}.")}
    timed = tuple(f"{name}_" for name in DURATIONS)
    return {name: KEYS[key].default for key, name in names.items() if not key.startswith(timed)}
