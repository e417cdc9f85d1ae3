"""Plans of training whose lanes are measured."""

from typing import Any

from rnnexp.config.schema import experiment, finish
from rnnexp.train.plan import Plan, make_plan


def plan_of(name: str, **changes: Any) -> Plan:
    """The plan of an experiment with changed keys."""
    config = experiment(name)
    config.update_from_flattened_dict({k.replace("__", "."): v for k, v in changes.items()})
    return make_plan(finish(config), data_dir=None, chunk_steps=10)
