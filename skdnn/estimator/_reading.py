"""Reading X and y: check them as scikit-learn does, without a copy of numeric X.

Arrays of numbers, tensors and sparse matrices stay what they are, and a tensor stays on its device.
Data frames and arrays of objects are read column by column.
"""

from collections.abc import Hashable, Sequence
from types import SimpleNamespace
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
import torch
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, check_X_y, validate_data

from skdnn.checkpoints import describe
from skdnn.data.encoding import columns_with_infinity
from skdnn.data.frames import (
    Table,
    check_in_memory,
    holds_only_numbers,
    is_of_sparse_columns,
    read_columns,
    to_host,
)
from skdnn.processes import SINGLE_PROCESS, SingleProcess, check_same

from ._columns import (
    UserX,
    check_kinds_of_categories,
    column_name,
    learn_columns,
    warn_about_other_categories,
)

# X after the checks: an array, CSR matrix, tensor or Table of shape (n_samples, n_features).
CheckedX: TypeAlias = Any

# By estimator: an X, and what `read_data` returns for it.
_cache: WeakKeyDictionary = WeakKeyDictionary()


def read_data(
    estimator: BaseEstimator,
    X: UserX,
    *y: Any,
    learn_by: SimpleNamespace | None = None,
    name: str = "y",
    recodes: bool = True,
    processes: SingleProcess = SINGLE_PROCESS,
) -> Any:
    """Check X, and y where it is passed, and return them as arrays, tensors or Tables.

    Parameters
    ----------
    estimator : NetworkEstimator
        The estimator with the kinds and categories of the columns of X.
    X : {array-like, sparse matrix, data frame, tensor} of shape (n_samples, n_features)
    *y : array-like or tensor of shape (n_samples,) or (n_samples, n_outputs)
    learn_by : SimpleNamespace or None, default=None
        Parameters by which the estimator learns the number, names and kinds of the columns. With
        None, X must have the columns that the estimator knows.
    name : str, default="y"
        The name of y in errors.
    recodes : bool, default=True
        Whether to replace the codes of categories by those that the estimator knows.
    processes : SingleProcess or Communicator, default=SINGLE_PROCESS
        The processes that share the rows. One of them may have no rows.

    Returns
    -------
    X, or (X, y) where y is passed
    """
    if isinstance(X, Table):
        return X
    if isinstance(estimator, Hashable) and (cached := _cache.get(estimator)) and X is cached[0]:
        return cached[1]
    X, reset = check_in_memory(X), learn_by is not None
    if learn_by is not None:
        learn_columns(estimator, X, learn_by.categorical_features, processes)
    arrays = [estimator._task.target.normalized(values, name) for values in y]
    has_rows = X.shape[0] > 0 or processes.size == 1
    checked = arrays if has_rows else []  # scikit-learn's checks reject a y without rows
    options: dict[str, Any] = {"ensure_min_samples": 1 if processes.size == 1 else 0}
    if checked:
        options["multi_output"] = estimator._task.target.takes_several
    if estimator.column_kinds_ is not None or not holds_only_numbers(X):
        X, *checked = _read_columns(estimator, X, checked, reset, recodes, **options)
    else:
        X, *checked = _read_numbers(estimator, X, checked, reset, **options)
    if reset and processes.size > 1:
        names = getattr(estimator, "feature_names_in_", None)
        check_same(processes, {"The names of the columns of X": describe(names)})
    return (X, *(checked if has_rows else arrays)) if y else X


def cache_read_data(estimator: BaseEstimator, X: UserX, read: CheckedX) -> None:
    """Let `read_data` return `read` for X and this estimator, without reading X again."""
    if isinstance(estimator, Hashable):
        _cache[estimator] = X, read


def _read_columns(
    estimator: BaseEstimator,
    X: UserX,
    y: Sequence[np.ndarray],
    reset: bool,
    recodes: bool,
    **options: Any,
) -> tuple[CheckedX, ...]:
    """Return X, read column by column, and y; scikit-learn checks the names of X and its shape."""
    X = to_host(X.toarray() if sparse.issparse(X) else X)
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    zeros = np.broadcast_to(np.float32(0), tuple(X.shape))
    if y:
        y = check_X_y(zeros, *y, dtype=None, **options)[1:]
    else:
        check_array(zeros, dtype=None, **options)
    read = read_columns(X, estimator.column_kinds_)
    if isinstance(read, Table):
        if estimator._kinds_of_categories is not None:
            check_kinds_of_categories(estimator, read)
        if recodes and estimator.categories_ is not None:
            read = read.recoded(estimator.categories_)
            warn_about_other_categories(estimator, read)
    return read, *y


def _read_numbers(
    estimator: BaseEstimator, X: UserX, y: Sequence[np.ndarray], reset: bool, **options: Any
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
        checked = validate_data(estimator, zeros, *y, reset=reset, dtype=None, **options)
        y = checked[1:] if y else ()
    else:
        # A dense array keeps its dtype: it is converted chunk by chunk, without a copy of it all.
        is_sparse = sparse.issparse(X) or is_of_sparse_columns(X)
        dtype = (np.float64, np.float32) if is_sparse else "numeric"
        checked = validate_data(
            estimator,
            X,
            *y,
            reset=reset,
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
                f"Input X contains NaN in column {column_name(estimator, missing[0])}. Missing "
                "values are not supported in sparse X: make it dense, or impute them."
            )
    infinite = columns_with_infinity(X)
    if len(infinite):
        name = column_name(estimator, infinite[0])
        raise ValueError(f"Input X contains infinity in column {name}.")
    return X, *y
