"""The compiled functions of a program, and the lanes on the devices."""

from collections.abc import Sequence
from dataclasses import replace
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
from rnnexp.train.program import Recipe, TrainState
from rnnexp.train.step_metrics import Records, read_rows

SPLITS = ("train", "valid", "test")


class Programs:
    """Training and evaluation of a plan, with the data sets on the devices."""

    def __init__(self, plan: Plan, layout: LaneLayout = LaneLayout()):  # noqa: B008  an immutable value
        self.plan, self.layout = plan, layout
        self.free_since = 0.0  # monotonic time at which the last chunk ended
        size = plan.config.eval.batch_size
        recipes: dict[str, Recipe] = dict.fromkeys(SPLITS, plan.recipe)
        recipes |= {
            at_length(n): replace(plan.recipe, task=task) for n, task in plan.length_tasks.items()
        }
        self.sources: dict[str, Source] = {
            split: getattr(recipe.task, _split_of(split)) for split, recipe in recipes.items()
        }
        arrays = {split: source_arrays(source) for split, source in self.sources.items()}
        whole = everywhere(layout)
        devices = plan.recipe.devices
        self.arrays = place(devices, arrays) if whole is None else jax.device_put(arrays, whole)
        self.chunk: Any = spread_chunk(plan.recipe, layout)
        self.copy: Any = jax.jit(lambda tree: jax.tree.map(jnp.copy, tree))
        self.evaluate: dict[str, Any] = {
            split: spread_evaluate(
                evaluate_function(recipe, _split_of(split), size, self._examples(split)), layout
            )
            for split, recipe in recipes.items()
            if split != "train"
        }

    def _examples(self, split: str) -> int:
        return source_size(self.sources[split]) or int(self.plan.config.eval.examples)

    @property
    def compilations(self) -> int:
        """How often the training program was compiled."""
        return int(self.chunk._cache_size())

    def initial(self) -> TrainState:
        """The plan's own state before the first step."""
        return initial_state(self.plan)

    def advance(self, state: TrainState, stop: int, every: int) -> tuple[TrainState, Records]:
        """The plan's own run up to `stop`, the chunk's size, or a divergence.

        Records are on the host. `state` is donated.
        """
        slots = LaneStates(self)
        slots.put(0, self.plan, state)
        slots.launch([stop], [every])
        return slots.state, slots.records()[0]

    def scores(self, split: str, state: TrainState) -> dict[str, float]:
        """Mean scores of the plan's own run over `valid`, `test`, or a test `at_length`."""
        slots = LaneStates(self)
        slots.put(0, self.plan, state)
        return slots.scores(split, [True])[0]

    def replay(self, state: TrainState) -> Records:
        """The diverged step once more, recorded; `state` is not changed."""
        slots = LaneStates(self)
        slots.put(0, self.plan, state)
        return slots.replay(0)


def at_length(length: int) -> str:
    """The name of the test at one of the plan's lengths, among the splits."""
    return f"test@{length}"


def _split_of(name: str) -> str:
    """The split of a task that an evaluation reads."""
    return name.partition("@")[0]


def initial_state(plan: Plan) -> TrainState:
    """The state before the first step, in new arrays, which a chunk may donate."""
    return plan.recipe.start(plan.params, plan.hyper)


class LaneStates:
    """The states of a layout's lanes, and the traced values of their runs.

    With one lane there is no axis of lanes; `state` is the run's own.
    """

    def __init__(self, programs: Programs):
        self.programs = programs
        self._place = over_lanes(programs.layout)
        self._coming: dict[int, tuple[Plan, TrainState]] = {}
        self._plans: list[Plan | None] = [None] * programs.layout.lanes
        self.state: Any = None
        self._order: Any = None

    def put(self, slot: int, plan: Plan, state: TrainState) -> None:
        """Put a run into a slot, in place of the previous one."""
        self._coming[slot] = (plan, state)

    def launch(self, stops: Sequence[int], everys: Sequence[int]) -> None:
        """Start a chunk up to each lane's stop, without waiting for its end."""
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
        """The records of the last chunk, by lane, on the host."""
        return [read_rows(rows) for rows in self._apart(jax.device_get(self._rows))]

    def steps(self) -> list[int]:
        """The number of updates of every lane."""
        return [int(step) for step in np.atleast_1d(jax.device_get(self.state.step))]

    def diverged(self) -> list[bool]:
        """Whether the last step of each lane was not finite."""
        return [bool(flag) for flag in np.atleast_1d(jax.device_get(self.state.diverged))]

    def states(self) -> list[TrainState]:
        """All lanes' states on the host."""
        self.settle()
        return self._apart(on_host(self.state))

    def scores(self, split: str, due: Sequence[bool]) -> list[dict[str, float]]:
        """Mean scores of the lanes that are due; those of the others are undefined."""
        self.settle()
        means = self.programs.evaluate[split](
            self.state.params,
            self._keys[_split_of(split)],
            self._stacked([np.asarray(flag) for flag in due]),
            self.programs.arrays[split],
        )
        rows = self._apart(jax.device_get(means))
        return [{name: float(value) for name, value in row.items()} for row in rows]

    def replay(self, slot: int) -> Records:
        """The diverged step of a lane once more, recorded; other lanes take no step."""
        lane = self.states()[slot]
        self.put(slot, self.plan_of(slot), lane._replace(diverged=jnp.zeros((), bool)))
        return self.alone(slot, int(lane.step) + 1, 1)

    def plan_of(self, slot: int) -> Plan:
        """The plan of the run in a slot."""
        plan = self._coming[slot][0] if slot in self._coming else self._plans[slot]
        assert plan is not None
        return plan

    def alone(self, slot: int, stop: int, every: int) -> Records:
        """Run one lane up to `stop` while the others take no step; its records."""
        self.settle()
        stops = self.steps()
        stops[slot] = stop
        self.launch(stops, [every] * len(stops))
        return self.records()[slot]

    def copied(self) -> Any:
        """A copy of the state of all lanes on the devices, as a chunk donates `state`."""
        self.settle()
        return self.programs.copy(self.state)

    def lane(self, state: Any, slot: int) -> TrainState:
        """A copy of one lane of `state`, or of a copy of that, on the host."""
        # on a CPU the host sees the devices' own arrays, which the next chunk overwrites
        lane: TrainState = jax.tree.map(np.array, self._apart(on_host(state))[slot])
        return lane

    def settle(self) -> None:
        """Move the runs that were put into slots onto the devices."""
        if not self._coming:
            return
        filler = next(iter(self._coming.values()))  # for slots without a run
        old = [None] * len(self._plans) if self.state is None else self._apart(on_host(self.state))
        plans: list[Plan] = []
        states = []
        for slot, before in enumerate(old):
            plan, state = self._coming.get(slot, (self._plans[slot], before))
            if plan is None:
                plan, state = filler
            plans.append(plan)
            states.append(state)
        self._coming, self._plans = {}, list(plans)
        recipe = self.programs.plan.recipe
        self.state = place_state(recipe.devices, self._stacked(states))
        keys = self._stacked([stream_keys(plan.config.seed) for plan in plans])
        hyper = self._stacked([dict(plan.hyper) for plan in plans])
        order = self._stacked([no_order(recipe.task.train, recipe.batch_size)] * len(plans))
        self._keys, self._hyper, self._order = place(recipe.devices, (keys, hyper, order))

    def _stacked(self, trees: Sequence[Any]) -> Any:
        """The trees with a leading axis of lanes, on the devices; a single one without it."""
        if self._place is None:
            return jax.tree.map(_on_device, trees[0])
        return jax.device_put(jax.tree.map(_stack, *trees), self._place)

    def _apart(self, tree: Any) -> list[Any]:
        """A tree on the host as one tree a lane."""
        if self._place is None:
            return [tree]
        lanes = range(self.programs.layout.lanes)
        return [jax.tree.map(lambda x, n=lane: x[n], tree) for lane in lanes]


def _on_device(x: Any) -> jax.Array:
    return x if isinstance(x, jax.Array) else jnp.array(x)


def _stack(*leaves: Any) -> Any:
    """The leaves of all lanes, stacked; on the host, except keys."""
    if isinstance(leaves[0], jax.Array) and jnp.issubdtype(leaves[0].dtype, jax.dtypes.prng_key):
        return jnp.stack(leaves)
    return np.stack([np.asarray(leaf) for leaf in leaves])
