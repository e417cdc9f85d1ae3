"""Formal languages in Delétang et al. 2022: who generalises from short strings to long ones.

    rnnexp study experiments/studies/deletang_2022.py

Table 2 has the accuracy on strings of 41 to 500 symbols after training on 1 to 40. RNN and LSTM
solve regular languages. To reverse a string needs a stack: there they do little better than chance,
and a network with a stack succeeds.

From the authors' code (google-deepmind/neural_networks_chomsky_hierarchy) come the languages, a
blank input for every output, Adam, the norm of the gradient clipped at 1, batches of 128 strings of
one length, uniform from 1 to 40, 512 strings a length in the test, and the score, the mean accuracy
over all lengths above 40. Its RNN is rectified, as is Haiku's. In its issue 7 the authors write
that the table has the largest score of 10 seeds, after 1,000,000 updates, at rates of 1e-4, 3e-4
and 5e-4. Of the table, three rows were read, in another paper.
"""

from typing import Any

from rnnexp.study import Bound, Ordering, Reference, Runs, Study, mean_of_last
from rnnexp.study.claims import Claim, Group

SEEDS = 5
LENGTHS = tuple(range(41, 501, 51))
"""41, 92, ... 500: ten of the paper's 460 lengths, evenly spaced."""
REVERSED = LENGTHS[:5]
"""41 to 245, as deep as the stacks are."""
SOLVED = 0.9
REGULAR = ("even_pairs", "parity_check", "cycle_navigation", "modular_arithmetic")
READ = ("parity_check", "modular_arithmetic")
"""The regular languages whose rows of the table were read: 100 % for both cells."""
REVERSE = {"rnn": 0.620, "lstm": 0.609, "stack_rnn": 1.0}
"""The row of the reversed strings."""
CELLS: dict[str, dict[str, Any]] = {
    "rnn": {
        "cell.activation": "relu", "cell.hidden_size": 64, "train.batch_size": 64,
        "train.duration_steps": 10_000, "optimizer.learning_rate": 3e-3,
    },
    "lstm": {
        "cell.hidden_size": 64, "train.batch_size": 64,
        "train.duration_steps": 5_000, "optimizer.learning_rate": 3e-3,
    },
    "stack_rnn": {
        "cell.stacks": 8, "cell.depth": REVERSED[-1], "cell.reads": 1, "cell.no_op": True,
        "cell.recurrent": True, "cell.hidden_size": 64, "train.batch_size": 32,
        "train.duration_steps": 1_000, "optimizer.learning_rate": 1e-2,
    },
}  # fmt: skip

TABLE = "Delétang et al. 2022, Table 2, as in Xu et al., DeltaFormer, Table 5"
ABSTRACT = "Delétang et al. 2022, abstract"
SCORE = "the largest score of 10 seeds"


def changes(cell: str, language: str, lengths: tuple[int, ...]) -> dict[str, Any]:
    """The settings of a cell's trainings on a language."""
    updates = CELLS[cell]["train.duration_steps"]
    return CELLS[cell] | {
        "task.language": language, "task.length_steps": 40, "optimizer.schedule": "cosine",
        "eval.lengths": lengths, "eval.examples": 512, "eval.every_steps": updates // 10,
        "checkpoint.every_steps": updates // 2, "record.every_steps": updates // 20,
    }  # fmt: skip


def regular_claim(cell: str, language: str) -> Claim:
    """The cell solves a regular language."""
    source = {
        "rnn": Reference(ABSTRACT, "V", convention="RNNs fail on non-regular tasks"),
        "lstm": Reference(ABSTRACT, "V", convention="LSTMs can solve regular tasks"),
    }[cell]
    return Bound(
        name=f"{language}, {cell}: solved",
        reference=Reference(TABLE, "T", 1.0, SCORE) if language in READ else source,
        group=f"{language}, {cell}",
        measure="score",
        at_least=SOLVED,
    )


def reverse_claims() -> list[Claim]:
    """The stack alone solves the reversed strings, and is better than both others."""
    shorter = (
        f"strings of {REVERSED[0]} to {REVERSED[-1]} symbols, not 500, which favours those that "
        "remember the last symbols alone"
    )
    stack = (
        "8 stacks of a number each with actions of their own and logistic units, instead of "
        "one stack of 8 numbers and a rectified RNN; batches of 32 strings"
    )
    bounds: list[Claim] = [
        Bound(
            name=f"reverse_string, {cell}: {'solved' if score > SOLVED else 'not solved'}",
            reference=Reference(TABLE, "T", score, SCORE),
            group=f"reverse_string, {cell}",
            measure="score_to_245",
            at_least=SOLVED if score > SOLVED else None,
            at_most=None if score > SOLVED else SOLVED,
            deviations=[shorter, stack] if cell == "stack_rnn" else [shorter],
        )
        for cell, score in REVERSE.items()
    ]
    orderings: list[Claim] = [
        Ordering(
            name=f"reverse_string: stack_rnn before {other}",
            reference=Reference(ABSTRACT, "V", convention="only memory generalises there"),
            pairs=[("reverse_string, stack_rnn", f"reverse_string, {other}")],
            measure="score_to_245",
            higher_is_better=True,
            deviations=[shorter, stack],
        )
        for other in ("rnn", "lstm")
    ]
    return bounds + orderings


def get_study() -> Study:
    """Regular languages with RNN and LSTM, reversed strings with a stack too."""
    tested = [(language, cell, LENGTHS) for language in REGULAR for cell in ("rnn", "lstm")]
    tested += [("reverse_string", cell, REVERSED) for cell in REVERSE]
    groups: list[Group] = [
        Runs(
            f"{language}, {cell}",
            f"formal_language/{cell}",
            changes(cell, language, lengths),
            SEEDS,
        )
        for language, cell, lengths in tested
    ]
    return Study(
        name="deletang_2022",
        paper="Delétang et al. 2022, Neural networks and the Chomsky hierarchy",
        table="Table 2: accuracy on strings longer than in training",
        groups=groups,
        claims=[
            *(regular_claim(cell, language) for language in REGULAR for cell in ("rnn", "lstm")),
            *reverse_claims(),
        ],
        measures={
            "score": mean_of_last("length", "accuracy", len(LENGTHS)),
            "score_to_245": mean_of_last("length", "accuracy", len(REVERSED)),
        },
        deviations=[
            "10,000 (RNN), 5,000 (LSTM) and 1,000 (stack) updates instead of 1,000,000",
            "64 hidden units instead of 256; batches of 64 strings instead of 128",
            "every string has a length of its own, where a batch there has one",
            "rates of 3e-3 (RNN, LSTM) and 1e-2 (stack) that fall along a cosine, chosen on other "
            "seeds, instead of the best of three constant ones",
            "the mean of 5 seeds, each at its least validation loss, instead of the largest of 10",
            "every 51st length from 41 on instead of all",
            "the LSTM's output is not rectified before the readout",
            f"solved is a score of {SOLVED} or more, a limit of this study",
        ],
        notes=[
            "modular_arithmetic: within these updates strings of the training lengths are not "
            "learned either, so that the longer ones say nothing of generalisation",
            "cycle_navigation, lstm: strings of the training lengths are learned (a validation "
            "accuracy of 0.99 in the first seed), longer ones are not",
            "reverse_string: all three learn the training lengths (0.95 lstm, 0.99 rnn, 1 "
            "stack_rnn, first seed); the stack alone goes on",
        ],
    )
