"""Polyphonic music: marginals, an RNN, and a NADE over an RNN; Boulanger-Lewandowski et al. 2012.

    RNNEXP_DATA=DATA rnnexp study experiments/studies/boulanger_2012.py

Table 1 has log-likelihoods a frame, pooled over all frames of the test set, the first of a sequence
included. The note 1-gram, a distribution of every note by itself, needs no training: it tells
whether data and convention are the paper's. The rest is JSB Chorales.
"""

from functools import partial

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
)
from rnnexp.study.claims import Claim, Group
from rnnexp.tasks.music import jsb_chorales, musedata, nottingham, piano_midi

SOURCE = "Boulanger-Lewandowski, Bengio & Vincent 2012, Table 1"
CONVENTION = "negative log-likelihood in nats a frame, pooled, first frame included"
MARGINALS = {
    "Piano-midi": (piano_midi, 11.05),
    "Nottingham": (nottingham, 10.25),
    "MuseData": (musedata, 11.51),
    "JSB Chorales": (jsb_chorales, 11.06),
}
NETWORKS = {"RNN": ("linear", 8.71, 8.58), "RNN-NADE": ("nade", 5.83, 5.56)}
"""Head, published loss, and the published loss with another optimiser."""
ESTIMATED = {"RNN-RBM": 6.27, "RTRBM": 6.35}
"""Published as estimates by annealed importance sampling."""
SEEDS = 6
COMMON = {
    "task.first_step": "predicted", "cell.hidden_size": 100, "model.dropout": 0.2,
    "optimizer.schedule": "cosine", "optimizer.learning_rate": 0.005,
    "train.duration_epochs": 80, "eval.every_epochs": 5, "record.every_steps": 100,
}  # fmt: skip


def marginals(seed: int, task: object) -> dict[str, float]:
    """The loss of per-note marginals on a data set's test sequences."""
    del seed
    assert callable(task)
    return {"loss": task(first_step="predicted").references["loss of per-note marginals"]}


def get_study() -> Study:
    """The note 1-gram on all four sets, and two networks on JSB Chorales."""
    groups: list[Group] = []
    claims: list[Claim] = []
    for title, (task, loss) in MARGINALS.items():
        name = f"{title}, note 1-gram"
        groups.append(Computation(name, partial(marginals, task=task)))
        claims.append(
            Constant(
                name=name,
                reference=Reference(SOURCE, "V", loss, CONVENTION),
                group=name,
                measure="loss",
                margin=Margin(0.005, "half a unit of the last printed digit"),
            )
        )
    for name, (head, loss, other) in NETWORKS.items():
        own = {"head.name": head} | ({"head.hidden_size": 100} if head == "nade" else {})
        groups.append(Runs(name, "jsb_chorales/rnn", {**own, **COMMON}, SEEDS))
        claims.append(
            Number(
                name=f"JSB Chorales, {name}",
                reference=Reference(SOURCE, "V", loss, CONVENTION),
                group=name,
                measure="test_loss",
                published="single",
                margin=Margin(round(loss - other, 2), f"the paper's other optimiser has {other}"),
                higher_is_better=False,
                deviations=["100 units, dropout 0.2, Adam with a cosine schedule, 80 epochs"],
            )
        )
    claims.append(
        Ordering(
            name="JSB Chorales: RNN-NADE better than RNN",
            reference=Reference(SOURCE, "V", convention=CONVENTION),
            pairs=[("RNN-NADE", "RNN")],
            measure="test_loss",
            higher_is_better=False,
            deviations=["100 units, dropout 0.2, Adam with a cosine schedule, 80 epochs"],
        )
    )
    claims += [
        NotComparable(
            name=f"JSB Chorales, {name}",
            reference=Reference(SOURCE, "V", loss, "estimated likelihood"),
            reason="an estimate that leans high; here likelihoods are exact, by enumeration, "
            "which the published number of hidden units forbids",
        )
        for name, loss in ESTIMATED.items()
    ]
    return Study(
        name="boulanger_2012",
        paper="Boulanger-Lewandowski, Bengio & Vincent 2012, Modeling temporal dependencies in "
        "high-dimensional sequences",
        table="Table 1",
        groups=groups,
        claims=claims,
    )
