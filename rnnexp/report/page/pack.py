"""Numbers of a page: four significant digits each, or 16 bits each in large arrays."""

import base64
import math
from typing import Any

import numpy as np

DIGITS = 4
MISSING, INFINITE, ZERO = 65535, 65534, 65533
"""Codes that stand for no number: NaN; plus or minus infinity; and exactly 0 (`log` only)."""
TOP = 65532
PRECISION = (
    "Large arrays are stored with 16 bits a value: those of norms and time constants within "
    "0.15 % (on a logarithmic scale), others within 1/65,000 of their range. All other numbers "
    "are rounded to 4 significant digits."
)


def rounded(value: float) -> float | None:
    """Four significant digits; None for what is not finite, which JSON has no number for."""
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def pack(values: np.ndarray, scale: str) -> dict[str, Any]:
    """An array as base64 of little-endian 16-bit codes in C order.

    Args:
      values: any shape.
      scale: `linear`: code c is low + (high - low) c / 65532; `log`: the same for the base 10
        logarithm of values that are positive, 0 having a code of its own. A negative value
        cannot be of scale `log` and becomes `MISSING`.

    Returns:
      `scale`, `low`, `high` (of the logarithm for `log`), `shape`, `codes`.
    """
    values = np.asarray(values, np.float64)
    usable = np.isfinite(values) & ((values > 0) if scale == "log" else True)
    numbers = np.log10(np.where(usable, values, 1.0)) if scale == "log" else values
    low = float(numbers[usable].min()) if usable.any() else 0.0
    high = float(numbers[usable].max()) if usable.any() else 0.0
    share = (np.where(usable, numbers, low) - low) / (high - low or 1.0)
    codes = np.round(share * TOP).astype("<u2")
    codes[~usable] = MISSING
    codes[np.isinf(values)] = INFINITE
    if scale == "log":
        codes[values == 0] = ZERO
    return {
        "scale": scale,
        "low": low,
        "high": high,
        "shape": list(values.shape),
        "codes": base64.b64encode(codes.tobytes()).decode(),
    }
