"""What is to be learned, y: from what the user has to an array of labels or of numbers."""

from decimal import Decimal
from numbers import Real

import numpy as np
from scipy import sparse
from sklearn.utils.validation import column_or_1d

from skdnn.data.frames import (
    Column,
    check_not_lazy,
    columns_of,
    is_frame,
    is_missing,
    shown,
    to_host,
)


def normalized_labels(y, name="y", parts=None):
    """Return labels, in whatever they come, as an array; objects that are numbers as numbers.

    Parameters
    ----------
    y : array-like or tensor of shape (n_samples,)
    name : str, default="y"
        Of the argument, for errors.
    parts : iterable or None, default=None
        All of y, part by part, where y is one part of it: if a label is missing here, missing ones
        are counted there.

    Raises
    ------
    ValueError
        If a label is missing.

    Examples
    --------
    >>> from decimal import Decimal
    >>> from skdnn.data.targets import normalized_labels
    >>> normalized_labels([Decimal(0), Decimal(1)])
    array([0., 1.])
    """
    y = _without_missing(y, name, "label", parts)
    return y if y is None or sparse.issparse(y) else _comparable(y, name)


def normalized_numbers(y, name="y", parts=None):
    """Return numbers, in whatever they come, as an array of float64.

    Parameters
    ----------
    y : array-like, tensor or frame of shape (n_samples,) or (n_samples, k)
        A single column counts as shape (n_samples,), with a warning.
    name : str, default="y"
        Of the argument, for errors.
    parts : iterable or None, default=None
        As of `normalized_labels`.

    Raises
    ------
    ValueError
        If something else stands there, or a number is missing or not finite.

    Warns
    -----
    DataConversionWarning
        If there is a single column.

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
    if y.dtype.kind not in "biuf" and not _are_numbers(y):
        raise ValueError(f"{name} must hold real numbers, got {_found(y, given)}.")
    try:
        y = y.astype(np.float64)
    except OverflowError as error:
        raise ValueError(f"{name} must hold numbers that a float can hold: {error}.") from error
    if np.isinf(y).any():
        raise ValueError(f"Input {name} contains infinity.")
    return column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y


def _are_numbers(y):
    return y.dtype.kind == "O" and all(isinstance(v, Real | Decimal) for v in y.ravel().tolist())


def _found(y, given):
    """Say what an array holds instead of numbers, made of what was given."""
    if y.dtype.kind == "M":
        return "dates: give days since one of them"
    if y.dtype.kind == "m":
        return "durations: give days or seconds"
    # An array of a number and a text has made a text of both.
    values = given if isinstance(given, list | tuple) and y.ndim == 1 else y.ravel().tolist()
    odd = next(v for v in values if not isinstance(v, Real | Decimal))
    return f"{shown(odd)} ({type(odd).__name__})"


def _without_missing(y, name, what, parts):
    """Return y as an array, with objects that are numbers as numbers."""
    if y is None or sparse.issparse(y):
        return y
    check_not_lazy(y, name)
    given = y
    try:
        y = y if np.ma.isMaskedArray(y) else as_array(y)
    except Exception as error:  # whatever a container says of itself
        raise ValueError(f"{name} must hold one {what} for each row: {error}") from error
    if y.ndim == 0 or y.dtype.kind == "V":
        found = f"records of {y.dtype}" if y.ndim else f"{shown(given)} ({type(given).__name__})"
        raise ValueError(f"{name} must hold one {what} for each row, got {found}.")
    if _count_missing(y):
        arrays = [y] if parts is None else map(as_array, parts)
        n_missing, n = np.sum([(_count_missing(array), array.size) for array in arrays], axis=0)
        raise ValueError(
            f"Input {name} contains NaN: {n_missing} of {n} {what}s are missing. Leave their rows "
            "out."
        )
    return _with_plain_numbers(np.ma.getdata(y))


def as_array(values):
    """Return an array, list, tensor or a column of some library as an array."""
    values = to_host(values)
    if is_frame(values):
        arrays = [column.array() for column in columns_of(values)]
        return np.column_stack(arrays) if arrays else np.empty((len(values), 0))
    is_column = hasattr(values, "dtype") and hasattr(type(values), "to_list")
    is_column |= hasattr(getattr(values, "type", None), "index_type")  # PyArrow's dictionaries
    array = Column(None, values).array() if is_column else np.asarray(values)
    return array.astype(object) if array.dtype.kind == "T" else array


def _comparable(y, name):
    if y.dtype.kind == "O":
        try:
            sorted(set(y.ravel().tolist()))
        except Exception as error:  # whatever labels say of each other
            raise ValueError(
                f"{name} must hold labels that can be told apart and sorted, such as numbers or "
                f"texts: {error}"
            ) from error
    return y


def _count_missing(y):
    values = np.ma.getdata(y).ravel()
    if y.dtype.kind == "O":
        is_gap = np.array([is_missing(value) for value in values], dtype=bool)
    else:
        is_gap = values != values  # of NaN and NaT alone
    return np.count_nonzero(is_gap | np.ma.getmaskarray(y).ravel())


def _with_plain_numbers(y):
    if y.size == 0 or not _are_numbers(y):
        return y
    values = y.ravel().tolist()
    return np.array([float(v) if isinstance(v, Decimal) else v for v in values]).reshape(y.shape)


def encode_groups(groups):
    """Return groups, array-like of shape (n_samples,), as integers from 0."""
    groups = normalized_labels(groups, "groups")
    if sparse.issparse(groups) or groups.ndim != 1:
        raise ValueError(f"groups must have one axis, got shape {groups.shape}.")
    position = {group: k for k, group in enumerate(dict.fromkeys(groups.tolist()))}
    return np.array([position[group] for group in groups.tolist()], dtype=np.intp)
