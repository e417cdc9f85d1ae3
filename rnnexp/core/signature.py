"""The keyword-only options of a factory, read from its source without importing it if possible.

A cell's module imports JAX, which takes seconds; its options are literals in its source.
"""

import ast
import importlib.util
import inspect
import re
import textwrap
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

REQUIRED = inspect.Parameter.empty
"""The default of an option that has none."""
KINDS = {"bool": bool, "int": int, "float": float, "str": str}
"""The types that an option can have, by their names in an annotation."""


class Option(NamedTuple):
    """An option: its default or `REQUIRED`, its annotation as text, and its meaning in a line."""

    default: Any
    annotation: str
    meaning: str

    @property
    def kind(self) -> type | None:
        """The type of its values: that of the default, or of the annotation where that is None.

        None if neither says one: `leak: float | None = None` does, `leak=None` does not.
        """
        if self.default is not None:
            return type(self.default)
        names = re.findall(r"\w+", self.annotation)
        return next((KINDS[name] for name in names if name in KINDS), None)


def options_of(factory: Callable[..., Any]) -> dict[str, Option]:
    """The options of a factory, by name."""
    meanings = argument_meanings(inspect.getdoc(factory) or "")
    return {
        p.name: Option(p.default, _as_text(p.annotation), meanings.get(p.name, ""))
        for p in inspect.signature(factory).parameters.values()
        if p.kind is p.KEYWORD_ONLY
    }


def options_in_source(module: str, name: str) -> dict[str, Option] | None:
    """`options_of` a factory that a module's source defines, without importing the module.

    None if the source does not show them: no such function, a decorated one, a default that is
    no literal. The packages around the module are imported.
    """
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, AttributeError, ValueError):
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return _parsed(spec.origin, name)


@lru_cache(maxsize=256)
def _parsed(file: str, name: str) -> dict[str, Option] | None:
    tree = ast.parse(Path(file).read_bytes())
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    if len(found) != 1 or found[0].decorator_list:
        return None
    (function,), options = found, dict[str, Option]()
    meanings = argument_meanings(ast.get_docstring(function) or "")
    given = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    for argument, default in given:
        try:
            value = REQUIRED if default is None else ast.literal_eval(default)
        except ValueError:
            return None
        annotation = "" if argument.annotation is None else ast.unparse(argument.annotation)
        options[argument.arg] = Option(value, annotation, meanings.get(argument.arg, ""))
    return options


def _as_text(annotation: Any) -> str:
    if annotation is inspect.Parameter.empty:
        return ""
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def argument_meanings(docstring: str) -> dict[str, str]:
    """The first sentence about each argument under `Args:` in a cleaned docstring."""
    section = re.search(r"^Args:\n((?: .*\n|\n)+)", docstring + "\n", re.MULTILINE)
    if section is None:
        return {}
    found: dict[str, str] = {}
    for argument in re.split(r"^(?=\S)", textwrap.dedent(section[1]), flags=re.MULTILINE)[1:]:
        names, _, meaning = argument.partition(":")
        sentence = re.split(r"\.\s", meaning + " ", maxsplit=1)[0]
        found |= dict.fromkeys(re.split(r",\s*", names.strip()), " ".join(sentence.split()))
    return found
