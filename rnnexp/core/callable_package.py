"""A package that can be called, for a function that has its package's name: `rnnexp.run(...)`.

Python binds a package's name in its parent as soon as any of its modules is imported. So
`rnnexp.run` is always the package, and the package itself passes a call on.
"""

import inspect
import sys
from types import ModuleType
from typing import Any


class CallablePackage(ModuleType):
    """A package below `rnnexp` that is also the public function of its name."""

    def _function(self) -> Any:
        import rnnexp

        return rnnexp.public(self.__name__.rpartition(".")[2])

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Call the function."""
        return self._function()(*arguments, **keywords)

    @property
    def __signature__(self) -> inspect.Signature:
        """The function's parameters, which editors and notebooks show."""
        return inspect.signature(self._function())


def make_callable(package: str) -> None:
    """Let a package, which is being imported, be called as the public function of its name."""
    sys.modules[package].__class__ = CallablePackage
