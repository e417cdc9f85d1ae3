"""Every fault of a cell is one line that names the entry, the function, what came, what was due."""

import re
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.core import FrozenDict

from rnnexp.cells.base import Cell
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Params, State
from rnnexp.train.check_cell import check_cell, check_network
from tests.helpers.hostile import H, I, cell, init, init_state, transition
from tests.helpers.variants import Variant, build, each_cell


def swapped(state: State, params: Params, x_I: Array) -> State:
    return transition(params, state, x_I)


def rotated(x_I: Array, params: Params, state: State) -> State:
    return transition(params, state, x_I)


def fails(params: Params, state: State, x_I: Array) -> State:
    raise ValueError("no such thing\nand more")


def branches(params: Params, state: State, x_I: Array) -> State:
    return state if x_I[0] > 0 else transition(params, state, x_I)


def with_leaf(**leaves: Any) -> Callable[[Params], Any]:
    return lambda params: {**init_state(params), **leaves}


def new_state(change: Callable[[State], Any]) -> Callable[[Params, State, Array], Any]:
    return lambda params, state, x_I: change(transition(params, state, x_I))


SIZE = (I + H + 1) * H
FAULTS: dict[str, tuple[Any, str]] = {
    "none": (None, "the factory gives None, expected a Cell; is a `return` missing?"),
    "no cell": ({"h": 1}, "the factory gives a value of type dict, expected a Cell"),
    "input size": (cell(input_size=2), "input_size is 2, expected 3, as the factory was asked"),
    "output size": (
        cell(output_size=7),
        "init_state gives h as float32 (5,), expected shape (7,): h is the output, output_size",
    ),
    "size of a fraction": (
        cell(output_size=5.0),
        "output_size is 5.0 (float), expected a whole number from 1 on",
    ),
    "batch of one": (
        cell(init_state=lambda params: {"h": jnp.zeros((1, H))}),
        "init_state gives h as float32 (1, 5), expected shape (5,): h is the output",
    ),
    "batch of one, own output": (
        cell(
            init_state=lambda params: {"h": jnp.zeros((1, H))},
            transition=lambda params, state, x: {"h": jnp.tanh(state["h"] @ params["w"][I:])},
            output=lambda params, state, x: state["h"],
        ),
        "output gives float32 (1, 5), expected floats of shape (5,)",
    ),
    "init: list": (cell(init=lambda key: [jnp.zeros(H)]), "init gives a value of type list"),
    "init: none": (cell(init=lambda key: None), "init gives None; is a `return` missing?"),
    "init: nested": (
        cell(init=lambda key: {"cell": init(key)}),
        "init gives cell as a value of type dict, expected an array",
    ),
    "init: names": (
        cell(init=lambda key: {0: jnp.zeros(H)}),
        "init gives a leaf 0, expected names that are strings",
    ),
    "init: text": (
        cell(init=lambda key: {**init(key), "kind": "tanh"}),
        "init gives kind as 'tanh' (str), expected an array",
    ),
    "init: whole numbers": (
        cell(init=lambda key: {**init(key), "n": jnp.arange(3)}),
        "init gives n as int32 (3,), expected real floats: it is trained",
    ),
    "init: complex": (
        cell(init=lambda key: {**init(key), "z": jnp.zeros(3, complex)}),
        "init gives z as complex64 (3,), expected real floats",
    ),
    "init: no argument": (cell(init=lambda: init(jax.random.key(0))), "init raises TypeError"),
    "init: numpy's randomness": (
        cell(
            init=lambda key: {
                "w": jnp.asarray(np.random.default_rng().random((I + H, H)), float),
                "b": jnp.zeros(H),
            }
        ),
        "init draws random numbers that are not from its key, as numpy.random does",
    ),
    "count": (
        cell(parameter_count=SIZE + 1),
        f"parameter_count is {SIZE + 1}, expected {SIZE}, the size of what init gives: b (5,), w",
    ),
    "state: array": (
        cell(init_state=lambda params: params["b"]),
        "init_state gives float32 (5,), expected a dict of arrays by name",
    ),
    "state: tuple": (
        cell(init_state=lambda params: (params["b"], params["b"])),
        "init_state gives a value of type tuple, expected a dict of arrays by name",
    ),
    "state: number": (cell(init_state=with_leaf(t=0.0)), "init_state gives t as 0.0 (float)"),
    "state: nested": (
        cell(init_state=with_leaf(deep={"h": jnp.zeros(H)})),
        "init_state gives deep as a value of type dict, expected an array",
    ),
    "no h": (
        cell(init_state=lambda params: {"hidden": params["b"]}),
        "init_state gives the leaves hidden, expected 'h' among them: the cell's hidden names it",
    ),
    "no probed": (
        cell(probed=("h", "c")),
        "init_state gives the leaves h, expected 'c' among them: the cell's probed names it",
    ),
    "probed without hidden": (
        cell(probed=("c",), init_state=with_leaf(c=jnp.zeros(H))),
        "probed is ('c',), expected 'h' (hidden) in it",
    ),
    "probed: a name": (cell(probed="h"), "probed is 'h', expected a tuple of leaves"),
    "probed: whole numbers": (
        cell(init_state=with_leaf(t=jnp.zeros((), jnp.int32)), probed=("h", "t")),
        "init_state gives t as int32 (), expected real floats: it is probed",
    ),
    "no counter": (
        cell(counters=("t",)),
        "init_state gives the leaves h, expected 't' among them: the cell's counters names it",
    ),
    "counter probed": (cell(counters=("h",)), "counters has 'h', which is probed"),
    "feedback": (
        cell(feedback="y", init_state=with_leaf(y=jnp.zeros(H))),
        "init_state gives y as float32 (5,), expected shape (6,)",
    ),
    "swapped": (
        cell(transition=swapped),
        "it takes (state, params, x), but is called with (params, state, x)",
    ),
    "rotated": (
        cell(transition=rotated),
        "it takes (x, params, state), but is called with (params, state, x)",
    ),
    "raises": (cell(transition=fails), "transition raises ValueError: no such thing ("),
    "branches": (
        cell(transition=branches),
        "transition raises TracerBoolConversionError: Attempted boolean conversion",
    ),
    "no key": (
        cell(transition=lambda params, state, x: {"h": state["c"]}),
        "transition raises KeyError: 'c'",
    ),
    "product": (
        cell(transition=lambda params, state, x: {"h": state["h"] @ params["w"]}),
        "transition raises TypeError: dot_general requires contracting dimensions",
    ),
    "two arguments": (
        cell(transition=lambda params, state: state),
        "transition raises TypeError",
    ),
    "step: none": (
        cell(transition=new_state(lambda new: None)),
        "transition gives None; is a `return` missing?",
    ),
    "step: pair": (
        cell(transition=new_state(lambda new: (new, new["h"]))),
        "transition gives a value of type tuple, expected a dict of arrays by name",
    ),
    "step: no dict": (
        cell(transition=new_state(MappingProxyType)),
        "transition gives a value of type mappingproxy, expected an array",
    ),
    "step: frozen": (
        cell(transition=new_state(FrozenDict)),
        "transition gives a value of type FrozenDict, expected a dict of arrays by name",
    ),
    "step: leaf lost": (
        cell(init_state=with_leaf(c=jnp.zeros(H))),
        "transition gives the leaves h, expected c, h, as init_state",
    ),
    "step: leaf more": (
        cell(transition=new_state(lambda new: {**new, "c": new["h"]})),
        "transition gives the leaves c, h, expected h, as init_state",
    ),
    "step: shape": (
        cell(transition=new_state(lambda new: {"h": new["h"][None]})),
        "transition gives h as float32 (1, 5), expected float32 (5,), as init_state",
    ),
    "step: type": (
        cell(transition=new_state(lambda new: {"h": new["h"].astype(jnp.bfloat16)})),
        "transition gives h as bfloat16 (5,), expected float32 (5,), as init_state",
    ),
    "output: shape": (
        cell(output=lambda params, state, x: state["h"][:2]),
        "output gives float32 (2,), expected floats of shape (5,): output_size is 5",
    ),
    "output: dict": (
        cell(output=lambda params, state, x: state),
        "output gives a value of type dict, expected floats of shape (5,)",
    ),
    "output: swapped": (
        cell(output=lambda state, params, x: state["h"]),
        "output raises KeyError: 'h'; it takes (state, params, x), but is called with",
    ),
    "output: whole numbers": (
        cell(output=lambda params, state, x: jnp.argsort(state["h"])),
        "output gives int32 (5,), expected floats of shape (5,)",
    ),
    "gates": (
        cell(gates=lambda params, state, x: (state["h"],)),
        "gates gives a value of type tuple, expected a dict of arrays by name",
    ),
    "kept fraction": (
        cell(kept_fraction=lambda gates: gates["keep"]),
        "kept_fraction raises KeyError: 'keep'",
    ),
    "kept fraction of all": (
        cell(kept_fraction=lambda gates: jnp.mean(gates["forget"])),
        "kept_fraction gives float32 (), expected one number for each of 3 means of gates",
    ),
    "matrices": (
        cell(recurrent_matrices=lambda params: {"w": params["w"]}),
        "recurrent_matrices gives w as float32 (8, 5), expected shape (5, 5)",
    ),
    "matrices: array": (
        cell(recurrent_matrices=lambda params: params["w"][I:]),
        "recurrent_matrices gives float32 (5, 5), expected a dict of arrays by name",
    ),
    "prepare": (
        cell(prepare=lambda params: params["w"]),
        "prepare gives float32 (8, 5), expected a dict of arrays by name",
    ),
    "prepare takes away": (
        cell(prepare=lambda params: {"w": params["w"]}),
        "init_state raises KeyError: 'b'",
    ),
    "not without prepare": (
        cell(
            prepare=lambda params: {**params, "v": params["w"]},
            transition=lambda params, state, x: transition({**params, "w": params["v"]}, state, x),
        ),
        "transition raises KeyError: 'v'",
    ),
    "parallel path": (
        cell(states=lambda params, state, x_TxI, slots: {"h": state["h"]}),
        "states gives h as float32 (5,), expected float32 (3, 5), as init_state for 3 steps",
    ),
    "delay": (cell(delay_steps=-1), "delay_steps is -1 (int), expected a whole number from 0 on"),
    "memory not probed": (
        cell(memory="M", init_state=with_leaf(M=jnp.zeros((4, 2)))),
        "probed is ('h',), expected 'M' (memory) in it",
    ),
    "memory of one slot": (
        cell(memory="M", probed=("h", "M"), init_state=with_leaf(M=jnp.zeros(4))),
        "init_state gives M as float32 (4,), expected shape (slots, width): it is the cell's mem",
    ),
    "weights without a memory": (
        cell(memory_weights=("w",)),
        "memory_weights is ('w',), expected a tuple of leaves of the state, over the slots",
    ),
    "weights: a name": (
        cell(memory="h", memory_weights="w"),
        "memory_weights is 'w', expected a tuple of leaves",
    ),
    "no weights": (
        cell(
            memory="M",
            probed=("h", "M"),
            memory_weights=("w",),
            init_state=with_leaf(M=jnp.zeros((4, 2))),
        ),
        "init_state gives the leaves M, h, expected 'w' among them: the cell's memory_weights",
    ),
    "weights of others": (
        cell(
            memory="M",
            probed=("h", "M"),
            memory_weights=("w",),
            init_state=with_leaf(M=jnp.zeros((4, 2)), w=jnp.zeros((1, 3))),
        ),
        "init_state gives w as float32 (1, 3), expected shape (heads, 4): memory_weights names it",
    ),
    "kernel": (
        cell(kernel="tanhh"),
        "kernel is 'tanhh', expected None or one of lstm, lstm_peephole",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line(fault: str) -> None:
    hostile, text = FAULTS[fault]
    with pytest.raises(UsageError, match=re.escape(text)) as caught:
        check_cell("mine", hostile, I)
    line = str(caught.value)
    assert line.startswith("cell 'mine': ")
    assert "\n" not in line
    if " raises " in line:  # the line of the user's function, not of JAX's
        assert re.search(r"\((.*test_check_cell|.*hostile)\.py:\d+\)$", line), line


def test_a_sound_cell_is_given_back() -> None:
    sound = cell()
    assert check_cell("mine", sound, I) is sound


@each_cell
def test_built_in_cells_keep_the_contract(variant: Variant) -> None:
    built = build(variant, I, H)
    assert check_cell(variant[0], built, I) is built


def test_a_whole_network_has_the_outputs_of_its_task() -> None:
    network: Cell = cell(is_network=True)
    check_network("mine", network, "adding", H)
    with pytest.raises(UsageError, match="output_size is 5, expected 1, the outputs of task 'add"):
        check_network("mine", network, "adding", 1)
    check_network("mine", cell(), "adding", 1)
