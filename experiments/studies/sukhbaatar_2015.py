"""A memory network on bAbI with 1,000 questions a task: Sukhbaatar et al. 2015, Table 1.

    rnnexp study experiments/studies/sukhbaatar_2015.py --data-dir DATA

Six of the twenty tasks. All twenty, with the choice of the best of ten as in the paper, are in
`experiments/babi_errors.py`. The published errors are those of the authors' program with position
encoding, linear start and random noise.
"""

import math

from rnnexp.study import Margin, Number, Reference, Runs, Study

SEEDS = 6
QUESTIONS = 1000
"""Of a test set."""
WRONG_PERCENT = {1: 0.1, 2: 8.2, 12: 0.0, 15: 0.0, 16: 0.4, 20: 0.0}


def margin(accuracy: float) -> Margin:
    """Two standard errors of a test set, and no less than five questions."""
    error = math.sqrt(accuracy * (1 - accuracy) / QUESTIONS)
    return Margin(
        round(max(2 * error, 5 / QUESTIONS), 4),
        f"two standard errors of {QUESTIONS:,} questions, and no less than five of them",
    )


def get_study() -> Study:
    """The test accuracy on each of the tasks."""
    groups, claims = [], []
    for number, wrong in WRONG_PERCENT.items():
        accuracy = round(1 - wrong / 100, 4)
        name = f"task {number}"
        groups.append(Runs(name, "babi/memory_network", {"task.number": str(number)}, SEEDS))
        claims.append(
            Number(
                name=f"{name}: test accuracy",
                reference=Reference(
                    "Sukhbaatar, Szlam, Weston & Fergus 2015, the authors' program (MemNN)",
                    "V",
                    accuracy,
                    "of ten trainings the one with the lowest error on its training questions",
                ),
                group=name,
                measure="test_accuracy",
                margin=margin(accuracy),
                higher_is_better=True,
            )
        )
    return Study(
        name="sukhbaatar_2015",
        paper="Sukhbaatar, Szlam, Weston & Fergus 2015, End-to-end memory networks",
        table="Table 1, six tasks, position encoding, linear start, random noise",
        groups=groups,
        claims=claims,
        deviations=["the mean of all trainings; the paper: of ten the best on its training set"],
        notes=[
            "tasks 16 and 20: two trainings of six end in a poor optimum, which the paper's choice "
            "by the training error leaves out",
            "task 2: with that choice ours has 10.9 % wrong too, above the paper's 8.2 "
            "(experiments/babi_errors.py)",
            "task 15: six equal values do not tell how far others would lie",
        ],
    )
