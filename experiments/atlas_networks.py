"""The networks of `experiments/atlas.py`: two runs each, and a paragraph in plain words.

A paragraph's figures in braces are filled in from the runs: `{strength}` and `{limit}` have
`score`, `baseline`, `reach_before`, `reach_after`, `exponent_before` and `exponent_after`.
"""

from typing import Any, NamedTuple


class Case(NamedTuple):
    """A run: what it is called, its experiment, what differs from its defaults, and its score.

    `error` says that the score is one minus the number that the run logs under that name.
    """

    title: str
    experiment: str
    changes: dict[str, Any]
    updates: int
    score: str
    error: bool = False


class Network(NamedTuple):
    """A network of the atlas: a task that it is good at, one that it is not, and a paragraph."""

    name: str
    strength: Case
    limit: Case
    words: str


SMALL = {"cell.hidden_size": 32, "train.batch_size": 32}
BOTH_WAYS = {"model.bidirectional": True}
MEMORY = {"cell.hidden_size": 64, "cell.slots": 32, "cell.width": 16}


def copy_memory(cell: str, delay: int, **changes: Any) -> Case:
    """Copy memory, whose baseline is the best answer without memory."""
    own = {f"cell.{key}": value for key, value in changes.items()}
    return Case(
        f"copy memory, delay {delay}", f"copy_memory/{cell}",
        SMALL | {"task.delay_steps": delay} | own, 1500, "loss",
    )  # fmt: skip


def narma10(cell: str, **changes: Any) -> Case:
    """A series that depends on its last ten steps."""
    own = {f"cell.{key}": value for key, value in changes.items()}
    return Case("NARMA-10", f"narma10/{cell}", SMALL | own, 2000, "nmse")


def adding(cell: str, **changes: Any) -> Case:
    """The sum of two marked numbers among 100."""
    own = SMALL | {"task.length_steps": 100} | changes
    return Case("adding, 100", f"adding/{cell}", own, 3000, "loss")


def temporal_order(cell: str, length: int, **changes: Any) -> Case:
    """The order of two symbols, one early and one in the middle of the sequence."""
    own = SMALL | {"task.length_steps": length} | changes
    title = f"temporal order, {length}"
    return Case(title, f"temporal_order/{cell}", own, 3000, "accuracy", error=True)


def recall(cell: str, **changes: Any) -> Case:
    """The value of a key among six pairs; the key is asked for after them."""
    own = SMALL | {"task.pairs": 6} | changes
    return Case(
        "recall one of six", f"associative_recall/{cell}", own, 3000, "accuracy", error=True
    )


def ntm_copy(cell: str) -> Case:
    """Up to 20 vectors of 8 bits, to be repeated."""
    own = MEMORY if cell in ("ntm", "dnc") else {"cell.hidden_size": 64}
    return Case("copy 20 vectors", f"ntm_copy/{cell}", own, 1600, "error_rate")


def item_recall(cell: str) -> Case:
    """The item that followed one that is shown again."""
    return Case("item recall", f"item_recall/{cell}", MEMORY, 1600, "error_rate")


def facts(hops: int) -> Case:
    """A question whose answer takes two facts."""
    changes = {"task.facts": 2, "cell.hops": hops}
    title = f"two facts, {hops} hop{'s' if hops > 1 else ''}"
    return Case(title, "chained_facts/memory_network", changes, 3000, "accuracy", error=True)


def patterns(kind: str, count: int, **changes: Any) -> Case:
    """Stored patterns of 100 values, to be completed from cues with a tenth of them wrong."""
    own = {"cell.kind": kind, "task.count": count, "task.size": 100} | changes
    related = ", correlated" if "task.correlation" in changes else ""
    return Case(f"{count} patterns{related}", "pattern_recall/hopfield", own, 50, "retrieved", True)


def bars(cell: str, units: int, **changes: Any) -> Case:
    """The distribution of pictures of bars and stripes, 3 x 3."""
    own = {f"cell.{key}": value for key, value in changes.items()}
    title = f"bars and stripes, {units} hidden"
    return Case(
        title, f"bars_and_stripes/{cell}", {"cell.hidden_size": units} | own, 3000, "loss",
    )  # fmt: skip


def neighbours(radius: int) -> Case:
    """A value that has to come from one of 2^r leaves of a tree of depth r."""
    changes = {
        "cell.hidden_size": 32, "task.radius": radius, "cell.steps": radius + 1,
        "cell.reverse": False, "cell.start": "linear", "optimizer.learning_rate": 3e-3,
    }  # fmt: skip
    return Case(
        f"tree of depth {radius}", "neighbors_match/graph", changes, 2000, "accuracy", error=True
    )


NETWORKS = (
    Network(
        "feed-forward",
        Case("Mackey-Glass, next value", "mackey_glass/feedforward", SMALL, 2000, "nmse"),
        copy_memory("feedforward", 10),
        "",
    ),
    Network(
        "TDNN, 16 delays",
        narma10("tdnn", delay_steps=16),
        copy_memory("tdnn", 30, delay_steps=16),
        "",
    ),
    Network("NARX, 8 + 8 delays", narma10("narx"), copy_memory("narx", 100), ""),
    Network(
        "RNN, tanh",
        Case("digits, pixel by pixel", "digits/rnn", SMALL, 3000, "accuracy", error=True),
        temporal_order("rnn", 100),
        "",
    ),
    Network(
        "bidirectional RNN",
        recall("rnn", **BOTH_WAYS),
        temporal_order("rnn", 100, **BOTH_WAYS),
        "",
    ),
    Network("LSTM", temporal_order("lstm", 50), ntm_copy("lstm"), ""),
    Network("GRU", adding("gru", **{"optimizer.learning_rate": 3e-3}), recall("gru"), ""),
    Network("neural Turing machine", ntm_copy("ntm"), item_recall("ntm"), ""),
    Network("differentiable neural computer", ntm_copy("dnc"), item_recall("dnc"), ""),
    Network("memory network", facts(2), facts(1), ""),
    Network(
        "Hopfield, continuous",
        patterns("continuous", 5),
        patterns("continuous", 30),
        "",
    ),
    Network(
        "Hopfield, modern",
        patterns("modern", 200),
        patterns("modern", 200, **{"task.correlation": 0.9}),
        "",
    ),
    Network(
        "Boltzmann, restricted",
        bars("rbm", 12, gibbs_steps=10, chain="mean_field", through_chain=True),
        bars("rbm", 2, gibbs_steps=10, chain="mean_field", through_chain=True),
        "",
    ),
    Network("graph network", neighbours(2), neighbours(5), ""),
)
