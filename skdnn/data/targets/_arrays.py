"""Labels and numbers, from any container, as checked NumPy arrays."""

from collections.abc import Iterable
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils.validation import column_or_1d

from skdnn.data.frames import (
    Column,
    check_not_lazy,
    columns_of,
    is_frame,
    is_missing,
    short_repr,
    to_host,
)


def normalized_labels(y: Any, name: str = "y", parts: Iterable[Any] | None = None) -> Any:
    """Return labels as an array; objects that are numbers become numbers.

    None and sparse matrices are returned as they are.

    Parameters
    ----------
    y : array-like or tensor of shape (n_samples,)
    name : str, default="y"
        Of the argument, for error messages.
    parts : iterable or None, default=None
        If y is a part of a larger array, all of its parts. If y misses a label, the error message
        counts the missing labels of all parts.

    Raises
    ------
    ValueError
        If a label is missing, or labels cannot be sorted.

    Examples
    --------
    >>> from decimal import Decimal
    >>> from skdnn.data.targets import normalized_labels
    >>> normalized_labels([Decimal(0), Decimal(1)])
    array([0., 1.])
    """
    y = _without_missing(y, name, "label", parts)
    if y is None or sparse.issparse(y) or y.dtype.kind != "O":
        return y
    try:
        sorted(set(y.ravel().tolist()))
    except Exception as error:  # comparing objects may raise anything
        raise ValueError(
            f"{name} must hold labels that can be told apart and sorted, such as numbers or "
            f"texts: {error}"
        ) from error
    return y


def normalized_numbers(y: Any, name: str = "y", parts: Iterable[Any] | None = None) -> Any:
    """Return numbers as an array of float64, and None as it is.

    Parameters
    ----------
    y : array-like, tensor or frame of shape (n_samples,) or (n_samples, k)
        A single column becomes shape (n_samples,), with a warning.
    name : str, default="y"
        Of the argument, for error messages.
    parts : iterable or None, default=None
        As in `normalized_labels`.

    Raises
    ------
    ValueError
        If y holds anything but finite real numbers.

    Warns
    -----
    DataConversionWarning
        If y has the shape (n_samples, 1).

    Examples
    --------
    >>> from decimal import Decimal
    >>> from skdnn.data.targets import normalized_numbers
    >>> normalized_numbers([Decimal(-1), 2])
    array([-1.,  2.])
    """
    if sparse.issparse(y):
        raise ValueError(f"{name} must be dense, got a sparse matrix of shape {y.shape}.")
    given, y = y, _without_missing(y, name, "number", parts)
    if y is None:
        return y
    if 0 in y.shape[1:]:
        raise ValueError(f"{name} must hold one number for each row, got shape {y.shape}.")
    if y.dtype.kind == "c":
        raise ValueError(f"Complex data not supported, got {name} of {y.dtype}.")
    if y.dtype.kind in "Mm":
        advice = {"M": "dates: give days since one of them", "m": "durations: give days or seconds"}
        raise ValueError(f"{name} must hold real numbers, got {advice[y.dtype.kind]}.")
    if y.dtype.kind not in "biuf":
        # NumPy makes texts of a list of numbers and texts; the given list still has both.
        is_list = isinstance(given, list | tuple) and y.ndim == 1
        values = given if is_list and y.dtype.kind in "US" else y.ravel().tolist()
        for value in values:
            if not isinstance(value, Real | Decimal):
                raise ValueError(
                    f"{name} must hold real numbers, got {short_repr(value)} "
                    f"({type(value).__name__})."
                )
    try:
        y = y.astype(np.float64)
    except OverflowError as error:
        raise ValueError(f"{name} must hold numbers that a float can hold: {error}.") from error
    if np.isinf(y).any():
        raise ValueError(f"Input {name} contains infinity.")
    return column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y


def _without_missing(y: Any, name: str, what: str, parts: Iterable[Any] | None) -> Any:
    """Return y as an array without missing values; objects that are numbers become numbers.

    None and sparse matrices are returned as they are. `what` is "label" or "number".
    """
    if y is None or sparse.issparse(y):
        return y
    check_not_lazy(y, name)
    given = y
    try:
        y = y if np.ma.isMaskedArray(y) else as_array(y)
    except Exception as error:  # other libraries' containers may raise anything
        raise ValueError(f"{name} must hold one {what} for each row: {error}") from error
    if y.ndim == 0 or y.dtype.kind == "V":
        found = (
            f"records of {y.dtype}" if y.ndim else f"{short_repr(given)} ({type(given).__name__})"
        )
        raise ValueError(f"{name} must hold one {what} for each row, got {found}.")
    if _count_missing(y):
        arrays = [y] if parts is None else map(as_array, parts)
        n_missing, n = np.sum([(_count_missing(array), array.size) for array in arrays], axis=0)
        raise ValueError(
            f"Input {name} contains NaN: {n_missing} of {n} {what}s are missing. Leave their rows "
            "out."
        )
    y = np.ma.getdata(y)
    if y.dtype.kind == "O" and y.size:
        values = y.ravel().tolist()
        if all(isinstance(value, Real | Decimal) for value in values):
            numbers = [float(v) if isinstance(v, Decimal) else v for v in values]
            return np.array(numbers).reshape(y.shape)
    return y


def _count_missing(y: np.ndarray) -> int:
    values = np.ma.getdata(y).ravel()
    if y.dtype.kind == "O":
        is_absent = np.array([is_missing(value) for value in values], dtype=bool)
    else:
        is_absent = values != values  # only NaN and NaT differ from themselves
    return int(np.count_nonzero(is_absent | np.ma.getmaskarray(y).ravel()))


def as_array(values: Any) -> np.ndarray:
    """Return array-likes, tensors, frames and columns of other libraries as an array."""
    values = to_host(values)
    if is_frame(values):
        arrays = [column.array() for column in columns_of(values)]
        return np.column_stack(arrays) if arrays else np.empty((len(values), 0))
    is_column = hasattr(values, "dtype") and hasattr(type(values), "to_list")
    is_column |= hasattr(getattr(values, "type", None), "index_type")  # PyArrow's dictionaries
    array = Column(None, values).array() if is_column else np.asarray(values)
    return array.astype(object) if array.dtype.kind == "T" else array


def encode_groups(groups: Any) -> np.ndarray:
    """Return groups, array-like of shape (n_samples,), as integers from 0."""
    groups = normalized_labels(groups, "groups")
    if sparse.issparse(groups) or groups.ndim != 1:
        raise ValueError(f"groups must have one axis, got shape {groups.shape}.")
    position = {group: k for k, group in enumerate(dict.fromkeys(groups.tolist()))}
    return np.array([position[group] for group in groups.tolist()], dtype=np.intp)
