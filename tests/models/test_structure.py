"""Structure names options that will not do."""

from typing import Any

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.models.structure import Structure


@pytest.mark.parametrize(
    "keys", [{"dropout": 1.0}, {"zoneout": -0.1}, {"pooling": "first"}, {"attention": "hard"}]
)
def test_bad_options_are_named(keys: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"config.model.{next(iter(keys))}"):
        Structure(**keys)
