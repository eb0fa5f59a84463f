"""Checks of what a user gives: what does not fit is refused with the value and what would."""

import math
import numbers
from collections.abc import Iterable


def one_of(name: str, value: str, known: Iterable[str]) -> None:
    """Raises ValueError unless `value` is one of the known names."""
    known = tuple(known)
    if value not in known:
        raise ValueError(f"`{name}` must be one of {', '.join(known)}; received {value!r}.")


def positive(name: str, value: float, most: float = math.inf) -> None:
    """Raises ValueError unless `value` is a finite number above 0 and not above `most`."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not 0.0 < value <= most:
        upper = "finite" if math.isinf(most) else f"at most {most:g}"
        raise ValueError(f"`{name}` must be a number above 0 and {upper}; received {value!r}.")
