"""Gated units on polyphonic music: LSTM, GRU and tanh; Chung, Gulcehre, Cho & Bengio 2014.

    RNNEXP_DATA=DATA rnnexp study experiments/studies/chung_2014.py

Table 1 has the sizes of three networks with equally many parameters, Table 2 their negative
log-likelihoods a frame. The paper leaves open how they start and how the loss of a sequence is
summed; the authors' code (`jych/librnn`, which builds on `lisa-lab/pylearn2`) says: weights
U(-0.1, 0.1), each recurrent block orthogonal, biases 0, sequences one at a time, the loss summed
over a sequence's steps, the divisor of RMSProp at least 0.01. Its own recipe differs from the
paper's: it clips the update, not the gradient, the rate falls linearly, the GRU has 48 units, and
the weight noise is on while validation chooses the epoch. JSB Chorales has a column for either.

Test and training figures are pooled over all frames but the first of a sequence; `mean of
sequences` is the other average.
"""

from collections.abc import Mapping

import numpy as np

from rnnexp.study import (
    Computation,
    Constant,
    Margin,
    NotComparable,
    Number,
    Ordering,
    Reference,
    Runs,
    Study,
    score_of,
)
from rnnexp.study.claims import Claim, Group

SOURCE = "Chung, Gulcehre, Cho & Bengio 2014, Table 2"
CONVENTION = "nats a frame; the paper does not say how it averages"
POOLED, SEQUENCES = "here pooled over frames", "here the mean of sequences"
CELLS: dict[str, Mapping[str, object]] = {
    "tanh": {"cell.hidden_size": 100},
    "GRU": {"cell.hidden_size": 46, "cell.reset": "before"},
    "LSTM": {"cell.hidden_size": 36, "cell.peepholes": True},
}
NAMES = {"tanh": "rnn", "GRU": "gru", "LSTM": "lstm"}
INPUTS = (96, 93, 105, 108)
"""Notes of the authors' four sets; eight to twenty of them never sound."""
COUNTS = {"tanh": 20.1e3, "GRU": 20.2e3, "LSTM": 19.8e3}
TASKS = {
    "JSB Chorales": "jsb_chorales", "Piano-midi": "piano_midi", "Nottingham": "nottingham",
    "MuseData": "musedata",
}  # fmt: skip
MUSIC = {
    "JSB Chorales": {"tanh": (8.82, 9.10), "GRU": (6.94, 8.54), "LSTM": (8.15, 8.67)},
    "Piano-midi": {"tanh": (5.64, 9.03), "GRU": (4.93, 8.82), "LSTM": (6.49, 9.03)},
    "Nottingham": {"tanh": (3.22, 3.13), "GRU": (2.79, 3.23), "LSTM": (3.08, 3.20)},
    "MuseData": {"tanh": (5.64, 6.23), "GRU": (5.06, 5.99), "LSTM": (5.18, 6.23)},
}
"""By set the published losses, (train, test), of every cell."""
UBISOFT = {
    "A": {"tanh": (6.29, 6.44), "GRU": (2.31, 3.59), "LSTM": (1.44, 2.70)},
    "B": {"tanh": (7.61, 7.62), "GRU": (0.38, 0.88), "LSTM": (0.80, 1.26)},
}
BEST_ON_TEST = {"JSB Chorales": "GRU", "Piano-midi": "GRU", "Nottingham": "tanh", "MuseData": "GRU"}
SPLITS = {"train": "train_loss", "test": "test_loss"}
"""The measure of a published figure."""
SEEDS = 5
RATES, TRAINED = 10, 3
"""Rates that are drawn, as in the paper, and how many of them are trained: the largest."""
EPOCHS = {"JSB Chorales": 50, "Piano-midi": 25, "Nottingham": 8, "MuseData": 8}
OWN_EPOCHS = 150
"""Of the authors' recipe, on JSB Chorales."""
SHARED: Mapping[str, object] = {
    "model.start": "uniform", "model.start_recurrent": "orthogonal", "model.start_biases": "zero",
    "model.weight_noise": 0.075, "train.batch_size": 1, "loss.reduction": "sum",
    "optimizer.name": "rmsprop", "optimizer.rms_decay": 0.95, "optimizer.rms_floor": 0.01,
    "optimizer.momentum": 0.9, "optimizer.learning_rate": 1e-3, "record.every_steps": 500,
}  # fmt: skip
"""What the paper's recipe and that of the authors' code share."""
OWN: Mapping[str, object] = {
    "cell.hidden_size": 48, "cell.reset": "before", "clip.name": "update_norm",
    "optimizer.schedule": "linear", "optimizer.rate_floor": 0.01, "model.noisy_evaluation": True,
}  # fmt: skip


def rates(seed: int) -> list[dict[str, object]]:
    """The largest of ten learning rates exp(u), u ~ U(-12, -6)."""
    drawn = np.exp(np.random.default_rng(seed).uniform(-12, -6, RATES))
    return [{"optimizer.learning_rate": float(f"{rate:.3g}")} for rate in sorted(drawn)[-TRAINED:]]


def parameters(seed: int) -> dict[str, float]:
    """Parameters of each recurrent layer without biases, the mean over the four sets.

    Three input kernels, recurrent matrices and nothing else for a GRU; four and three diagonal
    peepholes for an LSTM; one for tanh.
    """
    del seed
    inputs = float(np.mean(INPUTS))

    def kernels(number: int, units: int) -> float:
        return number * (inputs + units) * units

    return {"tanh": kernels(1, 100), "GRU": kernels(3, 46), "LSTM": kernels(4, 36) + 3 * 36}


def sizes() -> list[Claim]:
    """The sizes of Table 1."""
    return [
        Constant(
            name=f"parameters, {cell}",
            reference=Reference(
                "Chung, Gulcehre, Cho & Bengio 2014, Table 1", "T", count, "recurrent layer alone"
            ),
            group="parameters",
            measure=cell,
            margin=Margin(50, "half a unit of the last printed digit"),
        )
        for cell, count in COUNTS.items()
    ]


def deviations(title: str) -> list[str]:
    """In what a set's trainings differ from the paper's."""
    one = "one learning rate, that of the authors' code, 0.001; the paper takes the best of ten"
    best = f"of ten rates exp(U(-12, -6)) the {TRAINED} largest are trained, the best counts"
    return [
        f"{EPOCHS[title]} epochs; the paper stops early, its code after 500",
        best if title == "JSB Chorales" else one,
    ]


def half_spread(title: str, split: str) -> Margin:
    """Half of what the paper's cells differ by."""
    column = [losses[list(SPLITS).index(split)] for losses in MUSIC[title].values()]
    half = round((max(column) - min(column)) / 2, 3)
    return Margin(half, "half of what the paper's three cells differ by there")


def numbers(title: str) -> list[Claim]:
    """The six losses of a set, those on test in either average."""
    return [
        Number(
            name=f"{title}, {cell}, {split}{', mean of sequences' if by else ''}",
            reference=Reference(
                SOURCE, "T", losses[split == "test"], f"{CONVENTION}, {by or POOLED}"
            ),
            group=f"{title}, {cell}",
            measure=f"{measure}{by and '_per_sequence'}",
            published="single",
            margin=half_spread(title, split),
            higher_is_better=False,
            deviations=deviations(title),
        )
        for split, measure in SPLITS.items()
        for by in (("", SEQUENCES) if split == "test" else ("",))
        for cell, losses in MUSIC[title].items()
    ]


def orderings(title: str) -> list[Claim]:
    """The best cell of a set, in training and on test, against each of the others."""
    best_of = {"train": "GRU", "test": BEST_ON_TEST[title]}
    return [
        Ordering(
            name=f"{title}, {split}: {best} before {other}",
            reference=Reference(SOURCE, "T"),
            pairs=[(f"{title}, {best}", f"{title}, {other}")],
            measure=SPLITS[split],
            higher_is_better=False,
            deviations=deviations(title),
        )
        for split, best in best_of.items()
        for other in CELLS
        if other != best
    ]


def own_recipe() -> tuple[Runs, list[Claim]]:
    """The GRU of the authors' code on JSB Chorales, evaluated with its noise and without."""
    title, name = "JSB Chorales", "JSB Chorales, GRU of the authors' code"
    changes = {**SHARED, **OWN, "train.duration_epochs": OWN_EPOCHS, "eval.every_epochs": 2}
    claims: list[Claim] = [
        Number(
            name=f"{name}, {row}",
            reference=Reference(SOURCE, "T", MUSIC[title]["GRU"][row != "train"], CONVENTION),
            group=name,
            measure=measure,
            published="single",
            margin=half_spread(title, row.partition(",")[0]),
            higher_is_better=False,
            deviations=[f"{OWN_EPOCHS} epochs of 500"],
        )
        for row, measure in {
            "train": "train_loss",
            "test": "test_loss_without_noise",
            "test, noise on": "test_loss",
        }.items()
    ]
    return Runs(name, "jsb_chorales/gru", changes, SEEDS), claims


def speech() -> list[Claim]:
    """The twelve losses on Ubisoft's speech."""
    return [
        NotComparable(
            name=f"Ubisoft {title}, {cell}, {split}",
            reference=Reference(SOURCE, "T", value),
            reason="the recordings are not public",
        )
        for title, table in UBISOFT.items()
        for cell, losses in table.items()
        for split, value in zip(SPLITS, losses, strict=True)
    ]


def get_study() -> Study:
    """Table 1, the music of Table 2 in the paper's recipe, one column in the authors' own."""
    groups: list[Group] = [Computation("parameters", parameters)]
    claims: list[Claim] = sizes()
    for title, task in TASKS.items():
        epochs = EPOCHS[title]
        often = {"train.duration_epochs": epochs, "eval.every_epochs": 1}
        for cell, changes in CELLS.items():
            groups.append(
                Runs(
                    f"{title}, {cell}",
                    f"{task}/{NAMES[cell]}",
                    {**SHARED, **changes, **often},
                    SEEDS,
                    rates if title == "JSB Chorales" else ({},),
                )
            )
        claims += numbers(title) + orderings(title)
    own, about_own = own_recipe()
    groups.append(own)
    return Study(
        name="chung_2014",
        paper="Chung, Gulcehre, Cho & Bengio 2014, Empirical evaluation of gated recurrent neural "
        "networks on sequence modeling",
        table="Tables 1 and 2",
        groups=groups,
        claims=[*claims, *about_own, *speech()],
        measures={
            "train_loss": score_of("train", "loss"),
            "test_loss_without_noise": score_of("test", "loss"),
        },
        notes=[
            "88 notes; the authors' arrays have 5 to 20 more, which never sound",
            "Piano-midi, ours better: after 25 epochs our networks fit the training set less than "
            "the paper's, and the test set better",
            "Nottingham and MuseData: after 8 epochs the validation losses of GRU and LSTM still "
            "fall, so that these figures, and the order of tanh and the others, say nothing of "
            "where the paper's trainings end",
            "JSB Chorales: what the paper's GRU reaches in training, ours does not within 50 "
            "epochs, nor within 150 of the authors' own recipe; test losses and orders agree",
        ],
    )
