"""Parts of a run that a key names, and whose own options are keys: optimiser, schedule and loss.

Options that `rnnexp.config.defaults` declares are keys of every experiment. Those of a user's own
factory are keys of the experiments that name it, in the section of the key that does.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict, config_dict

from rnnexp.config.defaults import KEYS, SHARED
from rnnexp.core.errors import UsageError, require_choice
from rnnexp.core.registry import Table
from rnnexp.core.signature import Option
from rnnexp.learning import LOSSES, OPTIMIZERS, SCHEDULES

BY_KEY: dict[str, Table] = {
    "optimizer.name": OPTIMIZERS,
    "optimizer.schedule": SCHEDULES,
    "loss.name": LOSSES,
}
"""The table in which the value of a key is looked up."""


def option_keys(key: str, name: str) -> dict[str, Option]:
    """All options of the factory that `key` names, by dotted key.

    Raises `UsageError` for an unknown name, or an option that has the name of another key.
    """
    table, section = BY_KEY[key], key.partition(".")[0]
    require_choice(f"config.{key}", name, table.names())
    found = {f"{section}.{o}": option for o, option in table.entry(name).signature().items()}
    for other, option in found.items():
        if other not in KEYS:
            continue
        where = f"option {other.rpartition('.')[2]!r} of {table.kind} {name!r}"
        if other not in SHARED:
            raise UsageError(f"{where}: config.{other} is another key; choose another name")
        if option.default != KEYS[other].default:
            raise UsageError(
                f"{where} has the default {option.default!r}: config.{other} is a key of every "
                f"experiment, with the default {KEYS[other].default!r}; write that, or choose "
                "another name"
            )
    return found


def own_options(names: Mapping[str, Any]) -> dict[str, Option]:
    """The options of what `names` (a name for each key of `BY_KEY`) that are no declared keys.

    Raises `UsageError` for an unknown name, or an option that two of them have.
    """
    found: dict[str, Option] = {}
    for key in BY_KEY:
        mine = {k: o for k, o in option_keys(key, str(names[key])).items() if k not in KEYS}
        if both := found.keys() & mine.keys():
            raise UsageError(
                f"config.{min(both)} is an option of both config.optimizer.name="
                f"{names['optimizer.name']} and config.optimizer.schedule="
                f"{names['optimizer.schedule']}; rename one of them"
            )
        found |= mine
    return found


def keywords(key: str, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the factory that `key` names, from the values by dotted key."""
    return {k.rpartition(".")[2]: values[k] for k in option_keys(key, name)}


def choose(config: ConfigDict, values: Mapping[str, Any]) -> None:
    """Give an unfinished configuration the parts that `values` name by the keys of `BY_KEY`, in
    place, with the defaults of their own options.

    Raises `UsageError` for an unknown name.
    """
    before = names_in(config)
    names = before | {k: values[k] for k in BY_KEY if isinstance(values.get(k), str)}
    options = own_options(names)
    left = {} if names == before else own_options(before)
    with config.unlocked():
        for key in left.keys() - options.keys():
            section, _, name = key.partition(".")
            if name in config[section]:
                del config[section][name]
        for key, name in names.items():
            set_value(config, key, name)
        for key, option in options.items():
            section, _, name = key.partition(".")
            if name not in config[section]:
                set_value(config, key, initial(option))


def names_in(config: ConfigDict) -> dict[str, Any]:
    """What a configuration names by the keys of `BY_KEY`."""
    found = {}
    for key in BY_KEY:
        section, _, name = key.partition(".")
        found[key] = config[section][name]
    return found


def initial(option: Option) -> Any:
    """The default of an option; None keeps the option's type."""
    return config_dict.placeholder(option.kind) if option.default is None else option.default


def set_value(config: ConfigDict, key: str, value: Any) -> None:
    """Set a value by dotted key."""
    *parents, last = key.split(".")
    for parent in parents:
        config = config[parent]
    config[last] = value
