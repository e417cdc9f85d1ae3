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
    """A network of the atlas: a task that it is good at, and one that it is not."""

    name: str
    strength: Case
    limit: Case


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


def digits(**changes: Any) -> Case:
    """Images of digits, 64 pixels one after the other."""
    own = SMALL | changes
    return Case("digits, pixel by pixel", "digits/rnn", own, 3000, "accuracy", error=True)


def recall(cell: str) -> Case:
    """The value of a key among six pairs; the key is asked for after them."""
    own = SMALL | {"task.pairs": 6}
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


def bars(chain: str, through_chain: bool = False) -> Case:
    """The distribution of pictures of bars and stripes, 3 x 3, by chains of ten steps."""
    changes = {
        "cell.hidden_size": 12, "cell.gibbs_steps": 10, "cell.chain": chain,
        "cell.through_chain": through_chain,
    }  # fmt: skip
    title = f"bars, {chain.replace('_', ' ')} chain"
    return Case(title, "bars_and_stripes/rbm", changes, 3000, "loss")


def neighbours(radius: int) -> Case:
    """A value that has to come from one of 2^r leaves of a tree of depth r."""
    changes = {
        "cell.hidden_size": 32, "task.radius": radius, "cell.steps": radius + 1,
        "cell.reverse": False, "cell.start": "linear", "optimizer.learning_rate": 3e-3,
    }  # fmt: skip
    return Case(
        f"tree of depth {radius}", "neighbors_match/graph", changes, 2000, "accuracy", error=True
    )


WORDS = {
    "feed-forward": (
        "A feed-forward network sees the present input and nothing else. Where the present says "
        "what comes next, that is enough: on the Mackey-Glass series its error is "
        "{strength.score} of the variance. Copy memory asks for what was shown before. There its "
        "loss is {limit.score}, more than that of guessing at the right moment "
        "({limit.baseline}), because it cannot even know when to answer. Its gradient is exactly "
        "zero at every lag but 0."
    ),
    "TDNN, 16 delays": (
        "A time-delay network sees a window: the last 16 inputs and, in the layer above, the last"
        " 16 activations, 32 steps in all. NARMA-10 depends on ten steps and fits into it (error "
        "{strength.score}; {strength.baseline} without memory). Copy memory with delay 30 asks "
        "for what was shown 40 steps ago: the loss is {limit.score}, without memory "
        "{limit.baseline}. The gradient ends exactly at lag 16, before training and after it. No "
        "training moves that edge."
    ),
    "NARX, 8 + 8 delays": (
        "A NARX network has two windows, one of inputs and one of its own outputs, and the second"
        " makes it recurrent. On NARMA-10, for which such models were made, its error is "
        "{strength.score} ({strength.baseline} without memory); in training the true outputs are "
        "fed back, so that no gradient goes from one step to another. In copy memory with delay "
        "100 its own outputs are, and a gradient may cross eight steps at once, so that fewer "
        "factors multiply: {limit.reach_before} of it arrives at the longest lag before training."
        " But the loss stays at {limit.score}, without memory {limit.baseline}, and after "
        "training {limit.reach_after} is left."
    ),
    "RNN, tanh": (
        "A recurrent network carries a state from step to step, and every step multiplies the "
        "gradient by one more Jacobian. On digits that are read pixel by pixel, 64 steps, "
        "{strength.reach_before} of the gradient arrives at the first pixel before training and "
        "{strength.reach_after} after it: the largest exponent goes from "
        "{strength.exponent_before} to {strength.exponent_after} nats a step, and 0 is where "
        "nothing vanishes or explodes. The error is {strength.score} (chance "
        "{strength.baseline}). When the order of two symbols among 100 steps decides, "
        "{limit.reach_before} arrives before training, and the error stays at {limit.score} "
        "(chance {limit.baseline})."
    ),
    "bidirectional RNN": (
        "A bidirectional network reads from both ends and joins what it has read, so that every "
        "pixel of a digit is at most half as far from an end: error {strength.score}, where the "
        "plain network above has read in one direction, chance {strength.baseline}. The profile "
        "is that of the direction that reads forwards: {strength.reach_after} of its gradient "
        "arrives at the first pixel. Two symbols in the first and the middle part of 100 steps "
        "are too far from both ends, and the error is {limit.score}, chance {limit.baseline}. "
        "Such a network can never predict, because it has seen the future."
    ),
    "LSTM": (
        "An LSTM adds to its cell state and multiplies it by a gate, which can stay near one. The"
        " order of two symbols among 50 steps is no problem (error {strength.score}, chance "
        "{strength.baseline}); its largest exponent goes from {strength.exponent_before} to "
        "{strength.exponent_after} nats a step, where 0 would be no loss at all. Its limit is how"
        " much it holds. To repeat 20 vectors takes 160 bits in 64 units, and {limit.score} of "
        "the bits are wrong (guessing: {limit.baseline}), although {limit.reach_after} of the "
        "gradient reaches the first step."
    ),
    "GRU": (
        "A GRU does the same with one state and two gates. It begins as a poor memory: over the "
        "100 steps of the adding task {strength.reach_before} of the gradient arrives. Training "
        "opens its gates: {strength.reach_after} arrives, the exponent goes from "
        "{strength.exponent_before} to {strength.exponent_after}, and the loss is "
        "{strength.score} (the mean as answer: {strength.baseline}). To look up one of six pairs "
        "by its key is something else, although it is a matter of 13 steps: the error is "
        "{limit.score}, chance {limit.baseline}."
    ),
    "neural Turing machine": (
        "A neural Turing machine is an LSTM that writes into slots and reads them again. What "
        "lies in a slot stays until it is overwritten, and so does the gradient. It repeats 20 "
        "vectors with {strength.score} of the bits wrong, after as many updates as the LSTM "
        "above. To find an item and then the one that followed it takes two look-ups, and after "
        "the same updates {limit.score} of the bits are wrong (guessing: {limit.baseline})."
    ),
    "differentiable neural computer": (
        "A differentiable neural computer keeps account of its slots: which are in use, and in "
        "which order they were written. It copies with {strength.score} of the bits wrong. Item "
        "recall is what the order of writing is for; after 1,600 updates {limit.score} are wrong,"
        " {limit.baseline} by guessing. Its largest exponents end at {strength.exponent_after} "
        "and {limit.exponent_after} nats a step, above zero: along its time this machine loses "
        "nothing."
    ),
    "memory network": (
        "A memory network does not step through time. It has the whole story before it and looks "
        "into it again and again; a step is a hop. Two hops follow two facts, with an error of "
        "{strength.score} (chance {strength.baseline}). One hop cannot, whatever the training: "
        "{limit.score}. Over so few steps no gradient is lost: {strength.reach_after} of it "
        "arrives at the first hop."
    ),
    "Hopfield, continuous": (
        "A Hopfield network stores patterns in its weights and falls from a damaged cue into the "
        "nearest one; a step is an update. Of cues for five patterns of 100 values, a fraction of"
        " {strength.score} is not brought back; of those for 30 patterns, more than the 14 for "
        "which there is room, {limit.score}. To settle is to forget where one came from: after "
        "ten updates {strength.reach_after} of the gradient by the cue is left where the pattern "
        "is found, and {limit.reach_after} where it is not."
    ),
    "Hopfield, modern": (
        "The modern Hopfield network compares its state with every pattern and takes a softmax, "
        "as attention does. It holds 200 patterns of 100 values, twice as many as it has units, "
        "and fails on {strength.score} of the cues. When the patterns resemble each other (mean "
        "product 0.9), it fails on {limit.score}. It contracts fast: its exponents are "
        "{strength.exponent_after} and {limit.exponent_after} nats an update."
    ),
    "Boltzmann, restricted": (
        "A Boltzmann machine is a probability of patterns, and a step is one of its Markov chain."
        " Trained by contrastive divergence with ten steps, its negative log-likelihood of bars "
        "and stripes is {strength.score} nats (independent pixels: {strength.baseline}; the least"
        " possible is ln 14 = 2.64). A sampled bit is 0 or 1 and has no derivative, so no "
        "gradient goes through this chain at all. With probabilities in place of samples it does,"
        " {limit.reach_before} of it over ten steps before training and {limit.reach_after} after"
        " it; but such a chain is no sample of the model, and the likelihood is {limit.score} "
        "nats."
    ),
    "graph network": (
        "A graph network lets the nodes of a graph send messages along its edges and updates each"
        " by a recurrent cell, here a GRU; a step is one propagation. At depth 2 the root of a "
        "tree finds the one leaf of four that it is asked for: error {strength.score}, chance "
        "{strength.baseline}. At depth 5 it has to hear 32 leaves, and all through its two "
        "children: {limit.score}, chance {limit.baseline}. The gradient along the steps is not "
        "what is missing, {limit.reach_after} of it arrives; `experiments/over_squashing.py` "
        "shows how it is divided among the leaves."
    ),
}
"""Of each network, by its name."""
NETWORKS = (
    Network(
        "feed-forward",
        Case("Mackey-Glass, next value", "mackey_glass/feedforward", SMALL, 2000, "nmse"),
        copy_memory("feedforward", 10),
    ),
    Network(
        "TDNN, 16 delays", narma10("tdnn", delay_steps=16), copy_memory("tdnn", 30, delay_steps=16)
    ),
    Network("NARX, 8 + 8 delays", narma10("narx"), copy_memory("narx", 100)),
    Network("RNN, tanh", digits(), temporal_order("rnn", 100)),
    Network("bidirectional RNN", digits(**BOTH_WAYS), temporal_order("rnn", 100, **BOTH_WAYS)),
    Network("LSTM", temporal_order("lstm", 50), ntm_copy("lstm")),
    Network("GRU", adding("gru", **{"optimizer.learning_rate": 3e-3}), recall("gru")),
    Network("neural Turing machine", ntm_copy("ntm"), item_recall("ntm")),
    Network("differentiable neural computer", ntm_copy("dnc"), item_recall("dnc")),
    Network("memory network", facts(2), facts(1)),
    Network("Hopfield, continuous", patterns("continuous", 5), patterns("continuous", 30)),
    Network(
        "Hopfield, modern",
        patterns("modern", 200),
        patterns("modern", 200, **{"task.correlation": 0.9}),
    ),
    Network(
        "Boltzmann, restricted", bars(chain="sampled"), bars(chain="mean_field", through_chain=True)
    ),
    Network("graph network", neighbours(2), neighbours(5)),
)
