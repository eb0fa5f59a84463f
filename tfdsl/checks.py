"""Checks of arguments: what does not fit is refused with its name, its value, and what would."""

import math
import numbers
import os
import pathlib
from collections.abc import Iterable
from typing import Any

_MOST_SEED = 2**31 - 1


def count(name: str, value: int, least: int = 1, most: int | None = None) -> int:
    """Returns `value` if it is a whole number from `least` on (to `most`); else ValueError."""
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        range_ = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"`{name}` must be a whole number {range_}; received {value!r}.")
    return int(value)


def counts(name: str, values: Iterable[int], least: int = 1) -> tuple[int, ...]:
    """Returns `values` if all are whole numbers of at least `least`; else raises ValueError."""
    if isinstance(values, str | bytes | dict) or not isinstance(values, Iterable):
        raise ValueError(f"`{name}` must be a list of whole numbers; received {values!r}.")
    return tuple(count(name, value, least) for value in values)


def seed(value: int, name: str = "seed") -> int:
    """Returns `value` if it is a whole number from 0 to 2**31 - 1; else raises ValueError."""
    return count(name, value, least=0, most=_MOST_SEED)


def number(name: str, value: Any, within: str, instead: str = "") -> float:
    """Returns `value` if it is a finite number of an interval; else raises ValueError.

    Args:
        name: of the argument.
        value: its value.
        within: the interval, such as "[0, 1)" or "(0, inf)".
        instead: says in the message what else would do.
    """
    low, high = map(float, within[1:-1].split(","))
    fits = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    fits = fits and (low < value or (within[0] == "[" and low == value))
    if not fits or not (value < high or (within[-1] == "]" and value == high)):
        raise ValueError(f"`{name}` must be a number in {within}{instead}; received {value!r}.")
    return float(value)


def choice(name: str, value: Any, known: Iterable[str]) -> str:
    """Returns `value` if it is one of the known names; else raises ValueError."""
    known = tuple(known)
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"`{name}` must be one of {', '.join(known)}; received {value!r}.")
    return value


def choices(name: str, values: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """Returns `values` if all are known names; else raises ValueError."""
    if isinstance(values, str | bytes | dict) or not isinstance(values, Iterable):
        raise ValueError(f"`{name}` must be a list of names; received {values!r}.")
    return tuple(choice(name, value, known) for value in values)


def folder(name: str, value: Any) -> str:
    """Returns the path of a folder, which is made if it is not there; else raises ValueError."""
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise ValueError(f"`{name}` must be a folder's path; received {value!r}.")
    path = pathlib.Path(value).expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # such as a zero byte
        raise ValueError(f"`{name}` must be a folder; received {value!r} ({error}).") from error
    return str(path)


def flag(name: str, value: Any) -> bool:
    """Returns `value` if it is True or False; else raises ValueError."""
    # NumPy's are none of Python's.
    if type(value).__name__ not in ("bool", "bool_"):
        raise ValueError(f"`{name}` must be True or False; received {value!r}.")
    return bool(value)
