"""Tables of named factories, each imported on demand.

A mistyped name of a cell or task gives its error at once, before JAX is imported.
"""

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rnnexp.core.errors import UsageError, require_choice, unknown
from rnnexp.core.load_module import loading_file
from rnnexp.core.signature import REQUIRED, Option, options_in_source, options_of
from rnnexp.core.user_files import is_part_of_rnnexp

READING_MODES = (
    "sequence_to_one", "one_to_many", "synchronous", "asynchronous", "story_to_answer",
)  # fmt: skip
"""What a cell that reads a sequence can do: give one output, one at every step, or another
sequence. In `one_to_many` a vector begins the sequence, and each step reads the output before.
A story and its question are a sequence of words as well."""
GRAPH_MODES = ("graph_to_node", "graph_to_nodes", "graph_to_one")
"""From a graph to one of its nodes, to an output for each of its nodes, to one output."""
MODES = (*READING_MODES, "cue_to_pattern", "density", *GRAPH_MODES)
"""What goes in and comes out; a task has one mode. In `cue_to_pattern`, a damaged cue becomes one
of the stored patterns; in `density`, a pattern goes in and its probability comes out."""
TO_ONE = ("sequence_to_one", "story_to_answer", "cue_to_pattern", "density", *GRAPH_MODES)
"""Modes with one output an example, and targets whose first axis is the batch."""
STEPWISE = ("one_to_many", "synchronous")
"""Modes with an output at every step, and targets whose first axes are those of the inputs."""

TARGETS = ("classes", "values", "bits")
"""The kinds of targets: numbers of classes, real numbers, and 0 or 1 of which each has a logit."""

GIVEN = ("data_dir", "output_size", "layer", "task_mode", "example_context", "top")
"""Keywords of a factory that the program sets; they are no part of the configuration. `task_mode`
is that of the cell's task, `example_context` the shapes of the context of one of its examples,
`top` the top layer of the stack under a head."""

Factory = TypeVar("Factory", bound=Callable[..., Any])


@dataclass(frozen=True)
class Entry:
    """One row of a table.

    Attributes:
      target: the factory, or its place: `"package.module:name"`.
      summary: one line for `rnnexp list`.
      modes: the modes that a cell supports; of a task its single one, or those of which its
        options choose one.
      defaults: configuration of experiments with it, by dotted key.
      data_options: options that name a data file of the user's.
      registered_by: the user's file that was being loaded when the entry was added, if any.
      given: keywords of the factory that the program sets.
      targets: of a loss, the kind of targets that it is for; None: it does not say.
    """

    target: str | Callable[..., Any]
    summary: str
    modes: tuple[str, ...]
    defaults: dict[str, Any] = field(default_factory=dict)
    data_options: tuple[str, ...] = ()
    registered_by: Path | None = None
    given: tuple[str, ...] = GIVEN
    targets: str | None = None

    def factory(self) -> Callable[..., Any]:
        """The factory, imported if it was not."""
        if not isinstance(self.target, str):
            return self.target
        module, _, name = self.target.partition(":")
        try:
            loaded: Callable[..., Any] = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise UsageError(f"cannot load {self.target}: {error}") from error
        return loaded

    def user_code(self) -> list[Path]:
        """The files with which the entry's code begins; none of a built-in entry.

        They are the file that registered it and that of its factory. Code that was typed in has
        a file's name in angle brackets.
        """
        roots = [] if self.registered_by is None else [self.registered_by]
        code = getattr(inspect.unwrap(self.factory()), "__code__", None)
        if code is not None and not is_part_of_rnnexp(code.co_filename):
            roots.append(Path(code.co_filename))
        return list(dict.fromkeys(roots))

    def signature(self) -> dict[str, Option]:
        """The factory's keyword-only options, which are its configuration section.

        Raises `UsageError` for one without a default, or whose type nothing says.
        """
        found = None
        if isinstance(self.target, str):
            module, _, name = self.target.partition(":")
            found = options_in_source(module, name)
        if found is None:
            found = options_of(self.factory())
        options = {name: option for name, option in found.items() if name not in self.given}
        for name, option in options.items():
            if option.default is REQUIRED:
                raise UsageError(f"option {name!r} of {self.target} needs a default value")
            if option.kind is None:
                raise UsageError(
                    f"option {name!r} of {self.target} has the default None, which says no type; "
                    f"write {name}: float | None = None, or int, bool or str for float"
                )
        return options

    def options(self) -> dict[str, Any]:
        """The factory's keyword-only options and their defaults."""
        return {name: option.default for name, option in self.signature().items()}


class Table:
    """Entries by name: built-in, from installed plug-ins, and the user's own.

    Args:
      kind: what an entry is, in messages.
      plural: of the kind, if that is no `s` behind it; the group of its entry points.
    """

    def __init__(self, kind: str, builtin: Mapping[str, Entry], plural: str = ""):
        self.kind, self.plural = kind, plural or f"{kind}s"
        first = next(iter(builtin.values()), None)
        self._given = GIVEN if first is None else first.given
        self._usual_modes = READING_MODES if first is None or first.modes else ()
        self.builtin = tuple(builtin)
        self._entries = dict(builtin)
        self._plugins_read = False

    def names(self) -> list[str]:
        """All names in the order of the table, built-in first."""
        self._read_plugins()
        return list(self._entries)

    def own_names(self) -> list[str]:
        """The names that are not built-in."""
        return [name for name in self._entries if name not in self.builtin]

    def entry(self, name: str) -> Entry:
        """The entry of that name; `UsageError` if there is none."""
        if name not in self._entries:
            self._read_plugins()
        if name not in self._entries:
            raise unknown(self.kind, name, self._entries, meant=self._described_as(name))
        return self._entries[name]

    def _described_as(self, word: str) -> str | None:
        """The entry whose summary begins with this word, as that of `rnn` with Elman, or the only
        one whose summary has it; else None."""
        pattern = re.compile(rf"\b{re.escape(word.strip() or '/')}\b", re.IGNORECASE)
        found = {name: pattern.search(row.summary) for name, row in self._entries.items()}
        places = {name: match.start() for name, match in found.items() if match is not None}
        first = [name for name, start in places.items() if start == 0] or [*places]
        return first[0] if len(first) == 1 else None

    def register(
        self,
        name: str,
        *,
        modes: tuple[str, ...] | None = None,
        defaults: dict[str, Any] | None = None,
        targets: str | None = None,
    ) -> Callable[[Factory], Factory]:
        """Decorator that adds the user's factory under `name`.

        Its keyword-only arguments become configuration keys, its docstring's first
        line the summary. Raises `UsageError` if the name is taken, or a mode or the kind of
        targets unknown.
        """
        if name in self._entries or "/" in name:
            raise UsageError(f"{self.kind} {name!r} exists already or has a '/'; choose another")
        if self.kind == "task" and len(modes or ()) != 1:
            raise UsageError(
                f"task {name!r} must name its mode: modes=(...,) of {', '.join(MODES)}"
            )
        for mode in modes or ():
            require_choice("mode", mode, MODES)
        if targets is not None:
            require_choice("kind of targets", targets, TARGETS)

        def add(factory: Factory) -> Factory:
            summary = (inspect.getdoc(factory) or name).splitlines()[0]
            self._entries[name] = Entry(
                factory,
                summary,
                modes or self._usual_modes,
                defaults or {},
                registered_by=loading_file(),
                given=self._given,
                targets=targets,
            )
            return factory

        return add

    def _read_plugins(self) -> None:
        """Add the entry points `rnnexp.<plural>` of installed packages."""
        if self._plugins_read:
            return
        self._plugins_read = True
        import importlib.metadata  # slow to import, and most commands need no plug-ins

        for point in importlib.metadata.entry_points(group=f"rnnexp.{self.plural}"):
            if point.name in self._entries:
                raise UsageError(
                    f"{self.kind} {point.name!r} of the plug-in {point.value} exists already"
                )
            summary = f"from the plug-in {point.value}"
            self._entries[point.name] = Entry(
                point.value, summary, self._usual_modes, given=self._given
            )
