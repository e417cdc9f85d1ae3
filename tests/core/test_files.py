"""Files are replaced whole or not at all, and JSON keeps every float."""

import json
import math
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from rnnexp.core.files import replace_text, to_json


def test_json_keeps_every_float() -> None:
    value = {"a": [math.nan, (math.inf, -math.inf)], 3: {"b": [0.1, 5e-324, None, True, "x"]}}
    plain = json.loads(to_json(value, indent=1), parse_constant=pytest.fail)
    assert plain == {"a": ["NaN", ["Infinity", "-Infinity"]], "3": value[3]}
    assert to_json(np.float64("nan")) == '"NaN"'


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "status.json"
    file.write_text("old")
    replace_text(file, "older")
    assert [p.name for p in tmp_path.iterdir()] == ["status.json"]
    full = mock.patch("os.fsync", side_effect=OSError(28, "No space left on device"))
    with full, pytest.raises(OSError, match="No space"):
        replace_text(file, "new")
    assert file.read_text() == "older"
