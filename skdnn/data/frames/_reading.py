"""Frames and arrays of objects, read column by column into numbers and categories."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from itertools import chain
from typing import Any

import numpy as np
from scipy import sparse

from skdnn.processes import SINGLE_PROCESS, SingleProcess

from ._arrays import to_host
from ._columns import (
    CATEGORY,
    DATE,
    DURATION,
    NUMBER,
    Column,
    array_of_numeric,
    is_missing,
    is_numeric,
    object_array,
)
from ._containers import columns_of, holds_only_numbers, is_frame, names_of
from ._tables import Table

# In frames of more rows, reading column by column costs little and avoids the copy of a block.
_MOST_ROWS_OF_BLOCKS = 2**16
_PLURAL: dict[str | None, str] = {
    NUMBER: "numbers",
    DATE: "dates",
    DURATION: "durations",
    CATEGORY: "text or categories",
}


def dtypes_of(X: Any) -> list:
    """Return the dtypes of the columns of a frame or an array."""
    if not is_frame(X):
        return [X.dtype] * X.shape[1]
    if hasattr(type(X), "get_column"):  # polars
        return X.dtypes
    return X.dtypes.tolist() if hasattr(type(X), "iloc") else X.schema.types


def numeric_columns(X: Any) -> dict[Any, list[int]]:
    """Return the indices of the columns of each numeric dtype of a frame or an array."""
    indices = defaultdict(list)
    for j, dtype in enumerate(dtypes_of(X)):
        if is_numeric(dtype):
            indices[dtype].append(j)
    return indices


def number_blocks(X: Any, wanted: Collection[int]) -> list[tuple[list[int], np.ndarray]]:
    """Return pairs (indices, array of shape (m, k)) of columns of numbers, one for each dtype.

    A wide frame has hundreds of columns, and to read each of them in Python takes longer than to
    train a small network. Columns with infinite numbers are left out: if they are read one by one,
    the error names the first of them.

    Parameters
    ----------
    X : frame or array of shape (m, n)
    wanted : collection of int
        Indices of the columns to read.
    """
    if len(X) > _MOST_ROWS_OF_BLOCKS:
        return []
    blocks = []
    for dtype, of_dtype in numeric_columns(X).items():
        indices = [j for j in of_dtype if j in wanted]
        if not indices:
            continue
        if hasattr(type(X), "iloc"):  # pandas
            blocks.append((indices, array_of_numeric(X.iloc[:, indices], dtype)))
        elif not is_frame(X):
            blocks.append((indices, X[:, indices]))
        else:
            # A column of integers becomes an array of floats if a value is missing.
            arrays: dict[np.dtype, dict[int, np.ndarray]] = defaultdict(dict)
            for j, column in zip(indices, columns_of(X, indices), strict=True):
                array = column.array()
                arrays[array.dtype][j] = array
            blocks += [([*some], np.column_stack([*some.values()])) for some in arrays.values()]
    return [
        (indices, block)
        for indices, block in blocks
        if block.dtype.kind != "f" or not np.isinf(block).any()
    ]


def find_kinds(
    X: Any, categorical_features: str | Sequence | None, processes: SingleProcess = SINGLE_PROCESS
) -> list[str] | None:
    """Return the kind of each column: "number", "date", "duration" or "category".

    None if all columns hold numbers.

    Parameters
    ----------
    X : frame, array, tensor or sparse matrix
    categorical_features : "from_dtype", None or sequence
        Names, indices or a mask of the columns of categories. With "from_dtype", the columns of a
        frame are categories by their dtype; an array has none.
    processes : SingleProcess or Communicator, default=SINGLE_PROCESS
        The processes that have the other rows, all of them in frames or all in arrays.

    Raises
    ------
    ValueError
        If the sequence names columns that X does not have or X is sparse, or a column holds none of
        these kinds.
    """
    from_dtype = isinstance(categorical_features, str)
    default = CATEGORY if from_dtype and is_frame(X) else NUMBER
    here = None
    if not holds_only_numbers(X) or (categorical_features and not from_dtype):
        if sparse.issparse(X):
            raise ValueError(
                "X must be dense where categorical_features names columns, got sparse X."
            )
        X = to_host(X)
        chosen = set() if from_dtype else _chosen(categorical_features, names_of(X))
        found: dict[int, str | None] = {
            **dict.fromkeys(chain(*numeric_columns(X).values()), NUMBER),
            **dict.fromkeys(chosen, CATEGORY),
        }
        others = [j for j in range(X.shape[1]) if j not in found]
        for j, column in zip(others, columns_of(X, others), strict=True):
            kind = column.kind()
            found[j] = default if kind == CATEGORY else kind
        here = [found[j] for j in range(X.shape[1])]
    in_processes = processes.allgather(here)
    if all(found_there is None for found_there in in_processes):
        return None
    in_processes = [found_there or [NUMBER] * X.shape[1] for found_there in in_processes]
    known = [{*of_column} - {None} for of_column in zip(*in_processes, strict=True)]
    kinds = [found.pop() if len(found) == 1 else default for found in known]
    return None if set(kinds) == {NUMBER} else kinds


def _chosen(columns: Sequence | None, names: list) -> set[int]:
    """Return the indices of the columns that are given by names, indices or a mask."""
    if not columns:
        return set()
    n_features = len(names)
    types = {type(column) for column in columns}
    try:
        is_named = not types & {bool, int} and set(columns) <= set(names)
    except TypeError as error:
        raise ValueError(
            f"categorical_features must be names or indices, got {list(columns)}."
        ) from error
    if types == {bool} and len(columns) == n_features:
        return {j for j, is_chosen in enumerate(columns) if is_chosen}
    if types == {int} and all(-n_features <= j < n_features for j in columns):
        return {j % n_features for j in columns}
    if is_named:
        return {j for j, name in enumerate(names) if name in columns}
    has_names = names != list(range(n_features))
    what = f"names {names}" if has_names else "no names"
    raise ValueError(
        f"categorical_features must be 'from_dtype', None, or indices, a mask or names of the "
        f"{n_features} columns of X, which have {what}, got {list(columns)}."
    )


def read_columns(X: Any, kinds: Sequence[str] | None) -> Table | np.ndarray:
    """Return a Table of the columns of X if some hold categories, else an array of numbers.

    Parameters
    ----------
    X : frame or array of shape (m, n)
    kinds : list of str or None
        The kind of each column in fit, from `find_kinds`.

    Raises
    ------
    ValueError, TypeError
        If a column holds another kind of values now, or infinity.
    """
    kinds = kinds or [NUMBER] * X.shape[1]
    is_categorical = np.array([kind == CATEGORY for kind in kinds], dtype=bool)
    blocks = number_blocks(X, {j for j, kind in enumerate(kinds) if kind == NUMBER})
    in_blocks = set(chain(*(indices for indices, _ in blocks)))
    others = [j for j in range(len(kinds)) if j not in in_blocks]
    pairs = list(zip(others, columns_of(X, others), strict=True))
    blocks += [([j], _read(column, kinds[j])) for j, column in pairs if kinds[j] != CATEGORY]
    read = [_read(column, CATEGORY) for j, column in pairs if kinds[j] == CATEGORY]
    if read:
        with np.errstate(over="ignore"):
            has_32_bits = all(
                np.array_equal(block, block.astype(np.float32), equal_nan=True)
                for _, block in blocks
            )
        dtype: type = np.float32 if has_32_bits else np.float64
    else:
        dtype = _common_dtype([block for _, block in blocks])
    numbers: np.ndarray = np.empty((len(X), np.count_nonzero(~is_categorical)), dtype=dtype)
    position = np.cumsum(~is_categorical) - 1
    for indices, block in blocks:
        numbers[:, position[indices]] = block.reshape(len(X), len(indices))
    if not read:
        return numbers
    codes, categories = zip(*read, strict=True)
    return Table(
        numbers,
        np.column_stack(codes),
        list(categories),
        is_categorical,
        n_frequent=np.array([len(of_column) for of_column in categories], dtype=np.intp),
        numbers_dtype=_declared_dtype(X, is_categorical),
    )


def _read(column: Column, kind: str) -> Any:
    """Return the numbers of a column, or its codes and categories; all errors name the column."""
    try:
        if kind == CATEGORY:
            codes, categories = column.categories()
            codes = np.where(codes < 0, len(categories), codes)
            dtype = np.min_scalar_type(len(categories))
            return codes.astype(dtype), object_array([*categories, None])
        found = column.kind()
        is_right = found is None or found == kind or (kind, found) == (NUMBER, CATEGORY)
        if is_right or all(map(is_missing, column.objects())):
            return column.numbers()
        raise ValueError(
            f"X must hold {_PLURAL[kind]} in {column}, as in fit, got {_PLURAL[found]} "
            f"({column.dtype})."
        )
    except Exception as error:
        if str(column) in str(error):
            raise
        raise ValueError(
            f"X must hold numbers, dates or categories in {column}: {error}"
        ) from error


def _common_dtype(arrays: list[np.ndarray]) -> type:
    """Return float32 if all arrays together need no more, else float64."""
    has_32_bits = np.result_type(*[array.dtype for array in arrays]) in (np.float16, np.float32)
    return np.float32 if has_32_bits else np.float64


def _declared_dtype(X: Any, is_categorical: np.ndarray) -> type:
    """Return the common dtype of the columns of numbers, whatever their values are."""
    one_of_each = {dtype: j for j, dtype in enumerate(dtypes_of(X)) if not is_categorical[j]}
    if all(isinstance(dtype, np.dtype) and dtype.kind in "iuf" for dtype in one_of_each):
        return _common_dtype([np.empty(0, dtype) for dtype in one_of_each or ["f4"]])
    columns = [column.values for column in columns_of(X, list(one_of_each.values()))]
    empty = [values.iloc[:0] if hasattr(values, "iloc") else values[:0] for values in columns]
    return _common_dtype([Column("", values).numbers() for values in empty] or [np.empty(0, "f4")])
