"""Chrono initialisation, Tallec & Ollivier 2018: does it bring long memories sooner?

    rnnexp study experiments/studies/tallec_2018.py

The paper starts the forget gates of an LSTM with time constants spread up to the length T of the
dependencies, and finds that adding and copy memory are learned sooner than from a forget bias of 1.
It shows curves, no table, so that the claims are orderings. A public reproduction of adding did not
see the difference, which makes the question worth asking.
"""

from rnnexp.study import Bound, Ordering, Reference, Runs, Study, steps_until
from rnnexp.study.claims import Claim, Group

SEEDS = 5
LENGTHS = (100, 200)
"""Of adding, in steps."""
DELAY = 100
"""Of copy memory, in steps."""
COPIED = 10
"""Symbols that copy memory shows first and recalls last."""
UPDATES, COPY_UPDATES = 10_000, 8000
SOLVED = 0.05
"""A squared error of adding; no memory has 1/6."""
STARTS = ("chrono", "standard")


def changes(updates: int) -> dict[str, object]:
    """What all trainings have in common."""
    return {
        "cell.hidden_size": 64, "train.batch_size": 20, "train.duration_steps": updates,
        "optimizer.name": "rmsprop", "optimizer.learning_rate": 1e-3,
        "optimizer.rms_decay": 0.9, "optimizer.momentum": 0.0,
        "eval.every_steps": 200, "eval.examples": 500, "record.every_steps": 200,
        "checkpoint.every_steps": 2000,
    }  # fmt: skip


def started(start: str, steps: int) -> dict[str, object]:
    """The start of the gates: chrono up to `steps`, or a forget bias of 1."""
    return {"cell.chrono_steps": steps} if start == "chrono" else {"cell.forget_bias": 1.0}


def get_study() -> Study:
    """Chrono before standard on adding at two lengths and on copy memory."""
    source = "Tallec & Ollivier 2018, abstract and section 4"
    groups: list[Group] = []
    claims: list[Claim] = []
    for length in LENGTHS:
        names = {start: f"adding, T = {length}, {start}" for start in STARTS}
        groups += [
            Runs(
                name,
                "adding/lstm",
                {**changes(UPDATES), **started(start, length), "task.length_steps": length},
                SEEDS,
            )
            for start, name in names.items()
        ]
        claims.append(
            Ordering(
                name=f"adding, T = {length}: chrono is solved sooner",
                reference=Reference(
                    source, "T", convention=f"updates until validation is below {SOLVED}"
                ),
                pairs=[(names["chrono"], names["standard"])],
                measure="updates until solved",
                higher_is_better=False,
            )
        )
    claims.append(
        Bound(
            name=f"{names['chrono']}: solved",
            reference=Reference(source, "T", convention="squared error, mean of the trainings"),
            group=names["chrono"],
            measure="test_loss",
            at_most=SOLVED,
        )
    )
    copies = {start: f"copy memory, T = {DELAY}, {start}" for start in STARTS}
    groups += [
        Runs(
            name,
            "copy_memory/lstm",
            {
                **changes(COPY_UPDATES),
                **started(start, DELAY + COPIED),
                "task.delay_steps": DELAY,
            },
            SEEDS,
        )
        for start, name in copies.items()
    ]
    claims.append(
        Ordering(
            name=f"copy memory, T = {DELAY}: chrono has the lower loss",
            reference=Reference(source, "T", convention=f"after {COPY_UPDATES:,} updates"),
            pairs=[(copies["chrono"], copies["standard"])],
            measure="test_loss",
            higher_is_better=False,
        )
    )
    return Study(
        name="tallec_2018",
        paper="Tallec & Ollivier 2018, Can recurrent neural networks warp time?",
        table="curves of adding and copy memory",
        groups=groups,
        claims=claims,
        measures={"updates until solved": steps_until("valid", "loss", below=SOLVED)},
        deviations=[
            "64 units and a batch of 20, fewer than the paper's",
            "T up to 200, the paper's up to 750 (adding) and 2000 (copy memory)",
        ],
    )
