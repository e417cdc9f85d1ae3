"""A stack of recurrent layers in one direction or two, with norms, dropout and residuals.

Every cell of the stack is a unit with a name, `layer_0` or `layer_0_backward`; probes,
states and diagnostics come one a unit, bottom first, forward before backward.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from rnnexp.cells.base import Cell
from rnnexp.core.masking import fill_padding, last_valid, reverse_valid
from rnnexp.core.types import Array, Key, State
from rnnexp.models.forward import EVALUATION, ForwardOptions
from rnnexp.models.noise import dropout, recurrent_dropout, teacher, zoneout
from rnnexp.models.recurrent import Recurrent
from rnnexp.models.structure import Structure
from rnnexp.scan.newton.solve import NewtonStats
from rnnexp.scan.step import Hook
from rnnexp.scan.unroll import Probe, Trajectory, Unrolled

MakeCell = Callable[[int, int], Cell]
"""`(input_size, layer) -> Cell`."""


class Unit(NamedTuple):
    """One cell of a stack: its name, its layer module, whether it reads backwards."""

    name: str
    layer: Recurrent
    backward: bool


class Stacked(NamedTuple):
    """A stack's results: the top's outputs, its output after each sequence's last valid step
    (its first, for a backward direction), and of every unit the final state, the trajectory
    if kept, and the statistics of Newton's iteration or None."""

    outputs_TxBxH: Array
    final_BxH: Array
    states: list[State]
    trajectories: list[Trajectory]
    newton_stats: list[NewtonStats | None]


class Stack(nnx.Module):
    """Recurrent layers on top of each other; see `Structure` for the options."""

    def __init__(self, make_cell: MakeCell, *, structure: Structure, input_size: int, key: Key):
        directions = 2 if structure.bidirectional else 1
        dtype = jax.dtypes.canonicalize_dtype(float)
        layers, norms, size = [], [], input_size
        for number in range(structure.num_layers):
            for direction in range(directions):
                unit_key = jax.random.fold_in(key, number * directions + direction)
                cell = make_cell(size, number)
                layers.append(Recurrent(cell, unit_key, learned_state=structure.learned_state))
            size = directions * layers[-1].cell.output_size
            if structure.layer_norm:
                norms.append(nnx.LayerNorm(size, param_dtype=dtype, rngs=nnx.Rngs(0)))
        self.layers = nnx.List(layers)
        self.norms = nnx.List(norms)
        self.structure = structure
        self.output_size = size

    def units(self) -> list[Unit]:
        """All cells, bottom first, forward before backward."""
        if not self.structure.bidirectional:
            return [Unit(f"layer_{n}", layer, False) for n, layer in enumerate(self.layers)]
        ends = ("forward", "backward")
        return [
            Unit(f"layer_{n // 2}_{ends[n % 2]}", layer, n % 2 == 1)
            for n, layer in enumerate(self.layers)
        ]

    def __call__(self, x_TxBxI: Array, options: ForwardOptions = EVALUATION) -> Stacked:
        """Run the stack over a batch of sequences."""
        x_TxBxI = fill_padding(x_TxBxI, options.lengths_B)
        units = self.units()
        starts: Sequence[State | None] = options.states or [None] * len(units)
        probes: Sequence[Probe | None] = options.probes or [None] * len(units)
        directions = 2 if self.structure.bidirectional else 1
        final_states: list[State] = []
        trajectories: list[Trajectory] = []
        newton_stats: list[NewtonStats | None] = []
        for first in range(0, len(units), directions):
            results = []
            for index in range(first, first + directions):
                hooks = unit_hooks(self.structure, units[index].layer.cell, options, index)
                got, seen = self._direction(
                    units[index], x_TxBxI, starts[index], probes[index], hooks, options
                )
                results.append(got)
                final_states.append(got.final_state)
                trajectories.extend(seen)
                newton_stats.append(got.newton_stats)
            x_TxBxI, final_BxH = self._join(results, x_TxBxI, first, options)
        return Stacked(x_TxBxI, final_BxH, final_states, trajectories, newton_stats)

    def _direction(
        self,
        unit: Unit,
        x_TxBxI: Array,
        state: State | None,
        probe: Probe | None,
        hooks: tuple[Hook, ...],
        options: ForwardOptions,
    ) -> tuple[Unrolled, list[Trajectory]]:
        """One unit over the sequence, outputs in the sequence's order of time, and its
        trajectory if kept."""
        lengths_B = options.lengths_B
        x = reverse_valid(x_TxBxI, lengths_B) if unit.backward else x_TxBxI
        if state is None:
            state = unit.layer.start(x.shape[1], options.context)
        got = unit.layer(
            x, lengths_B=lengths_B, context=options.context, state=state, probe=probe,
            hooks=hooks, time_loop=self.structure.time_loop, keep_states=options.keep_states,
        )  # fmt: skip
        seen = []
        if got.states is not None:
            seen = [Trajectory(x, state, got.states, options.context)]
        if unit.backward:
            got = got._replace(outputs_TxBxH=reverse_valid(got.outputs_TxBxH, lengths_B))
        return got, seen

    def _join(
        self, results: Sequence[Unrolled], x_TxBxI: Array, first: int, options: ForwardOptions
    ) -> tuple[Array, Array]:
        """The inputs of the layer above: all steps, and the end alone."""
        outputs = jnp.concatenate([r.outputs_TxBxH for r in results], -1)
        final = jnp.concatenate([r.final_BxH for r in results], -1)
        structure, key = self.structure, options.key
        if structure.layer_norm:
            norm = self.norms[first // len(results)]
            with jax.numpy_dtype_promotion("standard"):  # Flax mixes float types in float64
                outputs, final = norm(outputs), norm(final)
        if structure.dropout and key is not None:
            rate, one_mask = _rate(structure, "dropout", options), structure.variational_dropout
            drop_key = jax.random.fold_in(key, 2 * first + 1)
            outputs = dropout(outputs, rate, drop_key, one_mask=one_mask)
            final_key = jax.random.fold_in(drop_key, 0)
            final = dropout(final[None], rate, final_key, one_mask=one_mask)[0]
        if structure.residual and outputs.shape == x_TxBxI.shape:
            final = final + _ends(x_TxBxI, options.lengths_B, len(results))
            outputs = outputs + x_TxBxI
        return outputs, final


def unit_hooks(
    structure: Structure, cell: Cell, options: ForwardOptions, index: int = 0
) -> tuple[Hook, ...]:
    """The hooks of a stack's unit of that index: noise, and a teacher."""
    key, hooks = options.key, []
    unit_key = None if key is None else jax.random.fold_in(key, 2 * index)
    if structure.recurrent_dropout:
        rate = _rate(structure, "recurrent_dropout", options)
        hooks.append(recurrent_dropout(cell, rate, unit_key))
    if structure.zoneout:
        hooks.append(zoneout(cell, structure.zoneout, unit_key))
    if cell.feedback is not None and (taught := options.taught_TxBxO) is not None:
        steps = len(taught) if options.forced_steps is None else options.forced_steps
        hooks.append(teacher(cell.feedback, taught, steps))
    return tuple(hooks)


def _rate(structure: Structure, name: str, options: ForwardOptions) -> float | Array:
    """The rate of that kind of dropout."""
    if options.rates is not None:
        return options.rates[name]
    return float(getattr(structure, name))


def _ends(x_TxBxH: Array, lengths_B: Array | None, directions: int) -> Array:
    """Features at the end of their direction: the last valid step, or the first for the
    backward half."""
    last_BxH = last_valid(x_TxBxH, lengths_B)
    if directions == 1:
        return last_BxH
    half = x_TxBxH.shape[-1] // 2
    return jnp.concatenate([last_BxH[:, :half], x_TxBxH[0, :, half:]], -1)
