"""What X may be: arrays and tensors of numbers, sparse matrices, and what is read by columns.

Frames of pandas, polars and PyArrow are told by what their types can do, so that none of the
libraries need be installed.
"""

import numpy as np
import torch
from scipy import sparse

from ._columns import Column

# The methods by which an object hands out rows that are not in memory yet.
_ELSEWHERE = ("collect", "compute", "to_table")
_NUMBERS = "biuf"  # kinds of NumPy's dtypes


def check_in_memory(X):
    """Return X as an array, tensor, sparse matrix or frame, its rows in memory.

    Raises
    ------
    ValueError, TypeError
        If its rows are elsewhere, or not of one length, or it has not two axes.
    """
    if isinstance(X, torch.Tensor):
        _check_tensor(X)
        array = X.detach().resolve_neg()
    elif sparse.issparse(X):
        array = X
    else:
        check_not_lazy(X, "X")
        array = X if is_frame(X) else _as_array(X)
    if len(array.shape) > 2:
        raise ValueError(f"Found array with dim {len(array.shape)}, while dim <= 2 is required.")
    if len(array.shape) < 2:
        raise _not_two_axes(X, array)
    return array


def _as_array(X):
    if isinstance(X, np.ndarray) and not np.ma.isMaskedArray(X):
        return X
    try:
        if np.ma.isMaskedArray(X):
            missing = np.array("NaT", X.dtype) if X.dtype.kind in "mM" else np.nan
            return np.where(np.ma.getmaskarray(X), missing, np.ma.getdata(X))
        array = np.asarray(X)
        # Beside one text NumPy makes texts of all.
        return array if array.dtype.kind not in "SU" else np.array(X, dtype=object)
    except Exception as error:  # whatever NumPy calls back says of itself
        raise ValueError(f"X must be rows of numbers, all of one length: {error}") from error


def _not_two_axes(X, array):
    """Return the error for X that holds a single row, column or number, as scikit-learn says it."""
    is_object = not isinstance(array, torch.Tensor) and array.dtype.kind == "O"
    got = "1D array" if len(array.shape) else "scalar array"
    if is_object:
        got = f"1D array of {type(array[0]).__name__}" if len(array.shape) else type(X).__name__
    return (TypeError if is_object and not len(array.shape) else ValueError)(
        f"X must be rows of numbers, or a data frame. Expected 2D array, got {got} instead. "
        "Reshape your data either using array.reshape(-1, 1) if your data has a single feature or "
        "array.reshape(1, -1) if it contains a single sample."
    )


def check_not_lazy(values, name):
    """Raise a TypeError where the rows of something are elsewhere."""
    for method in _ELSEWHERE:
        if hasattr(type(values), method):
            raise TypeError(
                f"{name} must hold its rows in memory, got a {type(values).__name__}: pass "
                f"{name}.{method}()."
            )


def _check_tensor(X):
    if X.layout != torch.strided or X.is_nested:
        kind = "nested one" if X.is_nested else f"one of layout {X.layout}"
        raise ValueError(f"X must be a dense tensor, got a {kind}.")
    if X.is_complex():
        raise ValueError(f"Complex data not supported, got a tensor of {X.dtype}.")
    try:
        if X.is_quantized:
            raise ValueError("quantized")
        X.detach().reshape(-1)[:1].double().resolve_neg().cpu().numpy()
    except Exception as error:  # there are tensors of many kinds that hold no numbers
        raise ValueError(
            f"X must hold numbers, got a tensor of {X.dtype} on {X.device}: {error}"
        ) from error


def is_frame(X):
    """Tell whether X is a data frame of pandas, polars or PyArrow."""
    is_of_columns = any(hasattr(type(X), name) for name in ("iloc", "get_column", "itercolumns"))
    return is_of_columns and len(getattr(X, "shape", ())) == 2


def is_of_sparse_columns(X):
    """Tell whether X is a pandas frame that scikit-learn can make a sparse matrix of."""
    is_of_pandas = is_frame(X) and hasattr(type(X), "iloc") and X.shape[1] > 0
    return is_of_pandas and all(
        str(dtype).startswith("Sparse") and dtype.fill_value == 0 for dtype in X.dtypes
    )


def is_plain(X):
    """Tell whether X holds nothing but numbers, all of a dtype of NumPy's or torch's."""
    if isinstance(X, torch.Tensor) or sparse.issparse(X) or is_of_sparse_columns(X):
        return True
    if not is_frame(X):
        return X.dtype.kind in _NUMBERS
    if not hasattr(type(X), "iloc"):
        return False
    # A column of booleans holds levels.
    return all(isinstance(dtype, np.dtype) and dtype.kind in "iuf" for dtype in X.dtypes)


def take_rows(X, rows):
    """Return rows, by an index array, of what `check_in_memory` returns, in the same container."""
    if hasattr(type(X), "iloc"):  # of pandas
        return X.iloc[rows]
    if hasattr(type(X), "itercolumns"):  # of PyArrow
        return X.take(rows)
    return (X.tocsr() if sparse.issparse(X) else X)[rows]


def names_of(X):
    """Return the names of the columns of a frame; of an array their indices."""
    if hasattr(type(X), "iloc"):  # of pandas
        return X.columns.tolist()
    if hasattr(type(X), "get_column"):  # of polars
        return X.columns
    if hasattr(type(X), "itercolumns"):  # of PyArrow
        return X.schema.names
    return list(range(X.shape[1]))


def columns_of(X, indices=None):
    """Return the Columns of a frame or of an array of two axes: all, or those of some indices."""
    if hasattr(type(X), "iloc"):  # of pandas
        some = X if indices is None else X.iloc[:, indices]
        return [Column(name, values) for name, values in some.items()]
    names = names_of(X)
    indices = range(len(names)) if indices is None else indices
    if hasattr(type(X), "get_column"):  # of polars
        return [Column(names[j], X.get_column(names[j])) for j in indices]
    if hasattr(type(X), "itercolumns"):  # of PyArrow
        return [Column(names[j], X.column(j)) for j in indices]
    return [Column(j, X[:, j]) for j in indices]
