"""One run: its training, its directory, its checkpoints, and its use afterwards.

`rnnexp.run(config, ...)` trains. Python binds a package's name in its parent as soon as
any of its modules is imported, so the package itself is made callable. README.md is the guide.
"""

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        from rnnexp.run.run import run

        return run(*arguments, **keywords)


sys.modules[__name__].__class__ = _Callable
