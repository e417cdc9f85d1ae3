"""End-to-end memory network: a question reads the sentences of its story, hop after hop.

    m_i = sum_j l_j * A x_ij + T_A(i)     c_i = sum_j l_j * C x_ij + T_C(i)     sentence i
    u_1 = sum_j l_j * B q_j                                                     question
    p = softmax(M u_k)                                                          attention
    u_k+1 = u_k + C^T p                                                         a hop

x_ij is word j of sentence i, q_j of the question; * is element by element. Sukhbaatar, Szlam,
Weston & Fergus 2015, "End-to-end memory networks", sections 2 and 4.1. The steps are hops: the
state u is all that goes from hop to hop, the embedded story is the example's context.

Tying. Adjacent: A of the next hop is C of this one, and B is the first A, so K hops have K + 1
matrices. Layer-wise: all hops share A and C, B is of its own, and u_k+1 = H u_k + C^T p.

Position encoding of word j of J in embedding dimension i of d (J is the width of the story's
array, as in the authors' code): l_ij = 1 + 4 (i - (d + 1) / 2) (j - (J + 1) / 2) / (d J); without
it l = 1. The time encoding T(i) has a row for each sentence, counted from the newest.

A linear network has no softmax: p = M u_k. It is then a linear recurrent network along the hops,
du_k+1/du_k = I + C^T M in place of I + C^T (diag p - p p^T) M. A linear start (section 4.2) is a
linear network in the first steps of training: an intervention on gradient flow.

Word 0 fills sentences and stories up. Its embedding is left out, which equals the authors' row of
zeros, set again after every update. The memory has D slots. Those that a story leaves empty hold
zeros and draw attention all the same, each as much as a sentence with m_i . u = 0, so that a hop
can find nothing: without them, questions about what is not there (yes or no) generalise badly.
How far arrays are filled up has no say. Parameters: V words, D rows of time encoding: adjacent
(K + 1) (V + D) d; layer-wise (3 V + 2 D + d) d.
"""

import jax
import jax.numpy as jnp

from rnnexp.cells.base import CONTEXT, LINEAR_START, Cell, no_matrices
from rnnexp.cells.gate_blocks import gate_blocks
from rnnexp.core.errors import UsageError, require_at_least, require_choice
from rnnexp.core.types import Array, Key, Params, State, Tree

TYINGS = ("adjacent", "layer_wise")
NOTE = (
    "the first {} steps of training are without softmax, a linear network (linear start); "
    "evaluations have it. config.cell.linear_start_steps=0 is without linear start"
)
STDDEV = 0.1  # of all initial weights: Sukhbaatar et al. 2015, section 4.2


def memory_network(
    input_size: int,
    hidden_size: int,
    *,
    hops: int = 3,
    tying: str = "adjacent",
    position_encoding: bool = True,
    time_encoding: bool = True,
    memory_size: int = 50,
    empty_slots: bool = True,
    linear: bool = False,
    linear_start_steps: int = 0,
    tied_answer: bool = False,
    output_size: int = 1,
) -> Cell:
    """A memory network over the `input_size` words of a task; `hidden_size` is d.

    Weights: Gaussian of standard deviation 0.1.

    Args:
      hops: K, 1 or more.
      tying: adjacent or layer_wise.
      position_encoding: whether the order of the words in a sentence counts.
      time_encoding: whether the order of the sentences counts.
      memory_size: D, slots; more sentences share the time encoding of the last.
      empty_slots: whether slots without a sentence draw attention.
      linear: no softmax at all, in training or after it.
      linear_start_steps: so many first steps of training without softmax; evaluations have it.
      tied_answer: the answer is C u of the last C, the network's own, without a readout after it;
        of adjacent tying, for tasks whose answers are their words.
      output_size: the outputs of the task.
    """
    _check(tying, hops, memory_size, linear_start_steps)
    if tied_answer and (tying != "adjacent" or output_size != input_size):
        raise UsageError(
            f"tied_answer needs tying='adjacent', not {tying!r}, and a task whose outputs "
            f"({output_size}) are its words ({input_size}); set cell.tied_answer=False"
        )
    V, d, adjacent = input_size, hidden_size, tying == "adjacent"
    tables = hops + 1 if adjacent else 2

    def init(key: Key) -> Params:
        shapes: dict[str, tuple[int, ...]] = {"embedding": (tables, V, d)}
        if time_encoding:
            shapes["time"] = (tables, memory_size, d)
        if not adjacent:
            shapes |= {"w_q": (V, d), "w_h": (d, d)}
        keys = jax.random.split(key, len(shapes))
        return {
            name: STDDEV * jax.random.normal(k, shape)
            for k, (name, shape) in zip(keys, shapes.items(), strict=True)
        }

    def bag(table_VxD: Array, words_J: Array) -> Array:
        """The sum of the embedded words of one sentence, (d,)."""
        rows = table_VxD[words_J]
        if position_encoding:
            rows = rows * positions(len(words_J), d, rows.dtype)
        return (words_J > 0).astype(rows.dtype) @ rows

    def context(params: Params, example: Tree) -> dict[str, Array]:
        """The story and the question as vectors: `reads` of every table (tables, M, d), which
        sentences there are (M,), and u_1."""
        story_MxJ, dtype = example["story"], params["embedding"].dtype
        present_M = (story_MxJ[:, 0] > 0).astype(dtype)
        bags = jax.vmap(jax.vmap(bag, in_axes=(None, 0)), in_axes=(0, None))
        reads = bags(params["embedding"], story_MxJ)
        if time_encoding:
            ages_M = jnp.minimum(example["time"], memory_size - 1)
            reads = reads + params["time"][:, ages_M] * present_M[None, :, None]
        asked = params["embedding"][0] if adjacent else params["w_q"]
        found = {"reads": reads, "present": present_M, "u": bag(asked, example["question"])}
        if LINEAR_START in example:
            found[LINEAR_START] = example[LINEAR_START].astype(dtype)
        return found

    def init_state(params: Params) -> State:
        zeros = jnp.zeros(d, params["embedding"].dtype)
        return {"u": zeros, "hop": zeros[0]} if adjacent else {"u": zeros}

    def start(params: Params) -> State:
        return {**init_state(params), "u": params[CONTEXT]["u"]}

    def memories(params: Params, state: State) -> tuple[Array, Array]:
        """The rows m_i and c_i of this hop, (M, d)."""
        reads = params[CONTEXT]["reads"]
        if not adjacent:
            return reads[0], reads[1]
        hop = state["hop"].astype(jnp.int32)
        m, c = (jax.lax.dynamic_index_in_dim(reads, hop + n, keepdims=False) for n in (0, 1))
        return m, c

    def attention(params: Params, state: State) -> Array:
        seen = params[CONTEXT]
        scores_M = memories(params, state)[0] @ state["u"]
        if linear:
            return scores_M
        p = softmax_over_slots(scores_M, seen["present"], slots=memory_size if empty_slots else 0)
        if LINEAR_START not in seen:
            return p
        scores = jnp.append(scores_M, jnp.zeros(len(p) - len(scores_M), scores_M.dtype))
        return jnp.where(seen[LINEAR_START] > 0, scores, p)

    def transition(params: Params, state: State, x_I: Array) -> State:
        del x_I
        kept = state["u"] if adjacent else state["u"] @ params["w_h"]
        _, c_Mxd = memories(params, state)
        new = {"u": kept + attention(params, state)[: len(c_Mxd)] @ c_Mxd}
        return {**new, "hop": state["hop"] + 1.0} if adjacent else new

    def output(params: Params, state: State, x_I: Array) -> Array:
        del x_I
        if not tied_answer:
            return state["u"]
        words_V = (jnp.arange(V, dtype=jnp.int32) > 0).astype(state["u"].dtype)
        answer_V: Array = params["embedding"][-1] @ state["u"] * words_V
        return answer_V

    size = tables * (V + memory_size * time_encoding) + (not adjacent) * (V + d)
    return Cell(
        name="memory_network",
        input_size=V,
        output_size=V if tied_answer else d,
        init=init,
        init_state=init_state,
        transition=transition,
        output=output,
        recurrent_matrices=no_matrices if adjacent else gate_blocks(w_h=()),
        counters=("hop",) if adjacent else (),
        parameter_count=size * d,
        hidden="u",
        probed=("u",),
        is_network=tied_answer,
        axis="hop",
        steps=hops,
        context=context,
        start=start,
        attention=attention,
        linear_start_steps=0 if linear else linear_start_steps,
        note=NOTE.format(linear_start_steps) if linear_start_steps and not linear else "",
    )


def softmax_over_slots(scores_M: Array, present_M: Array, *, slots: int) -> Array:
    """The softmax of the scores of present sentences: (M,), or with slots (M + 1,), of which the
    last is the weight of all slots without a sentence together; the score of each is 0."""
    least = jnp.finfo(scores_M.dtype).min
    known_M = jnp.where(present_M > 0, scores_M, jnp.full_like(scores_M, least))
    if not slots:
        return jax.nn.softmax(known_M)
    empty = jnp.maximum(slots - jnp.sum(present_M), 0)
    log_empty = jnp.where(empty > 0, jnp.log(jnp.maximum(empty, 1)), least)
    return jax.nn.softmax(jnp.append(known_M, log_empty))


def positions(words: int, size: int, dtype: jnp.dtype) -> Array:
    """Position encoding l, (words, size): see the top of the file."""
    i_1xD = jnp.arange(1, size + 1, dtype=dtype)[None, :] - (size + 1) / 2
    j_Jx1 = jnp.arange(1, words + 1, dtype=dtype)[:, None] - (words + 1) / 2
    return 1 + 4 * i_1xD * j_Jx1 / (size * words)


def _check(tying: str, hops: int, memory_size: int, linear_start_steps: int) -> None:
    """Raise `UsageError` for a bad option."""
    require_choice("tying", tying, TYINGS)
    require_at_least(1, hops=hops, memory_size=memory_size)
    require_at_least(0, linear_start_steps=linear_start_steps)
