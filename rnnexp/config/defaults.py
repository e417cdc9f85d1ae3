"""Sections of the configuration with many keys, and the ranges of numeric keys."""

from typing import Any

POSITIVE = (
    "devices",
    "cell.hidden_size",
    "model.num_layers",
    "train.batch_size",
    "optimizer.learning_rate",
    "clip.threshold",
    "regularizer.flossing_exponents",
    "eval.batch_size",
    "eval.examples",
    "laboratory.interval_steps",
    "laboratory.iterations",
    "laboratory.memory_gib",
)
NOT_NEGATIVE = (
    "seed",
    "optimizer.momentum",
    "optimizer.weight_decay",
    "clip.adjoint_limit",
    "regularizer.omega",
    "regularizer.orthogonality",
    "regularizer.flossing",
    "regularizer.flossing_before_steps",
    "regularizer.flossing_every_steps",
    "early_stopping.patience",
    "laboratory.examples",
    "laboratory.exponents",
    "laboratory.warmup_steps",
    "laboratory.product_examples",
    "laboratory.longest_span",
    "laboratory.rank",
    "laboratory.lag_examples",
    "model.embedding_size",
)

LATER: dict[str, Any] = {
    "head.name": "linear",
    "eval.lengths": (),
    "model.embedding_size": 0,
    "model.tied_output": False,
}
"""Keys that came after runs had been named, and the value at which they change nothing.

At that value a key does not count in a run's name, so that runs made before are found again; and
a run without the key has that value.
"""


def model_defaults() -> dict[str, Any]:
    """The keys of `config.model`; see `rnnexp.models.structure`."""
    return {
        "num_layers": 1,
        "bidirectional": False,
        "residual": False,
        "layer_norm": False,
        "dropout": 0.0,  # between layers of one time step
        "variational_dropout": False,  # the same mask at all steps
        "recurrent_dropout": 0.0,  # on the hidden state, the same mask at all steps
        "zoneout": 0.0,
        "learned_state": False,
        "pooling": "last",  # of sequence_to_one: last, mean, max
        "attention": "none",  # of asynchronous: none, dot, additive
        "embedding_size": 0,  # features of an input symbol; 0: inputs as they are, or one-hot
        "tied_output": False,  # the readout has the matrix of the embedding
        "teacher_forcing": True,  # of narx: feed back the true outputs in training
        "kernel": "auto",  # compiled for this device: auto, compiled, scan
        "precision": "float32",  # of products on a GPU: float32, tf32, bf16
        "associative": False,  # parallel path of lru, min_gru, min_lstm
        "newton": "none",  # all steps at once, with full or diagonal Jacobians, if faster
        "cut_steps": 0,  # truncated BPTT; 0: full
        "remat_steps": 0,  # keep one state in so many, recompute the others; 0: keep all
    }


def regularizer_defaults() -> dict[str, Any]:
    """The keys of `config.regularizer`, weights first; see `rnnexp.gradflow.regularizers`."""
    return {
        "omega": 0.0,  # Pascanu's: backward steps keep the norm of the gradient; 0: off
        "orthogonality": 0.0,  # ||W^T W - I||^2 of recurrent kernels
        "flossing": 0.0,  # mean square of the leading Lyapunov exponents
        "flossing_exponents": 4,  # how many
        "flossing_before_steps": 0,  # so many first updates use flossing alone
        "flossing_every_steps": 1,  # then one step in so many adds it; 0: none
    }


def laboratory_defaults() -> dict[str, Any]:
    """The keys of `config.laboratory` besides `every`; see `rnnexp.laboratory.settings`.

    A measurement costs about as much as ten steps of training.
    """
    return {
        "examples": 2,  # trajectories, the longest of the first validation examples; 0: all
        "exponents": 8,  # Lyapunov exponents; 0: all
        "warmup_steps": 50,  # of a sequence, before exponents count
        "interval_steps": 4,  # between re-orthogonalisations
        "longest_span": 64,  # of singular values: k = 1, 2, 4 ... steps up to it; 0: none
        "rank": 4,  # singular values; 0: all
        "product_examples": 1,  # trajectories for them; 0: all
        "iterations": 12,  # of the Krylov method for them
        "lag_examples": 2,  # for the parts of dL/dW by lag; 0: without
        "adjoint_matrix": False,  # dL_s/dh_t of one example as a matrix
        "memory_gib": 2.0,  # limit for measuring
    }
