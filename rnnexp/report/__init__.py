"""Tables, figures and pages about runs.

`rnnexp.report(...)` writes a page: see `rnnexp.api.read.report`. README.md is the guide.
"""

from rnnexp.core.callable_package import make_callable

make_callable(__name__)
