"""The table of tasks. A new task is one file here and one row below.

`defaults` is where an experiment on the task starts; every key can be overridden.
"""

from collections.abc import Callable
from typing import Any

from rnnexp.core.registry import Entry, Table

TASKS = Table(
    "task",
    {
        "copy_memory": Entry(
            "rnnexp.tasks.copy_memory:copy_memory",
            "recall 10 symbols after a delay",
            ("synchronous",),
            {"optimizer.learning_rate": 5e-3},
        ),
        "adding": Entry(
            "rnnexp.tasks.adding:adding",
            "add the two marked numbers of a long sequence",
            ("sequence_to_one",),
            {"optimizer.learning_rate": 5e-3},
        ),
        "mnist": Entry(
            "rnnexp.tasks.mnist:mnist",
            "classify MNIST digits row by row or pixel by pixel, in order or permuted",
            ("sequence_to_one",),
            {
                "train.batch_size": 100,
                "train.duration_epochs": 5,
                "eval.every_epochs": 1,
                "optimizer.learning_rate": 2e-3,
                "optimizer.schedule": "cosine",
            },
        ),
        "digits": Entry(
            "rnnexp.tasks.digits:digits",
            "classify scikit-learn's 8 x 8 digits pixel by pixel; needs no download",
            ("sequence_to_one",),
            {
                "train.duration_epochs": 60,
                "eval.every_epochs": 10,
                "optimizer.learning_rate": 5e-3,
                "optimizer.schedule": "cosine",
            },
        ),
        "temporal_order": Entry(
            "rnnexp.tasks.temporal_order:temporal_order",
            "in which order did the 2 or 3 relevant symbols come?",
            ("sequence_to_one",),
            {"optimizer.learning_rate": 5e-3},
        ),
        "delayed_xor": Entry(
            "rnnexp.tasks.delayed_xor:delayed_xor",
            "the exclusive or of two bits, far apart in noise",
            ("sequence_to_one",),
            {"optimizer.learning_rate": 5e-3},
        ),
        "parity": Entry(
            "rnnexp.tasks.parity:parity",
            "whether a sequence of bits has an odd number of ones",
            ("sequence_to_one",),
            {"optimizer.learning_rate": 5e-3},
        ),
        "associative_recall": Entry(
            "rnnexp.tasks.associative_recall:associative_recall",
            "the value that was stored under a key",
            ("sequence_to_one",),
            {"optimizer.learning_rate": 5e-3},
        ),
        "selective_copy": Entry(
            "rnnexp.tasks.selective_copy:selective_copy",
            "recall symbols that came at unknown moments, in their order",
            ("synchronous",),
            {"optimizer.learning_rate": 5e-3},
        ),
        "mackey_glass": Entry(
            "rnnexp.tasks.mackey_glass:mackey_glass",
            "predict a chaotic series with delay, one step ahead or running free",
            ("synchronous",),
            {"optimizer.learning_rate": 3e-3, "optimizer.schedule": "cosine"},
        ),
        "narma10": Entry(
            "rnnexp.tasks.narma10:narma10",
            "a nonlinear moving average of order 10",
            ("synchronous",),
            {"optimizer.learning_rate": 3e-3, "optimizer.schedule": "cosine"},
        ),
        "reverse": Entry(
            "rnnexp.tasks.reverse:reverse",
            "write a sequence of symbols backwards",
            ("asynchronous",),
            {"optimizer.learning_rate": 3e-3},
        ),
        "sort": Entry(
            "rnnexp.tasks.sort:sort",
            "write a sequence of symbols in order",
            ("asynchronous",),
            {"optimizer.learning_rate": 3e-3},
        ),
        "date_format": Entry(
            "rnnexp.tasks.date_format:date_format",
            "write a free-form date as YYYY-MM-DD",
            ("asynchronous",),
            {"optimizer.learning_rate": 3e-3, "optimizer.schedule": "cosine"},
        ),
        "addition": Entry(
            "rnnexp.tasks.addition:addition",
            "read two numbers digit by digit, write the digits of their sum",
            ("asynchronous",),
            {"optimizer.learning_rate": 3e-3, "optimizer.schedule": "cosine"},
        ),
        **{
            name: Entry(
                f"rnnexp.tasks.music:{name}",
                f"next frame of a piano roll: {what}",
                ("synchronous",),
                {
                    "train.batch_size": 16,
                    "train.duration_epochs": 100,
                    "eval.every_epochs": 2,
                    "eval.batch_size": 16,
                    "early_stopping.patience": 10,
                    "optimizer.learning_rate": 3e-3,
                },
            )
            for name, what in {
                "jsb_chorales": "Bach's chorales",
                "nottingham": "folk tunes",
                "musedata": "orchestral and piano music",
                "piano_midi": "classical piano music",
            }.items()
        },
        "char_lm": Entry(
            "rnnexp.tasks.char_lm:char_lm",
            "the next character of a text file; tiny Shakespeare by default",
            ("synchronous",),
            {"optimizer.learning_rate": 2e-3, "optimizer.schedule": "cosine"},
        ),
    },
)
task: Callable[..., Any] = TASKS.register
"""Decorator: `@rnnexp.task("name", modes=("synchronous",))` adds a task factory `(*, ...)`."""
