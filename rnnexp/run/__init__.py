"""One run: its training, its directory, its checkpoints, and its use afterwards.

`rnnexp.run(...)` trains: see `rnnexp.api.train.run`. README.md is the guide.
"""

from rnnexp.core.callable_package import make_callable

make_callable(__name__)
