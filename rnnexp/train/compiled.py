"""The compiled functions of a program, and the lanes that stand on the devices."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.runtime.mesh import on_host, place
from rnnexp.tasks.base import Source
from rnnexp.tasks.batches import Keys, no_order, source_arrays, source_size, stream_keys
from rnnexp.train.evaluate import evaluate_function
from rnnexp.train.lanes import LaneLayout, everywhere, over_lanes, spread_chunk, spread_evaluate
from rnnexp.train.placement import place_state
from rnnexp.train.plan import Plan
from rnnexp.train.program import TrainState
from rnnexp.train.step_metrics import Records, read_rows

SPLITS = ("train", "valid", "test")


class Programs:
    """Training and evaluation of a plan; the data sets live on the devices in here."""

    def __init__(self, plan: Plan, layout: LaneLayout = LaneLayout()):  # noqa: B008  an immutable value
        self.plan, self.layout = plan, layout
        self.free_since = 0.0  # monotonic time at which a chunk last came to its end
        task, size = plan.recipe.task, plan.config.eval.batch_size
        self.sources: dict[str, Source] = {split: getattr(task, split) for split in SPLITS}
        arrays = {split: source_arrays(source) for split, source in self.sources.items()}
        whole = everywhere(layout)
        devices = plan.recipe.devices
        self.arrays = place(devices, arrays) if whole is None else jax.device_put(arrays, whole)
        self.chunk: Any = spread_chunk(plan.recipe, layout)
        self.copy: Any = jax.jit(lambda tree: jax.tree.map(jnp.copy, tree))
        self.evaluate: dict[str, Any] = {
            split: spread_evaluate(
                evaluate_function(plan.recipe, split, size, self._examples(split)), layout
            )
            for split in ("valid", "test")
        }

    def _examples(self, split: str) -> int:
        return source_size(self.sources[split]) or int(self.plan.config.eval.examples)

    @property
    def compilations(self) -> int:
        """How many times the training program was compiled."""
        return int(self.chunk._cache_size())

    def initial(self) -> TrainState:
        """The plan's own state before the first step."""
        return initial_state(self.plan)

    def advance(self, state: TrainState, stop: int, every: int) -> tuple[TrainState, Records]:
        """The plan's own run up to `stop`, the chunk's size, or a divergence.

        Records come to the host. The state that goes in is given up to the device (donated).
        """
        slots = LaneStates(self)
        slots.put(0, self.plan, state)
        slots.launch([stop], [every])
        return slots.state, slots.records()[0]

    def scores(self, split: str, state: TrainState) -> dict[str, float]:
        """Mean scores of the plan's own run over the validation or test set."""
        slots = LaneStates(self)
        slots.put(0, self.plan, state)
        return slots.scores(split, [True])[0]

    def replay(self, state: TrainState) -> Records:
        """The step that diverged once more, recorded; the state is left alone."""
        slots = LaneStates(self)
        slots.put(0, self.plan, state)
        return slots.replay(0)


def initial_state(plan: Plan) -> TrainState:
    """The state before the first step, in arrays of its own: a chunk takes them (donation)."""
    return plan.recipe.start(plan.params, plan.hyper)


class LaneStates:
    """The states of as many runs as a layout has lanes, and the values that they differ in.

    With one lane nothing has an axis of lanes; `state` is the run's own.
    """

    def __init__(self, programs: Programs):
        self.programs = programs
        self._place = over_lanes(programs.layout)
        self._coming: dict[int, tuple[Plan, TrainState]] = {}
        self._plans: list[Plan | None] = [None] * programs.layout.lanes
        self.state: Any = None
        self._order: Any = None

    def put(self, slot: int, plan: Plan, state: TrainState) -> None:
        """Let a run take a slot, in place of the one that was there."""
        self._coming[slot] = (plan, state)

    def launch(self, stops: Sequence[int], everys: Sequence[int]) -> None:
        """Start a chunk, up to each lane's stop; what comes back is there when asked for."""
        self.settle()
        self.state, self._order, self._rows = self.programs.chunk(
            self.state,
            self._order,
            self._stacked([np.asarray(stop, np.int32) for stop in stops]),
            self._stacked([np.asarray(every, np.int32) for every in everys]),
            Keys(self._keys["train"], self._keys["noise"]),
            self._hyper,
            self.programs.arrays["train"],
        )

    def records(self) -> list[Records]:
        """What the last chunk reported, lane by lane, on the host."""
        return [read_rows(rows) for rows in self._apart(jax.device_get(self._rows))]

    def steps(self) -> list[int]:
        """Updates made by every lane."""
        return [int(step) for step in np.atleast_1d(jax.device_get(self.state.step))]

    def diverged(self) -> list[bool]:
        """Whether the last step that a lane tried was not finite."""
        return [bool(flag) for flag in np.atleast_1d(jax.device_get(self.state.diverged))]

    def states(self) -> list[TrainState]:
        """All lanes' states on the host."""
        self.settle()
        return self._apart(on_host(self.state))

    def scores(self, split: str, due: Sequence[bool]) -> list[dict[str, float]]:
        """Mean scores of the lanes that are due over a set; of the others they mean nothing."""
        self.settle()
        means = self.programs.evaluate[split](
            self.state.params,
            self._keys[split],
            self._stacked([np.asarray(flag) for flag in due]),
            self.programs.arrays[split],
        )
        rows = self._apart(jax.device_get(means))
        return [{name: float(value) for name, value in row.items()} for row in rows]

    def replay(self, slot: int) -> Records:
        """The step at which a lane diverged once more, recorded; other lanes stand still."""
        lane = self.states()[slot]
        self.put(slot, self.plan_of(slot), lane._replace(diverged=jnp.zeros((), bool)))
        return self.alone(slot, int(lane.step) + 1, 1)

    def plan_of(self, slot: int) -> Plan:
        """The plan of the run that stands in a slot."""
        plan = self._coming[slot][0] if slot in self._coming else self._plans[slot]
        assert plan is not None
        return plan

    def alone(self, slot: int, stop: int, every: int) -> Records:
        """Let one lane go on to `stop` while the others stand still; what it reports."""
        self.settle()
        stops = self.steps()
        stops[slot] = stop
        self.launch(stops, [every] * len(stops))
        return self.records()[slot]

    def copied(self) -> Any:
        """The state of all lanes in arrays of its own, where they are: a chunk takes `state`."""
        self.settle()
        return self.programs.copy(self.state)

    def lane(self, state: Any, slot: int) -> TrainState:
        """One lane of `state` or of a copy of it, on the host, in arrays of its own."""
        # On a CPU the host sees the devices' own arrays, which the next chunk writes over.
        lane: TrainState = jax.tree.map(np.array, self._apart(on_host(state))[slot])
        return lane

    def settle(self) -> None:
        """Move the runs that were put into slots onto the devices."""
        if not self._coming:
            return
        anyone = next(iter(self._coming.values()))  # stands in slots that nobody has had yet
        old = [None] * len(self._plans) if self.state is None else self._apart(on_host(self.state))
        plans: list[Plan] = []
        states = []
        for slot, before in enumerate(old):
            plan, state = self._coming.get(slot, (self._plans[slot], before))
            if plan is None:
                plan, state = anyone
            plans.append(plan)
            states.append(state)
        self._coming, self._plans = {}, list(plans)
        devices = self.programs.plan.recipe.devices
        self.state = place_state(devices, self._stacked(states))
        keys = self._stacked([stream_keys(plan.config.seed) for plan in plans])
        hyper = self._stacked([dict(plan.hyper) for plan in plans])
        recipe = self.programs.plan.recipe
        order = self._stacked([no_order(recipe.task.train, recipe.batch_size)] * len(plans))
        self._keys, self._hyper, self._order = place(devices, (keys, hyper, order))

    def _stacked(self, trees: Sequence[Any]) -> Any:
        """One tree with a leading axis of lanes, on the devices; with one lane that lane's."""
        if self._place is None:
            return jax.tree.map(_on_device, trees[0])
        return jax.device_put(jax.tree.map(_stack, *trees), self._place)

    def _apart(self, tree: Any) -> list[Any]:
        """The lanes of a tree on the host."""
        if self._place is None:
            return [tree]
        lanes = range(self.programs.layout.lanes)
        return [jax.tree.map(lambda x, n=lane: x[n], tree) for lane in lanes]


def _on_device(x: Any) -> jax.Array:
    return x if isinstance(x, jax.Array) else jnp.array(x)


def _stack(*leaves: Any) -> Any:
    """Leaves of all lanes together; on the host, but for keys."""
    if isinstance(leaves[0], jax.Array) and jnp.issubdtype(leaves[0].dtype, jax.dtypes.prng_key):
        return jnp.stack(leaves)
    return np.stack([np.asarray(leaf) for leaf in leaves])
