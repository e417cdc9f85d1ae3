"""What is measured is what the model did: whole steps, one after the other."""

from typing import Any

import jax
import numpy as np
import pytest

from rnnexp.core.types import Array
from rnnexp.gradflow.position_losses import apply
from rnnexp.laboratory.measure import step_by_step, whole_step
from rnnexp.models.forward import ForwardOptions
from rnnexp.models.sequence import SequenceModel
from rnnexp.scan.unroll import TimeLoop, unroll
from tests.helpers.laboratory_models import B, O, T, batch_of, model_of


@pytest.mark.parametrize(("cell", "keys"), [("narx", {}), ("gru", {"zoneout": 0.3})])
def test_a_whole_step_makes_the_watched_trajectory(cell: str, keys: dict[str, Any]) -> None:
    model, batch = model_of(cell, **keys), batch_of()
    taught = jax.random.normal(jax.random.key(3), (T, B, O))

    def trajectories() -> list[Array]:
        [seen] = apply(
            model, batch, ForwardOptions(keep_states=True), teacher=lambda batch: taught
        ).trajectories
        [unit] = model.units()
        whole, driven = whole_step(unit.layer.cell, model.stack.structure, seen, taught)
        found = [seen.states["h"]]
        for cell, did in ((whole, driven), (unit.layer.cell, seen)):
            run = unroll(
                cell, unit.layer.params(), did.inputs_TxBxI, state=did.start, keep_states=True
            )
            assert run.states is not None
            found.append(run.states["h"])
        return found

    seen, whole, alone = jax.jit(trajectories)()
    np.testing.assert_allclose(whole, seen, rtol=1e-5, atol=1e-6)
    assert not np.allclose(alone, seen, atol=1e-3)


def test_time_is_run_through_step_by_step() -> None:
    model = model_of("min_gru", time_loop=TimeLoop(associative=True, remat_steps=0))
    plain = step_by_step(model)
    assert isinstance(plain, SequenceModel)
    assert plain.stack.structure.time_loop == TimeLoop()
    assert model.stack.structure.time_loop.associative
