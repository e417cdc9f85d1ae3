"""One run: its directory, what is due when, checkpoints, and what is done with it afterwards.

`rnnexp.run(config, ...)` trains. Python binds a package's name in its parent as soon as
anything of it is imported, so it is the package itself that can be called.
"""

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        from rnnexp.run.run import run

        return run(*arguments, **keywords)


sys.modules[__name__].__class__ = _Callable
