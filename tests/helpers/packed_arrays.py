"""Packed arrays of a page, read."""

import base64
from typing import Any

import numpy as np

from rnnexp.report.page.pack import INFINITE, MISSING, TOP, ZERO


def unpack(packed: dict[str, Any]) -> np.ndarray:
    """The array that was packed, within the precision of its codes.

    Infinities come back as plus infinity. The page's own reader is in data.js.
    """
    codes = np.frombuffer(base64.b64decode(packed["codes"]), "<u2").reshape(packed["shape"])
    numbers = packed["low"] + (packed["high"] - packed["low"]) * codes.astype(np.float64) / TOP
    values: np.ndarray = np.power(10.0, numbers) if packed["scale"] == "log" else numbers
    values[codes == MISSING] = np.nan
    values[codes == INFINITE] = np.inf
    if packed["scale"] == "log":
        values[codes == ZERO] = 0.0
    return values
