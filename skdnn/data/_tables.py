"""Tables: data frames with categories, read into numbers and codes of levels.

A level that is rare, or was not seen in training, counts as "other"; a missing one is a level like
any other. Nothing here looks at labels.
"""

from dataclasses import dataclass
from numbers import Real

import numpy as np

# How the names of the dtypes of pandas, polars and PyArrow begin whose columns hold levels.
_OF_LEVELS = ("bool", "cat", "dictionary", "enum", "large_string", "object", "str")
# A level in fewer rows than these, in small data than this share of them, is rare.
_FEWEST_ROWS, _FEWEST_SHARE = 5, 20
# So many levels, and one for the others, fit into a code of 8 bits.
_MOST_LEVELS = 254


@dataclass(frozen=True)
class Table:
    """Rows of numbers and levels; indexed by rows as an array is.

    Attributes
    ----------
    numbers : array of float32, or float64 where that would lose digits, of shape (m, p)
    codes : array of unsigned int of shape (m, q)
        Indices into `levels`; their number for any other level.
    levels : list of q arrays
        None stands for a missing one.
    is_categorical : array of bool of shape (p + q,)
        Which columns of the frame hold levels.
    """

    numbers: np.ndarray
    codes: np.ndarray
    levels: list
    is_categorical: np.ndarray

    @property
    def shape(self):
        """Rows and columns of the frame."""
        return len(self.numbers), len(self.is_categorical)

    @property
    def dtype(self):
        """That of the network: what is standardised in float64 and 0 or 1 loses nothing by it."""
        return np.dtype(np.float32)

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, rows):
        return Table(self.numbers[rows], self.codes[rows], self.levels, self.is_categorical)

    def frequent_levels(self, weight):
        """Return for each column of levels those that are not rare, sorted.

        Parameters
        ----------
        weight : array of shape (m,)
            Rows of weight 0 do not count.
        """
        codes = self.codes[weight > 0]
        fewest = max(1, min(_FEWEST_ROWS, len(codes) // _FEWEST_SHARE))
        return [
            _frequent(np.bincount(column, minlength=len(levels)), levels, fewest)
            for column, levels in zip(codes.T, self.levels, strict=True)
        ]

    def recoded(self, levels):
        """Return the Table with codes for these levels, a list of arrays."""
        codes = np.empty(self.codes.shape, dtype=np.uint8)
        for j, (before, now) in enumerate(zip(self.levels, levels, strict=True)):
            position = {level: code for code, level in enumerate(now)}
            new_code = [position.get(level, len(now)) for level in before] + [len(now)]
            codes[:, j] = np.array(new_code, dtype=np.uint8)[self.codes[:, j]]
        return Table(self.numbers, codes, levels, self.is_categorical)


def _frequent(counts, levels, fewest):
    common = np.argsort(-counts, kind="stable")[:_MOST_LEVELS]
    kept = [levels[code] for code in common if counts[code] >= fewest]
    try:
        kept.sort(key=lambda level: (level is None, level))
    except TypeError:
        kept.sort(key=lambda level: (level is None, str(level)))
    return _as_array(kept)


def _as_array(levels):
    array = np.empty(len(levels), dtype=object)
    array[:] = levels
    return array


def find_categorical(X, categorical_features):
    """Return a mask of the columns of X that hold levels, None if there are none.

    Parameters
    ----------
    X : data frame, array or anything else
    categorical_features : "from_dtype", None or sequence
        Names, indices, or a mask.

    Raises
    ------
    ValueError
        If the sequence names columns that are not there.
    """
    names = _column_names(X)
    if isinstance(categorical_features, str):  # "from_dtype"
        n_features = len(names)
        chosen = [j for j in range(n_features) if _holds_levels(_column(X, j))]
    elif categorical_features is None:
        return None
    else:
        n_features = len(names) or np.shape(X)[-1]
        chosen = _resolve_columns(categorical_features, names, n_features)
    return np.isin(np.arange(n_features), chosen) if len(chosen) else None


def _column_names(X):
    """Return the names of a frame's columns, none for what is no frame."""
    if hasattr(X, "column_names"):  # of PyArrow
        return list(X.column_names)
    return list(X.columns) if hasattr(X, "columns") else []


def _resolve_columns(columns, names, n_features):
    columns = np.asarray(columns)
    if columns.dtype.kind == "b" and columns.shape == (n_features,):
        return np.flatnonzero(columns)
    if columns.dtype.kind in "iu" and ((-n_features <= columns) & (columns < n_features)).all():
        return columns % n_features
    if columns.dtype.kind in "UO" and set(columns) <= set(names):
        return [names.index(name) for name in columns]
    if not columns.size:
        return columns
    what = f"names {names}" if names else "no names"
    raise ValueError(
        f"categorical_features must be 'from_dtype', None, or indices, a mask or names of the "
        f"{n_features} columns of X, which have {what}, got {columns.tolist()}."
    )


def read_table(X, is_categorical):
    """Return the Table of a frame or array X, its levels being all that it has.

    Raises
    ------
    ValueError
        If a column of numbers holds something else, or infinity.
    """
    numbers = np.zeros((len(X), np.count_nonzero(~is_categorical)), dtype=np.float32)
    for place, j in enumerate(np.flatnonzero(~is_categorical)):
        column = _numbers(_column(X, j), j)
        if np.isinf(column).any():
            raise ValueError("Input X contains infinity.")
        if not np.array_equal(column, column.astype(np.float32), equal_nan=True):
            numbers = numbers.astype(np.float64, copy=False)
        numbers[:, place] = column
    codes, levels = zip(
        *[_factorize(_column(X, j)) for j in np.flatnonzero(is_categorical)], strict=True
    )
    return Table(numbers, np.column_stack(codes), list(levels), is_categorical)


def _column(X, j):
    """Return the column j of a frame of pandas, polars or PyArrow, or of an array."""
    if hasattr(X, "iloc"):
        return X.iloc[:, j]
    if hasattr(X, "itercolumns"):
        return X.column(int(j))
    return X[:, int(j)]


def _holds_levels(column):
    """Tell from the dtype of a frame's column whether it holds levels.

    A column of objects does unless they all are numbers.
    """
    dtype = str(column.dtype if hasattr(column, "dtype") else column.type).lower()
    if dtype == "object":
        return not all(_is_number(value) for value in column if not _is_missing(value))
    return dtype.startswith(_OF_LEVELS)


def _is_number(value):
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_missing(value):
    # pd.NA is equal to nothing, and cannot even say so.
    return value is None or type(value).__name__ == "NAType" or value != value


def _numbers(column, j):
    try:
        if hasattr(column, "factorize"):  # of pandas, whose pd.NA is no number to NumPy
            return column.to_numpy(dtype=np.float64, na_value=np.nan)
        return np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"X must hold numbers in column {j}, as in fit, or name it in categorical_features: "
            f"{error}"
        ) from error


def _factorize(column):
    """Return the codes of a column, of shape (m,), and the levels that they stand for."""
    if hasattr(column, "factorize"):
        codes, levels = column.factorize()
        levels = levels.tolist()
    else:
        codes, levels = _factorize_values(column)
    codes = np.where(codes < 0, len(levels), codes)
    return codes.astype(np.min_scalar_type(len(levels))), _as_array([*levels, None])


def _factorize_values(column):
    to_list = "to_pylist" if hasattr(column, "to_pylist") else "tolist"
    values = getattr(column, to_list)() if hasattr(column, to_list) else column.to_list()
    position = {}
    codes = [-1 if _is_missing(v) else position.setdefault(v, len(position)) for v in values]
    return np.array(codes, dtype=np.intp), list(position)
