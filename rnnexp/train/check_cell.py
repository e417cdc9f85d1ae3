"""Checks that a cell keeps the contract of `rnnexp.cells.base`, on shapes alone.

Most faults of a cell are silent: a state of shape (1, H) broadcasts against a batch of targets,
a hidden leaf of another size is projected as it is. What a step gives is therefore compared with
what the cell says of itself before a model is made of it.
"""

from collections.abc import Mapping
from typing import Any

from rnnexp.cells.base import CONTEXT, Cell, as_they_are, hidden_output, no_gates
from rnnexp.core.tree import tree_size
from rnnexp.core.types import Params, State, Tree
from rnnexp.scan.kernels.cells import CELLS as KERNELS
from rnnexp.train.abstract_call import Entry, array, described, is_count, is_real, key_shape

STEPS = 3
"""Time steps of the sequence that a parallel path is called with."""


def check_cell(name: str, cell: Any, input_size: int, context: Tree = None) -> Cell:
    """The cell that a factory gave.

    Args:
      name: of the entry, for messages.
      cell: what the factory gave for `input_size`.
      context: shapes of the task's context of one example, if it has one.

    Raises `UsageError` in one line that names the entry, the function, what it gives and what
    the contract asks for.
    """
    entry = Entry("cell", name)
    if not isinstance(cell, Cell):
        missing = "; is a `return` missing?" if cell is None else ""
        raise entry.error("the factory", f"gives {described(cell)}, expected a Cell{missing}")
    _check_fields(entry, cell, input_size)
    params = _checked_params(entry, cell)
    prepared = params
    if cell.prepare is not as_they_are:
        prepared = entry.call("prepare", cell.prepare, params=params)
        _require_dict(entry, "prepare", prepared)
        if cell.context is None:
            _check_step(entry, cell, params)
    if cell.context is not None:
        prepared = _with_context(entry, cell, prepared, context)
    state = _check_step(entry, cell, prepared)
    _check_reports(entry, cell, prepared, state)
    if cell.states is not None:
        _check_states(entry, cell, prepared, state)
    return cell


def _with_context(entry: Entry, cell: Cell, params: Params, context: Tree) -> Params:
    """The shapes of prepared parameters with what a cell makes of its task's context."""
    assert cell.context is not None
    if CONTEXT in params:
        raise entry.error("init", f"gives {CONTEXT!r}, expected other names: that is the context's")
    if cell.recurrent_matrices is None:
        raise entry.error(
            "recurrent_matrices", "is None, expected a function (or no_matrices): a cell with a "
            "context has to name them",
        )  # fmt: skip
    if context is None:
        raise entry.error("context", "is a function, expected None: the task gives no context")
    own = entry.call("context", cell.context, params=params, context=context)
    _require_dict(entry, "context", own, exactly=True)
    for name, leaf in own.items():
        if not is_real(leaf):
            raise entry.error("context", f"gives {name} as {described(leaf)}, expected real floats")
    return {**params, CONTEXT: own}


def check_network(name: str, cell: Cell, task: str, output_size: int) -> None:
    """Raise `UsageError` if a cell that is a whole network has other outputs than its task."""
    if cell.is_network and cell.output_size != output_size:
        raise Entry("cell", name).error(
            "output_size",
            f"is {cell.output_size}, expected {output_size}, the outputs of task {task!r}: the "
            "cell is a whole network (is_network) without a readout after it",
        )


def _check_fields(entry: Entry, cell: Cell, input_size: int) -> None:
    """The values of a cell that are not functions."""
    for field in ("input_size", "output_size"):
        if not is_count(value := getattr(cell, field)):
            raise entry.error(field, f"is {described(value)}, expected a whole number from 1 on")
    for field in ("parameter_count", "delay_steps", "steps", "linear_start_steps"):
        if not is_count(value := getattr(cell, field), least=0):
            raise entry.error(field, f"is {described(value)}, expected a whole number from 0 on")
    if cell.input_size != input_size:
        raise entry.error(
            "input_size", f"is {cell.input_size}, expected {input_size}, as the factory was asked"
        )
    if not isinstance(cell.axis, str) or not cell.axis.isidentifier():
        raise entry.error("axis", f"is {described(cell.axis)}, expected a word, such as 'time'")
    if cell.persistent and not cell.steps:
        raise entry.error(
            "persistent",
            "is True and steps is 0, expected steps of its own: a state that reads a sequence "
            "would go on in another one",
        )
    if isinstance(cell.probed, str) or not cell.probed:
        raise entry.error("probed", f"is {cell.probed!r}, expected a tuple of leaves of the state")
    if cell.hidden not in cell.probed:
        raise entry.error("probed", f"is {cell.probed}, expected {cell.hidden!r} (hidden) in it")
    if cell.memory is not None and cell.memory not in cell.probed:
        raise entry.error("probed", f"is {cell.probed}, expected {cell.memory!r} (memory) in it")
    if isinstance(cell.memory_weights, str) or (cell.memory_weights and cell.memory is None):
        raise entry.error(
            "memory_weights",
            f"is {cell.memory_weights!r}, expected a tuple of leaves of the state, over the slots "
            f"of memory, which is {cell.memory!r}",
        )
    if cell.kernel is not None and cell.kernel not in KERNELS:
        known = ", ".join(KERNELS)
        raise entry.error("kernel", f"is {cell.kernel!r}, expected None or one of {known}")


def _checked_params(entry: Entry, cell: Cell) -> Params:
    """The shapes of a cell's parameters, as many as it says."""
    params: Params = entry.call("init", cell.init, key=key_shape())
    _require_dict(entry, "init", params)
    for name, leaf in params.items():
        if not is_real(leaf):
            raise entry.error(
                "init", f"gives {name} as {described(leaf)}, expected real floats: it is trained"
            )
    entry.check_key("init", cell.init, once=True)
    if (count := tree_size(params)) != cell.parameter_count:
        raise entry.error(
            "parameter_count",
            f"is {cell.parameter_count}, expected {count}, the size of what init gives: "
            + _listed(params),
        )
    return params


def _check_step(entry: Entry, cell: Cell, params: Params) -> State:
    """The initial state's shapes, which a step with these parameters must keep."""
    own = {name: value for name, value in params.items() if name != CONTEXT}
    state: State = entry.call("init_state", cell.init_state, params=own)
    _require_dict(entry, "init_state", state, exactly=True)
    if cell.start is not None:
        start: State = entry.call("start", cell.start, params=params)
        _require_dict(entry, "start", start, exactly=True)
        _require_like(entry, "start", start, state, "init_state")
    _check_leaves(entry, cell, state)
    x_I = array(cell.input_size)
    new: State = entry.call("transition", cell.transition, params=params, state=state, x=x_I)
    _require_dict(entry, "transition", new, exactly=True)
    _require_like(entry, "transition", new, state, "init_state")
    y = entry.call("output", cell.output, params=params, state=new, x=x_I)
    if getattr(y, "shape", None) != (cell.output_size,) or not is_real(y):
        raise entry.error(
            "output",
            f"gives {described(y)}, expected floats of shape ({cell.output_size},): "
            f"output_size is {cell.output_size}, and a cell is written for one example; init_state "
            f"gives {_listed(state)}",
        )
    return state


def _check_leaves(entry: Entry, cell: Cell, state: State) -> None:
    """The leaves of the state that a cell names."""
    named = {"hidden": (cell.hidden,), "probed": cell.probed, "counters": cell.counters or ()}
    named["feedback"] = () if cell.feedback is None else (cell.feedback,)
    named["memory"] = () if cell.memory is None else (cell.memory,)
    named["memory_weights"] = cell.memory_weights
    for field, leaves in named.items():
        for leaf in leaves:
            if leaf not in state:
                raise entry.error(
                    "init_state",
                    f"gives the leaves {', '.join(state) or '(none)'}, expected {leaf!r} among "
                    f"them: the cell's {field} names it",
                )
    for leaf in cell.probed:
        if not is_real(state[leaf]):
            raise entry.error(
                "init_state",
                f"gives {leaf} as {described(state[leaf])}, expected real floats: it is probed",
            )
    both = [leaf for leaf in cell.counters or () if leaf in cell.probed]
    if both:
        raise entry.error("counters", f"has {both[0]!r}, which is probed; expected other leaves")
    size = cell.output_size
    if cell.output is hidden_output and state["h"].shape != (size,):
        raise entry.error(
            "init_state",
            f"gives h as {described(state['h'])}, expected shape ({size},): h is the output, "
            f"output_size is {size}, and a cell is written for one example, without a batch axis",
        )
    if cell.feedback is not None and state[cell.feedback].shape != (size + 1,):
        raise entry.error(
            "init_state",
            f"gives {cell.feedback} as {described(state[cell.feedback])}, expected shape "
            f"({size + 1},): the outputs of the step before, and a 1",
        )
    if cell.memory is not None:
        _check_memory(entry, cell, state)


def _check_memory(entry: Entry, cell: Cell, state: State) -> None:
    """The shapes of a memory, and of the weights over its slots."""
    assert cell.memory is not None
    memory = state[cell.memory]
    if len(memory.shape) != 2:
        raise entry.error(
            "init_state",
            f"gives {cell.memory} as {described(memory)}, expected shape (slots, width): it is "
            "the cell's memory",
        )
    slots = memory.shape[0]
    for leaf in cell.memory_weights:
        if len(state[leaf].shape) != 2 or state[leaf].shape[1] != slots:
            raise entry.error(
                "init_state",
                f"gives {leaf} as {described(state[leaf])}, expected shape (heads, {slots}): "
                f"memory_weights names it, and the memory {cell.memory} has {slots} slots",
            )


def _check_reports(entry: Entry, cell: Cell, params: Params, state: State) -> None:
    """What a cell reports for measurements: gates, what they keep, matrices."""
    x_I = array(cell.input_size)
    gates: State = {}
    if cell.gates is not no_gates:
        gates = entry.call("gates", cell.gates, params=params, state=state, x=x_I)
        _require_dict(entry, "gates", gates, exactly=True)
    if cell.kept_fraction is not None:
        means = {name: array(STEPS) for name in gates}
        kept = entry.call("kept_fraction", cell.kept_fraction, gates=means)
        if getattr(kept, "shape", None) != (STEPS,):
            raise entry.error(
                "kept_fraction",
                f"gives {described(kept)}, expected one number for each of {STEPS} means of gates",
            )
    if cell.recurrent_matrices is not None:
        matrices = entry.call("recurrent_matrices", cell.recurrent_matrices, params=params)
        _require_dict(entry, "recurrent_matrices", matrices, exactly=True)
        size = state[cell.hidden].size
        for name, matrix in matrices.items():
            if matrix.shape != (size, size):
                raise entry.error(
                    "recurrent_matrices",
                    f"gives {name} as {described(matrix)}, expected shape ({size}, {size}), as "
                    f"the hidden state {cell.hidden} has {size} numbers",
                )


def _check_states(entry: Entry, cell: Cell, params: Params, state: State) -> None:
    """A parallel path gives every leaf with an axis of time in front."""
    assert cell.states is not None
    over_time: dict[str, Any] = {
        leaf: array(STEPS, *v.shape, dtype=v.dtype) for leaf, v in state.items()
    }
    got: State = entry.call(
        "states", cell.states, params=params, state=state,
        x_TxI=array(STEPS, cell.input_size), slots={leaf: over_time[leaf] for leaf in cell.probed},
    )  # fmt: skip
    _require_dict(entry, "states", got, exactly=True)
    _require_like(entry, "states", got, over_time, f"init_state for {STEPS} steps")


def _require_dict(entry: Entry, function: str, value: Any, *, exactly: bool = False) -> None:
    """Raise `UsageError` unless a value is a flat dict of arrays by name."""
    if not isinstance(value, dict if exactly else Mapping):
        raise entry.error(function, f"gives {described(value)}, expected a dict of arrays by name")
    for name, leaf in value.items():
        if not isinstance(name, str):
            raise entry.error(function, f"gives a leaf {name!r}, expected names that are strings")
        if not hasattr(leaf, "shape"):
            raise entry.error(function, f"gives {name} as {described(leaf)}, expected an array")


def _require_like(entry: Entry, function: str, got: State, like: State, source: str) -> None:
    """Raise `UsageError` unless two dicts have the same leaves, shapes and types."""
    if set(got) != set(like):
        raise entry.error(
            function,
            f"gives the leaves {', '.join(sorted(got)) or '(none)'}, expected "
            f"{', '.join(sorted(like))}, as {source}",
        )
    for leaf, value in like.items():
        if (got[leaf].shape, got[leaf].dtype) != (value.shape, value.dtype):
            raise entry.error(
                function,
                f"gives {leaf} as {described(got[leaf])}, expected {described(value)}, as {source}",
            )


def _listed(leaves: Mapping[str, Any]) -> str:
    """All leaves with their shapes."""
    return ", ".join(f"{name} {tuple(leaf.shape)}" for name, leaf in leaves.items()) or "nothing"
