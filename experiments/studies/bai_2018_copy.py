"""Copy memory in Bai, Kolter & Koltun 2018: at which delays LSTM and GRU stop to recall.

    rnnexp study experiments/studies/bai_2018_copy.py

Figure 5 has networks of about 10,000 parameters: the LSTM recalls less than 20 % of the symbols
beyond a delay of 50 steps, the GRU beyond 200. Table 1 has the losses of networks of about 16,000
parameters at delay 1000: 0.0204, 0.0197 and 0.0202 for LSTM, GRU and RNN. A network that has
learnt only when to write blanks has 10 ln 8 / 1020 = 0.020387 there, so that the claim is that
none of the three learns more.

The authors' code for these baselines is not public; that for their convolutional network is. From
it come the batch of 32, RMSProp at 5e-4, 50 epochs of 313 updates, and clipping that has no
effect because it comes before the gradient is computed.
"""

from rnnexp.study import Bound, Margin, Number, Reference, Runs, Study
from rnnexp.study.claims import Claim, Group

SEEDS = 5
DELAYS = {"lstm": (50, 100), "gru": (200,)}
HIDDEN = {"lstm": 44, "gru": 51}
"""About 10,000 parameters."""
WIDE = {"lstm": 57, "gru": 66, "rnn": 117}
"""About 16,000 parameters."""
LONG = 1000
TABLE = {"lstm": 0.0204, "gru": 0.0197, "rnn": 0.0202}
UPDATES, LONG_UPDATES = 15_650, 2000


def changes(delay: int, hidden_size: int, updates: int) -> dict[str, object]:
    """What the trainings of one delay have in common."""
    return {
        "task.delay_steps": delay, "cell.hidden_size": hidden_size,
        "train.batch_size": 32, "train.duration_steps": updates,
        "optimizer.name": "rmsprop", "optimizer.learning_rate": 5e-4, "clip.name": "none",
        "eval.every_steps": updates // 10, "eval.examples": 512,
        "checkpoint.every_steps": updates // 4, "record.every_steps": updates // 20,
    }  # fmt: skip


def get_study() -> Study:
    """Bounds on the recall of Figure 5, and the losses of Table 1."""
    figure = "Bai, Kolter & Koltun 2018, section 5 and Figure 5"
    recall = "accuracy on the recalled symbols, 10,000 parameters"
    groups: list[Group] = []
    claims: list[Claim] = []
    for cell, delays in DELAYS.items():
        for delay in delays:
            name = f"{cell}, T = {delay}"
            groups.append(
                Runs(name, f"copy_memory/{cell}", changes(delay, HIDDEN[cell], UPDATES), SEEDS)
            )
            claims.append(
                Bound(
                    name=f"{name}: recalls less than 20 %",
                    reference=Reference(figure, "T", convention=recall),
                    group=name,
                    measure="test_recall_accuracy",
                    at_most=0.2,
                )
            )
    for cell, loss in TABLE.items():
        name = f"{cell}, T = {LONG}"
        groups.append(
            Runs(name, f"copy_memory/{cell}", changes(LONG, WIDE[cell], LONG_UPDATES), SEEDS)
        )
        reference = Reference(
            "Bai, Kolter & Koltun 2018, Table 1", "T", loss, "test loss, 16,000 parameters"
        )
        claims.append(
            Number(
                name=f"{name}: test loss",
                reference=reference,
                group=name,
                measure="test_loss",
                published="single",
                higher_is_better=False,
                margin=Margin(
                    0.0007, "the spread of the paper's own three cells, none of which learns"
                ),
                deviations=[f"{LONG_UPDATES:,} updates: the loss is at its constant by then"],
            )
        )
    return Study(
        name="bai_2018_copy",
        paper="Bai, Kolter & Koltun 2018, An empirical evaluation of generic convolutional and "
        "recurrent networks for sequence modeling",
        table="Figure 5 and Table 1, copy memory",
        groups=groups,
        claims=claims,
        deviations=[
            "the baselines' settings are not published: those of the authors' convolutional code",
            "symbols are one-hot; that code reads each as one number",
            "new examples in every batch; that code repeats 10,000",
        ],
        notes=[
            "LSTM at 50 and GRU at 200 recall more here; the likeliest reason is that no example "
            "is seen twice, as it is among their 10,000",
            "GRU at 1000: the published loss is 0.0007 below the constant of no memory, ours on it",
        ],
    )
