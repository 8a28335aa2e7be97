"""Containers of rows: arrays, tensors, sparse matrices and data frames.

Frames of pandas, polars and PyArrow are recognised by the methods of their types, so that none of
the libraries needs to be installed.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from scipy import sparse

from ._columns import Column

# Methods of objects whose rows are not in memory yet.
_METHODS_THAT_LOAD = ("collect", "compute", "to_table")


def check_in_memory(X: Any) -> Any:
    """Return X as an array, tensor, sparse matrix or frame of two axes with its rows in memory.

    Raises
    ------
    ValueError, TypeError
        If the rows are not in memory or differ in length, or X does not have two axes.
    """
    if type(X) is np.ndarray or sparse.issparse(X):
        array = X
    elif isinstance(X, torch.Tensor):
        _check_tensor(X)
        array = X.detach().resolve_neg()
    else:
        check_not_lazy(X, "X")
        array = X if is_frame(X) else _as_array(X)
    n_axes = len(array.shape)
    if n_axes > 2:
        raise ValueError(f"Found array with dim {n_axes}, while dim <= 2 is required.")
    if n_axes == 2:
        return array
    is_object = not isinstance(array, torch.Tensor) and array.dtype.kind == "O"
    got = "1D array" if n_axes else "scalar array"
    if is_object:
        got = f"1D array of {type(array[0]).__name__}" if n_axes else type(X).__name__
    raise (TypeError if is_object and not n_axes else ValueError)(
        f"X must be rows of numbers, or a data frame. Expected 2D array, got {got} instead. "
        "Reshape your data either using array.reshape(-1, 1) if your data has a single feature or "
        "array.reshape(1, -1) if it contains a single sample."
    )


def _as_array(X: Any) -> np.ndarray:
    """Return an array-like as an array; masked values are missing."""
    if isinstance(X, np.ndarray) and not np.ma.isMaskedArray(X):
        return X
    try:
        if np.ma.isMaskedArray(X):
            missing = np.array("NaT", X.dtype) if X.dtype.kind in "mM" else np.nan
            return np.where(np.ma.getmaskarray(X), missing, np.ma.getdata(X))
        array = np.asarray(X)
        # If one value is text, NumPy converts all others to text, too.
        return array if array.dtype.kind not in "SU" else np.array(X, dtype=object)
    except Exception as error:  # NumPy may call any code of the object
        raise ValueError(f"X must be rows of numbers, all of one length: {error}") from error


def check_not_lazy(values: Any, name: str) -> None:
    """Raise a TypeError if the rows of an object are not in memory."""
    for method in _METHODS_THAT_LOAD:
        if hasattr(type(values), method):
            raise TypeError(
                f"{name} must hold its rows in memory, got a {type(values).__name__}: pass "
                f"{name}.{method}()."
            )


def _check_tensor(X: torch.Tensor) -> None:
    """Raise a ValueError for a tensor that is not a dense one of real numbers."""
    if X.layout != torch.strided or X.is_nested:
        kind = "nested one" if X.is_nested else f"one of layout {X.layout}"
        raise ValueError(f"X must be a dense tensor, got a {kind}.")
    if X.is_complex():
        raise ValueError(f"Complex data not supported, got a tensor of {X.dtype}.")
    try:
        if X.is_quantized:
            raise ValueError("quantized")
        X.detach().reshape(-1)[:1].double().resolve_neg().cpu().numpy()
    except Exception as error:  # subclasses of Tensor may raise anything
        raise ValueError(
            f"X must hold numbers, got a tensor of {X.dtype} on {X.device}: {error}"
        ) from error


def is_frame(X: Any) -> bool:
    """Return whether X is a data frame of pandas, polars or PyArrow."""
    has_columns = any(hasattr(type(X), name) for name in ("iloc", "get_column", "itercolumns"))
    return has_columns and len(getattr(X, "shape", ())) == 2


def is_of_sparse_columns(X: Any) -> bool:
    """Return whether X is a pandas frame that scikit-learn converts to a sparse matrix."""
    return (
        hasattr(type(X), "iloc")
        and is_frame(X)
        and X.shape[1] > 0
        and all(str(dtype).startswith("Sparse") and dtype.fill_value == 0 for dtype in X.dtypes)
    )


def holds_only_numbers(X: Any) -> bool:
    """Return whether X holds only numbers, in dtypes of NumPy or torch."""
    if isinstance(X, np.ndarray):
        return X.dtype.kind in "biuf"
    if isinstance(X, torch.Tensor) or sparse.issparse(X) or is_of_sparse_columns(X):
        return True
    # In a frame, a column of booleans holds categories.
    return hasattr(type(X), "iloc") and all(
        isinstance(dtype, np.dtype) and dtype.kind in "iuf" for dtype in X.dtypes
    )


def take_rows(X: Any, rows: np.ndarray) -> Any:
    """Return the rows of an index array of what `check_in_memory` returns, in its container."""
    if hasattr(type(X), "iloc"):  # pandas
        return X.iloc[rows]
    if hasattr(type(X), "itercolumns"):  # PyArrow
        return X.take(rows)
    return (X.tocsr() if sparse.issparse(X) else X)[rows]


def names_of(X: Any) -> list:
    """Return the names of the columns of a frame; of an array their indices."""
    if hasattr(type(X), "iloc"):  # pandas
        return X.columns.tolist()
    if hasattr(type(X), "get_column"):  # polars
        return X.columns
    if hasattr(type(X), "itercolumns"):  # PyArrow
        return X.schema.names
    return list(range(X.shape[1]))


def columns_of(X: Any, indices: Sequence[int] | None = None) -> list[Column]:
    """Return the Columns of a frame or of an array of two axes: all, or those of some indices."""
    if hasattr(type(X), "iloc"):  # pandas
        some = X if indices is None else X.iloc[:, indices]
        return [Column(name, values) for name, values in some.items()]
    names = names_of(X)
    indices = range(len(names)) if indices is None else indices
    if hasattr(type(X), "get_column"):  # polars
        return [Column(names[j], X.get_column(names[j])) for j in indices]
    if hasattr(type(X), "itercolumns"):  # PyArrow
        return [Column(names[j], X.column(j)) for j in indices]
    return [Column(j, X[:, j]) for j in indices]


def column_tables(X: Any, names: Iterable, n_rows: int) -> Iterator[tuple[slice, Any]]:
    """Yield (slice of rows, PyArrow table of some columns) for n_rows rows of X at a time.

    Parameters
    ----------
    X : frame, array, tensor or sparse matrix
    names : sequence
        Names of columns of a frame.
    n_rows : int

    Raises
    ------
    ValueError
        If there are no columns of these names.
    """
    import pyarrow

    columns = {column.name: column.values for column in columns_of(X)} if is_frame(X) else {}
    unknown = [name for name in names if name not in columns]
    if unknown:
        raise ValueError(f"keep must name columns of X, which are {[*columns]}, got {unknown}.")
    arrays = []
    for values in [columns[name] for name in names]:
        if hasattr(values, "to_arrow"):  # polars
            values = values.to_arrow()
        is_of_pyarrow = hasattr(values, "to_pylist")
        arrays.append(values if is_of_pyarrow else pyarrow.array(values, from_pandas=True))
    table = pyarrow.table(arrays, names=[str(name) for name in names])
    length = X.shape[0] if hasattr(X, "shape") else len(X)
    for start in range(0, length, n_rows):
        yield slice(start, min(length, start + n_rows)), table.slice(start, n_rows)
