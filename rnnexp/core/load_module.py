"""Load a Python file of the user's by its path."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from rnnexp.core.errors import UsageError


def load_module(path: str, what: str) -> ModuleType:
    """The module in the file at `path`, whose role `what` names; `UsageError` if it fails."""
    file = Path(path)
    if not file.is_file():
        near = ", ".join(str(p) for p in sorted(file.parent.glob("*.py"))) or "none"
        raise UsageError(f"no {what} {path!r}. Python files in that folder: {near}.")
    name = f"rnnexp_user_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UsageError(f"the {what} {path!r} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except UsageError:
        raise
    except Exception as error:  # whatever the user's file raises is a fault of that file
        raise UsageError(f"{what} {path}: {type(error).__name__}: {error}") from error
    return module
