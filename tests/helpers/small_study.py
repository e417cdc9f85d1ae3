"""A study of four short trainings in two groups, made in seconds."""

from collections.abc import Mapping
from typing import Any

from rnnexp.study import (
    Constant,
    Margin,
    NotComparable,
    Number,
    Ordering,
    Reference,
    Runs,
    Study,
    steps_until,
)
from rnnexp.study.claims import Claim, Computation

PAPER = Reference("A & B 2020, Table 1", "V", 0.2, "test loss")
QUICK: Mapping[str, Any] = {
    "task.length_steps": 8, "cell.hidden_size": 4, "train.batch_size": 4,
    "train.duration_steps": 6, "eval.every_steps": 3, "eval.examples": 8,
    "checkpoint.every_steps": 3, "record.every_steps": 2,
}  # fmt: skip


def quick(name: str, cell: str, seeds: int = 4, **more: Any) -> Runs:
    """A group of short trainings on adding."""
    return Runs(name, f"adding/{cell}", QUICK, seeds=seeds, **more)


def number(name: str = "lstm, test loss", **changes: Any) -> Number:
    """A claim about the group `lstm`."""
    fields: dict[str, Any] = {
        "name": name, "reference": PAPER, "group": "lstm", "measure": "test_loss",
        "margin": Margin(5.0, "wide, for a test"), "higher_is_better": False,
    } | changes  # fmt: skip
    return Number(**fields)


def compute(seed: int) -> dict[str, float]:
    """What needs no training."""
    return {"value": 1.0 + seed}


def small_study(*claims: Claim, **changes: Any) -> Study:
    """The study, with these claims or one of every kind that matters for its table."""
    fields: dict[str, Any] = {
        "name": "small", "paper": "A & B 2020", "table": "Table 1",
        "groups": [quick("lstm", "lstm"), quick("rnn", "rnn"), Computation("by hand", compute)],
        "claims": claims or default_claims(),
        "measures": {"solved after": steps_until("train", "loss", below=1e9)},
    } | changes  # fmt: skip
    return Study(**fields)


def default_claims() -> list[Claim]:
    """A number, an ordering, a constant, and a figure that cannot be tested."""
    return [
        number(),
        Ordering(
            name="lstm before rnn", reference=Reference("A & B 2020, page 3", "T"),
            pairs=[("lstm", "rnn")], measure="test_loss", higher_is_better=False,
        ),
        number("lstm, updates", measure="solved after", margin=Margin(9.0, "a test")),
        Constant(
            name="by hand", reference=Reference("closed form", "C", 1.0), group="by hand",
            measure="value", margin=Margin(0.0, "exact"),
        ),
        NotComparable(name="their data", reference=PAPER, reason="private data"),
    ]  # fmt: skip
