"""The compiled functions of one run, with what they take from step to step alike."""

from typing import Any

import jax
import jax.numpy as jnp

from rnnexp.evaluate import make_evaluate
from rnnexp.recipe import TrainState, init_state
from rnnexp.registry import Plan
from rnnexp.tasks.base import Source
from rnnexp.tasks.batches import Keys, source_arrays, source_size
from rnnexp.train import Records, make_chunk

STREAMS = {"train": 1, "valid": 2, "test": 3, "noise": 4}  # stream 0 draws the initial weights
SPLITS = ("train", "valid", "test")


class Programs:
    """Training and evaluation of a plan; the data sets live on the device in here."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.sources: dict[str, Source] = {
            split: getattr(plan.recipe.task, split) for split in SPLITS
        }
        key = jax.random.key(plan.config.seed)
        self._keys = {split: jax.random.fold_in(key, n) for split, n in STREAMS.items()}
        self._arrays = {split: source_arrays(source) for split, source in self.sources.items()}
        self._chunk: Any = make_chunk(plan.recipe)
        self._evaluate = {
            split: make_evaluate(
                plan.recipe, split, plan.config.eval.batch_size, self._examples(split)
            )
            for split in ("valid", "test")
        }

    def initial(self) -> TrainState:
        """The state before the first step, in arrays of its own (see `advance`)."""
        params = jax.tree.map(jnp.copy, self.plan.params)
        return init_state(self.plan.recipe, params, self.plan.hyper)

    def advance(self, state: TrainState, stop: int, every: int) -> tuple[TrainState, Records]:
        """Steps up to `stop`, the chunk's size, or a divergence; records on the host.

        The state that goes in is given up to the device (donated).
        """
        state, records = self._chunk(
            state,
            jnp.asarray(stop, jnp.int32),
            jnp.asarray(every, jnp.int32),
            Keys(self._keys["train"], self._keys["noise"]),
            self.plan.hyper,
            self._arrays["train"],
        )
        return state, jax.device_get(records)

    def replay(self, state: TrainState) -> Records:
        """The step that diverged once more, recorded; the state is left alone."""
        again = jax.tree.map(jnp.copy, state._replace(diverged=jnp.zeros((), bool)))
        return self.advance(again, int(state.step) + 1, 1)[1]

    def scores(self, split: str, state: TrainState) -> dict[str, float]:
        """Mean scores over the validation or test set."""
        means = self._evaluate[split](state.params, self._keys[split], self._arrays[split])
        return {name: float(value) for name, value in means.items()}

    def _examples(self, split: str) -> int:
        source = self.sources[split]
        return source_size(source) or self.plan.config.eval.examples
