"""Long short-term memory; options: peepholes, coupled gates, chrono start, parts left out.

    i_t = s(W_i x_t + U_i h_{t-1} + p_i * c_{t-1} + b_i)
    f_t = s(W_f x_t + U_f h_{t-1} + p_f * c_{t-1} + b_f)
    g_t = tanh(W_g x_t + U_g h_{t-1} + b_g)
    c_t = f_t * c_{t-1} + i_t * g_t
    o_t = s(W_o x_t + U_o h_{t-1} + p_o * c_t + b_o)
    h_t = o_t * tanh(c_t)

s is the logistic function, * element by element; the p terms only with `peepholes`.
With `coupled` there is no input block: i_t = 1 - f_t. `without` leaves out a part: a gate is then 1
and has no block, an activation (the tanh of g or of c) is the identity.

Hochreiter & Schmidhuber 1997, "Long short-term memory"; forget gate: Gers, Schmidhuber & Cummins
2000, "Learning to forget"; peepholes: Gers, Schraudolph & Schmidhuber 2002, "Learning precise
timing with LSTM recurrent networks"; forget bias 1: Jozefowicz, Zaremba & Sutskever 2015; chrono:
Tallec & Ollivier 2018; coupled gates (CIFG) and parts left out (NIG, NFG, NOG, NIAF, NOAF): Greff,
Srivastava, Koutnik, Steunebrink & Schmidhuber 2017, "LSTM: a search space odyssey".

Parameters: 4*(I*H + H*H + H), and 3*H more with peepholes; coupled or without a gate
3*(I*H + H*H + H), and 2*H more with peepholes.
"""

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell, zero_state
from rnnexp.cells.gate_blocks import gate_blocks
from rnnexp.cells.initializers import chrono_biases, glorot_uniform, orthogonal, per_gate
from rnnexp.core.errors import UsageError, require_choice
from rnnexp.core.types import Array, Key, Params, State

GATES = ("i", "f", "g", "o")
"""The blocks of every kernel and bias, in order (coupled: without i)."""
PARTS = {"input_gate": "i", "forget_gate": "f", "output_gate": "o"}
"""The block of each gate that can be left out."""
WITHOUT = ("nothing", *PARTS, "input_activation", "output_activation")


def lstm(
    input_size: int,
    hidden_size: int,
    *,
    forget_bias: float = 1.0,
    peepholes: bool = False,
    coupled: bool = False,
    chrono_steps: int = 0,
    without: str = "nothing",
) -> Cell:
    """An LSTM cell.

    Weights: Glorot uniform input and orthogonal recurrent kernels, gate by gate;
    peepholes 0; biases 0 but for the forget gate.

    Args:
      forget_bias: initial bias of the forget gate.
      peepholes: let the gates see the cell state.
      coupled: set the input gate to 1 - f_t.
      chrono_steps: longest time constant of the chrono initialisation, in steps (3 or
        more), which then sets the forget and input biases; 0: off. It starts i at 1 - f,
        as coupled gates do without an input bias.
      without: nothing, input_gate, forget_gate, output_gate, input_activation or
        output_activation: the part that is left out.
    """
    require_choice("part of an LSTM", without, WITHOUT)
    if coupled and without in ("input_gate", "forget_gate"):
        raise UsageError(f"coupled gates need both: not without={without}")
    if chrono_steps and without in ("input_gate", "forget_gate"):
        raise UsageError(f"chrono_steps starts input and forget gates: not without={without}")
    if chrono_steps != 0 and chrono_steps < 3:
        raise UsageError(f"chrono_steps must be 0 (off) or at least 3, not {chrono_steps}")
    H = hidden_size
    missing = {PARTS.get(without), "i" if coupled else None}
    blocks = [block for block in GATES if block not in missing]
    shown_gates = [name for name in ("input", "forget", "output") if f"{name}_gate" != without]
    taken_in = (lambda z: z) if without == "input_activation" else jnp.tanh
    shown = (lambda c: c) if without == "output_activation" else jnp.tanh
    peeking = [block for block in blocks if block != "g"]

    def init(key: Key) -> Params:
        key_x, key_h, key_b = jax.random.split(key, 3)
        b = {block: jnp.zeros(H) for block in blocks}
        if "f" in b:
            b["f"] = b["f"] + forget_bias
        if chrono_steps:
            b["f"] = chrono_biases(key_b, H, chrono_steps)
        if chrono_steps and not coupled:
            b["i"] = -b["f"]
        params = {
            "w_x": per_gate(glorot_uniform, key_x, input_size, H, len(blocks)),
            "w_h": per_gate(orthogonal, key_h, H, H, len(blocks)),
            "b": jnp.concatenate([b[block] for block in blocks]),
        }
        if peepholes:
            params["p"] = jnp.zeros((len(peeking), H))
        return params

    def activations(params: Params, state: State, x_I: Array) -> tuple[dict[str, Array], State]:
        """The gates and the new state."""
        z = x_I @ params["w_x"] + state["h"] @ params["w_h"] + params["b"]
        z_of = dict(zip(blocks, jnp.split(z, len(blocks)), strict=True))

        def gate(block: str, c: Array) -> Array:
            if block not in blocks:
                return jnp.ones_like(c)
            if not peepholes:
                return jax.nn.sigmoid(z_of[block])
            return jax.nn.sigmoid(z_of[block] + params["p"][peeking.index(block)] * c)

        f, g = gate("f", state["c"]), taken_in(z_of["g"])
        i = 1.0 - f if coupled else gate("i", state["c"])
        c = f * state["c"] + i * g
        o = gate("o", c)
        gates = {"input": i, "forget": f, "output": o}
        return {name: gates[name] for name in shown_gates}, {"c": c, "h": o * shown(c)}

    def transition(params: Params, state: State, x_I: Array) -> State:
        return activations(params, state, x_I)[1]

    def gates(params: Params, state: State, x_I: Array) -> dict[str, Array]:
        return activations(params, state, x_I)[0]

    return Cell(
        name="lstm",
        input_size=input_size,
        output_size=H,
        init=init,
        init_state=zero_state(H, "c", "h"),
        transition=transition,
        gates=gates,
        kept_fraction=None if without == "forget_gate" else lambda gates: gates["forget"],
        probed=("h", "c"),
        kernel=f"lstm{'_coupled' * coupled}{'_peephole' * peepholes}"
        if without == "nothing"
        else None,
        recurrent_matrices=gate_blocks(w_h=blocks),
        parameter_count=(len(blocks) * (input_size + H + 1) + len(peeking) * peepholes) * H,
    )
