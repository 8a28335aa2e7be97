"""Checks of the arguments of displays."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

import numpy as np

from skdnn.data.frames import short_repr, to_host


def check_count(name: str, value: Any, low: int) -> None:
    """Raise a ValueError unless `value` is an integer of at least `low`."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise ValueError(f"{name} must be an integer of at least {low}, got {value!r}.")
    if value < low:
        raise ValueError(f"{name} must be at least {low}, got {value}.")


def check_interval(name: str, value: Any) -> None:
    """Raise a ValueError unless `value` is a pair of finite numbers in ascending order."""
    is_pair = isinstance(value, tuple | list) and len(value) == 2
    if not is_pair or not all(_is_finite(end) for end in value) or value[0] >= value[1]:
        raise ValueError(f"{name} must be two finite numbers, the smaller first, got {value!r}.")


def _is_finite(value: Any) -> bool:
    try:
        return isinstance(value, Real) and math.isfinite(value)
    except OverflowError:
        return False


def as_numbers(name: str, values: Any, n_axes: tuple[int, ...] = (1,)) -> np.ndarray:
    """Return `values` as a non-empty array of numbers with one of the numbers of axes."""
    try:
        array = np.asarray(to_host(values))
        if array.dtype.kind == "c":
            raise TypeError("complex numbers")
        numbers = array if array.dtype.kind in "biuf" else array.astype(np.float64)
    except Exception as error:  # containers may raise anything
        raise ValueError(f"{name} must be an array of numbers, got {short_repr(values)}") from error
    if numbers.ndim not in n_axes or numbers.size == 0:
        raise ValueError(
            f"{name} must be a non-empty array of {' or '.join(map(str, n_axes))} axes, got shape "
            f"{numbers.shape}."
        )
    return numbers


def check_axes(name: str, ax: Any) -> None:
    """Raise a TypeError unless `ax` is matplotlib Axes."""
    if not hasattr(ax, "add_patch") or not hasattr(ax, "imshow"):
        raise TypeError(f"{name} must be matplotlib Axes or None, got {type(ax).__name__}.")
