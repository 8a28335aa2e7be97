"""Reading X and y: check them as scikit-learn does, without a copy of numeric X.

Arrays of numbers, tensors and sparse matrices stay what they are, and a tensor stays on its device.
Data frames and arrays of objects are read column by column.
"""

from collections.abc import Hashable, Sequence
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
import torch
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, check_X_y, validate_data

from skdnn.data.encoding import columns_with_infinity
from skdnn.data.frames import (
    Schema,
    Table,
    check_in_memory,
    holds_only_numbers,
    is_frame,
    is_of_sparse_columns,
    names_of,
    read_columns,
    to_host,
)

from ._columns import UserX, recode

# X after the checks: an array, CSR matrix, tensor or Table of shape (n_samples, n_features).
CheckedX: TypeAlias = Any

# By estimator: an X, and what `read_new_rows` returns for it.
_cache: WeakKeyDictionary = WeakKeyDictionary()


def read_data(
    estimator: BaseEstimator,
    schema: Schema,
    X: UserX,
    *y: Any,
    name: str = "y",
    min_rows: int = 1,
) -> Any:
    """Check X, and y where it is passed, and return them as arrays, tensors or Tables.

    A Table has codes for its own categories.

    Parameters
    ----------
    estimator : NetworkEstimator
        Its class is named in errors, and its target checks y.
    schema : Schema
        The columns that X must have.
    X : {array-like, sparse matrix, data frame, tensor} of shape (n_samples, n_features)
    *y : array-like or tensor of shape (n_samples,) or (n_samples, n_outputs)
    name : str, default="y"
        The name of y in errors.
    min_rows : int, default=1
        0 for a part of the rows, which may be empty.

    Returns
    -------
    X, or (X, y) where y is passed
    """
    X = check_in_memory(X)
    arrays = [estimator._task.target.normalized(values, name) for values in y]
    has_rows = X.shape[0] > 0 or min_rows > 0
    checked = arrays if has_rows else []  # scikit-learn's checks reject a y without rows
    options: dict[str, Any] = {"ensure_min_samples": min_rows}
    if checked:
        options["multi_output"] = estimator._task.target.takes_several
    named = _with_columns_of(schema, estimator)
    if schema.kinds is not None or not holds_only_numbers(X):
        X, *checked = _read_columns(named, schema, X, checked, **options)
    else:
        X, *checked = _read_numbers(named, schema, X, checked, **options)
    return (X, *(checked if has_rows else arrays)) if y else X


def read_new_rows(fitted: Any, X: UserX) -> CheckedX:
    """Return X to predict from, checked and with the codes of the categories of the fit."""
    if isinstance(fitted, Hashable) and (cached := _cache.get(fitted)) and X is cached[0]:
        return cached[1]
    schema = Schema.from_attributes(vars(fitted))
    return recode(schema, read_data(fitted, schema, X))


def cache_read_data(estimator: BaseEstimator, X: UserX, read: CheckedX) -> None:
    """Let `read_new_rows` return `read` for X and this estimator, without reading X again."""
    if isinstance(estimator, Hashable):
        _cache[estimator] = X, read


def _with_columns_of(schema: Schema, estimator: BaseEstimator) -> BaseEstimator:
    """Return a copy of an estimator by which scikit-learn checks the names and number of columns.

    `copy.copy` would take longer than the prediction of a row.
    """
    copied: BaseEstimator = object.__new__(type(estimator))
    vars(copied).update(vars(estimator), n_features_in_=schema.n_features)
    vars(copied).update(feature_names_in_=schema.names)
    return copied


def _has_names_of(schema: Schema, X: UserX) -> bool:
    """Return whether X is a frame with these columns: scikit-learn's check takes longer."""
    return is_frame(X) and schema.names is not None and names_of(X) == schema.names.tolist()


def _read_columns(
    named: BaseEstimator, schema: Schema, X: UserX, y: Sequence[np.ndarray], **options: Any
) -> tuple[CheckedX, ...]:
    """Return X, read column by column, and y; scikit-learn checks the names of X and its shape."""
    X = to_host(X.toarray() if sparse.issparse(X) else X)
    if not _has_names_of(schema, X):
        validate_data(named, X, reset=False, skip_check_array=True)
    zeros = np.broadcast_to(np.float32(0), tuple(X.shape))
    if y:
        y = check_X_y(zeros, *y, dtype=None, **options)[1:]
    else:
        check_array(zeros, dtype=None, **options)
    read = read_columns(X, schema.kinds)
    if isinstance(read, Table):
        schema.check_kinds_of_categories(read)
    return read, *y


def _read_numbers(
    named: BaseEstimator, schema: Schema, X: UserX, y: Sequence[np.ndarray], **options: Any
) -> tuple[CheckedX, ...]:
    """Return X, which holds nothing but numbers, and y, checked by scikit-learn.

    Raises
    ------
    ValueError
        If X holds infinity, or is sparse and holds NaN.
    """
    if isinstance(X, torch.Tensor):
        # scikit-learn checks zeros of the same shape, so that the tensor stays on its device.
        zeros = np.broadcast_to(np.float32(0), tuple(X.shape))
        checked = validate_data(named, zeros, *y, reset=False, dtype=None, **options)
        y = checked[1:] if y else ()
    else:
        # A dense array keeps its dtype: it is converted chunk by chunk, without a copy of it all.
        is_sparse = sparse.issparse(X) or is_of_sparse_columns(X)
        if not is_sparse and not y and _has_names_of(schema, X):
            X = X.to_numpy()
            del vars(named)["feature_names_in_"]  # else scikit-learn warns of an array without
        dtype = (np.float64, np.float32) if is_sparse else "numeric"
        checked = validate_data(
            named,
            X,
            *y,
            reset=False,
            accept_sparse="csr",
            dtype=dtype,
            ensure_all_finite=False,
            **options,
        )
        X, *y = checked if y else (checked,)
    if sparse.issparse(X):
        missing = X.indices[np.isnan(X.data)]
        if len(missing):
            raise ValueError(
                f"Input X contains NaN in column {schema.column_name(missing[0])}. Missing "
                "values are not supported in sparse X: make it dense, or impute them."
            )
    infinite = columns_with_infinity(X)
    if len(infinite):
        name = schema.column_name(infinite[0])
        raise ValueError(f"Input X contains infinity in column {name}.")
    return X, *y
