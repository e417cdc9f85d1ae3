"""The table of tasks. A new task is one file here and one row below.

`defaults` is where an experiment on the task starts; every key can be overridden.
"""

from rnnexp.tables import Entry, Table

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
    },
)
