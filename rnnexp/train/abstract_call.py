"""Calls of users' functions on shapes alone, with errors of one line.

`jax.eval_shape` traces a function without computing anything, so a fault in a cell or a task is
known before a program is compiled or a file is written.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import jax
import numpy as np

from rnnexp.core.errors import RunError, UsageError, first_line, place_of
from rnnexp.core.types import Tree

PASSED_ON = (UsageError, RunError, jax.errors.JaxRuntimeError)
"""Errors that say enough already: bad options or data, storage, the device."""
MAPPINGS = ("scores",)
"""Functions whose results are read at once, so that any mapping will do; a scan needs dicts."""


@dataclass(frozen=True)
class Entry:
    """An entry of a table that is checked: the start of every message about it."""

    kind: str
    name: str

    def error(self, function: str, text: str) -> UsageError:
        """The error about what a function (or a field) gives."""
        return UsageError(f"{self.kind} {self.name!r}: {function} {text}")

    def make(self, factory: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """What the entry's factory gives. Raises `UsageError` in place of the factory's error."""
        try:
            return factory(*arguments, **keywords)
        except PASSED_ON:
            raise
        except Exception as error:  # whatever it raises is a fault of the user's code
            raise self._raised("the factory", factory, error) from error

    def call(self, function: str, run: Callable[..., Any], **arguments: Tree) -> Any:
        """The shapes and types that `run(*arguments)` gives; whole numbers are static.

        Raises `UsageError` if it raises, or gives anything but arrays.
        """
        try:
            return self._shapes(function, run, tuple(arguments.values()))
        except PASSED_ON:
            raise
        except Exception as error:  # as above
            hint = self._other_order(function, run, arguments)
            raise self._raised(function, run, error, hint) from error

    def check_key(self, function: str, run: Callable[..., Any], *static: int, once: bool) -> None:
        """Check that `run(key, *static)` draws from its key alone.

        Inside a compiled program, numbers from elsewhere are drawn once and never again. Raises
        `UsageError` if two calls differ, or, unless `once` is enough, if the key is not used.
        """
        program = _without_key(run, static)
        if program is not None and program != _without_key(run, static):
            raise self.error(
                function,
                "draws random numbers that are not from its key, as numpy.random does: a compiled "
                "program draws them once; expected jax.random with the key",
            )
        if program is not None and not once:
            raise self.error(
                function,
                "does not use its key, so all batches are the same; expected a batch drawn from "
                "it, or a Finite source of a data set",
            )

    def _shapes(self, function: str, run: Callable[..., Any], arguments: tuple[Tree, ...]) -> Any:
        traced = [value for value in arguments if not isinstance(value, int)]

        def call(*given: Tree) -> Tree:
            left = iter(given)
            result = run(*(v if isinstance(v, int) else next(left) for v in arguments))
            if function in MAPPINGS and isinstance(result, Mapping):
                result = dict(result)
            self._require_arrays(function, result)
            return result

        return jax.eval_shape(call, *traced)

    def _require_arrays(self, function: str, result: Any) -> None:
        """Raise `UsageError` unless a result consists of arrays."""
        if result is None:
            raise self.error(function, "gives None; is a `return` missing?")
        for path, leaf in jax.tree_util.tree_leaves_with_path(result):
            if not isinstance(leaf, jax.Array | np.ndarray | np.generic):
                name = jax.tree_util.keystr(path, simple=True, separator=".")
                what = f"gives {name} as" if name else "gives"
                raise self.error(function, f"{what} {described(leaf)}, expected an array")

    def _other_order(
        self, function: str, run: Callable[..., Any], arguments: Mapping[str, Tree]
    ) -> str:
        """A hint if the function works with its arguments in another order."""
        for order in list(permutations(arguments))[1:]:
            try:
                self._shapes(function, run, tuple(arguments[name] for name in order))
            except Exception:  # that order does not work either
                continue
            return f"; it takes ({', '.join(order)}), but is called with ({', '.join(arguments)})"
        return ""

    def _raised(
        self, function: str, run: Callable[..., Any], error: Exception, hint: str = ""
    ) -> UsageError:
        """The error of a function that raises: its sentence, and its place in the user's file."""
        place = place_of(error, run)
        text = f"raises {type(error).__name__}: {first_line(error)}{hint}"
        return self.error(function, f"{text} ({place})" if place else text)


def _without_key(run: Callable[..., Any], static: tuple[int, ...]) -> list[Any] | None:
    """The program of `run(key, *static)` with its constants, if it does not use the key."""
    traced = jax.make_jaxpr(lambda key: run(key, *static))(key_shape())
    (key,) = traced.jaxpr.invars
    used = [v for eqn in traced.jaxpr.eqns for v in eqn.invars] + traced.jaxpr.outvars
    if any(v is key for v in used):
        return None
    return [str(traced.jaxpr), *(np.asarray(value).tobytes() for value in traced.consts)]


def described(value: Any) -> str:
    """Type and shape of an array, such as `float32 (5,)`; type and value of anything else."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype} {tuple(value.shape)}"
    if value is None:
        return "None"
    if isinstance(value, bool | int | float | str):
        return f"{value!r} ({type(value).__name__})"
    return f"a value of type {type(value).__name__}"


def is_count(value: object, least: int = 1) -> bool:
    """Whether a value is a whole number of at least `least`."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return whole and int(value) >= least  # type: ignore[call-overload]


def is_real(value: Any) -> bool:
    """Whether an array holds real floats."""
    return bool(jax.numpy.issubdtype(value.dtype, jax.numpy.floating))


def default_float() -> Any:
    """The float type of inputs and parameters: float32, or float64 where that is switched on."""
    return jax.dtypes.canonicalize_dtype(float)


def key_shape() -> Any:
    """The shape and type of a random key, made without computing one."""
    return jax.eval_shape(jax.random.key, 0)


def array(*shape: int, dtype: Any = None) -> jax.ShapeDtypeStruct:
    """The shape and type of an array; by default of the default float type."""
    return jax.ShapeDtypeStruct(shape, default_float() if dtype is None else dtype)
