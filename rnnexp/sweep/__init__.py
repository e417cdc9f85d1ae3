"""Many runs: the space of a sweep, its configurations, and how they are trained.

`rnnexp.sweep(...)` trains them: see `rnnexp.api.train.sweep`. README.md is the guide.
"""

from rnnexp.core.callable_package import make_callable

make_callable(__name__)
