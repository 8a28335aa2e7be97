"""Blocks: columns of one numeric dtype, read together.

A wide frame has hundreds of columns, and reading each in Python takes longer than a small network.
"""

from collections import defaultdict

import numpy as np

from ._columns import array_of_numeric, is_numeric
from ._sources import columns_of, is_frame

# A block is a copy. In frames of more rows than these, reading column by column costs little.
_MOST_ROWS = 2**16


def numeric_columns(X):
    """Return the indices of the columns of each numeric dtype, a dict of lists.

    Parameters
    ----------
    X : frame or array of shape (m, n)
    """
    indices = defaultdict(list)
    for j, dtype in enumerate(dtypes_of(X)):
        if is_numeric(dtype):
            indices[dtype].append(j)
    return indices


def dtypes_of(X):
    """Return the dtypes of the columns of a frame or an array."""
    if not is_frame(X):
        return [X.dtype] * X.shape[1]
    if hasattr(type(X), "get_column"):  # of polars
        return X.dtypes
    return X.dtypes.tolist() if hasattr(type(X), "iloc") else X.schema.types


def number_blocks(X, wanted):
    """Return pairs (indices, array of shape (m, k)) of columns of numbers, one for each dtype.

    Columns with infinite numbers are left out, to be named by who reads them one by one.

    Parameters
    ----------
    X : frame or array of shape (m, n)
    wanted : collection of int
        The columns to read.
    """
    if len(X) > _MOST_ROWS:
        return []
    found = []
    for dtype, indices in numeric_columns(X).items():
        indices = [j for j in indices if j in wanted]
        if indices:
            found += _blocks(X, dtype, indices)
    return [(indices, block) for indices, block in found if not _has_infinity(block)]


def _blocks(X, dtype, indices):
    if hasattr(type(X), "iloc"):
        return [(indices, array_of_numeric(X.iloc[:, indices], dtype))]
    if not is_frame(X):
        return [(indices, X[:, indices])]
    # Integers are floats where one is missing.
    columns = defaultdict(dict)
    for j, column in zip(indices, columns_of(X, indices), strict=True):
        array = column.array()
        columns[array.dtype][j] = array
    return [
        (list(of_dtype), np.column_stack([*of_dtype.values()])) for of_dtype in columns.values()
    ]


def _has_infinity(block):
    return block.dtype.kind == "f" and np.isinf(block).any()
