"""Tables: the columns of a frame, read into numbers and codes of levels.

A level that is rare, or was not seen in training, counts as "other"; a missing one is a level like
any other. Where rare ones are many and come again, they are kept to be told by their means. Nothing
here looks at labels.
"""

from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from skdnn.processes import SINGLE_PROCESS

from ._blocks import dtypes_of, number_blocks, numeric_columns
from ._columns import CATEGORY, DATE, DURATION, NUMBER, Column, is_missing, objects_of
from ._sources import columns_of, is_frame, names_of

# A level in fewer rows than these, in small data than this share of them, is rare.
_FEWEST_ROWS, _FEWEST_FRACTION = 5, 20
# So many levels, and one for the others, fit into a code of 8 bits.
_MOST_CATEGORIES = 254
_PLURAL = {NUMBER: "numbers", DATE: "dates", DURATION: "durations", CATEGORY: "text or categories"}


@dataclass(frozen=True)
class Table:
    """Rows of numbers and levels; indexed by rows as an array is.

    Attributes
    ----------
    numbers : array of float32, or float64 where that would lose digits, of shape (m, p)
    codes : array of unsigned int of shape (m, q)
        Indices into `levels`; their number for any other level.
    categories : list of q arrays
        None stands for a missing one.
    is_categorical : array of bool of shape (p + q,)
        Which columns of the frame hold levels.
    n_frequent : array of int of shape (q,)
        So many of the levels are told apart; those behind them are rare, and kept for their means.
    numbers_dtype : dtype
        Common dtype of the frame's columns of numbers, whatever their values are; float32 where
        there are none.
    means : array of shape (m, t) or None
        For rows to train on: what is to be seen there in place of the means of their levels.
    """

    numbers: np.ndarray
    codes: np.ndarray
    categories: list
    is_categorical: np.ndarray
    n_frequent: np.ndarray
    numbers_dtype: Any = np.float32
    means: np.ndarray | None = None

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
        means = None if self.means is None else self.means[rows]
        return replace(self, numbers=self.numbers[rows], codes=self.codes[rows], means=means)

    def with_categories_of_all_processes(self, processes):
        """Return the Table with codes for all levels that the Tables of all processes have."""
        if processes.size == 1:
            return self
        of_all = zip(*processes.allgather(self.categories), strict=True)
        return self.recoded(
            [objects_of(list(dict.fromkeys(chain(*categories)))) for categories in of_all]
        )

    def frequent_categories(self, weight, processes=SINGLE_PROCESS):
        """Return for each column of levels those that are not rare, sorted.

        Parameters
        ----------
        weight : array of shape (m,)
            Rows of weight 0 do not count.
        processes : SingleProcess or Communicator, default=SINGLE_PROCESS
            Of those that have the other rows.
        """
        n_rows = int(processes.allreduce(np.array(np.count_nonzero(weight))))
        counts = self.counts(weight, processes)
        return [
            frequent_of_counts(column[:-1], categories, n_rows)
            for column, categories in zip(counts, self.categories, strict=True)
        ]

    def rare_categories(self, frequent, weight, min_fraction, processes=SINGLE_PROCESS):
        """Return for each column the levels beside the frequent ones, where they say something.

        Those that come again must be worth it; of one that comes once, other rows tell nothing.

        Parameters
        ----------
        frequent : list of q arrays
        weight : array of shape (m,)
            Rows of weight 0 do not count.
        min_fraction : float
            In more of the rows than these there must be rare levels that come again.
        processes : SingleProcess or Communicator, default=SINGLE_PROCESS
            Of those that have the other rows.
        """
        counts = self.counts(weight, processes)
        return [
            _rare(column, categories, frequent, min_fraction)
            for column, categories, frequent in zip(counts, self.categories, frequent, strict=True)
        ]

    def counts(self, weight, processes=SINGLE_PROCESS):
        """Return for each column how many rows of a weight above 0 have each level, or another."""
        codes = self.codes[weight > 0]
        return [
            processes.allreduce(np.bincount(column, minlength=len(categories) + 1))
            for column, categories in zip(codes.T, self.categories, strict=True)
        ]

    def recoded(self, categories, n_frequent=None):
        """Return the Table with codes for these levels, a list of arrays.

        `n_frequent` of them are told apart, or all.
        """
        lengths = np.array([len(now) for now in categories], dtype=np.intp)
        codes = np.empty(self.codes.shape, dtype=np.min_scalar_type(lengths.max()))
        for j, (before, now) in enumerate(zip(self.categories, categories, strict=True)):
            position = {category: code for code, category in enumerate(now)}
            new_code = [position.get(category, len(now)) for category in before] + [len(now)]
            codes[:, j] = np.array(new_code, dtype=codes.dtype)[self.codes[:, j]]
        n_frequent = lengths if n_frequent is None else n_frequent
        return replace(self, codes=codes, categories=categories, n_frequent=n_frequent)

    def with_used_categories(self):
        """Return the Table with those levels alone that some row has."""
        used = [np.unique(column) for column in self.codes.T]
        pairs = zip(used, self.categories, strict=True)
        return self.recoded(
            [categories[codes[codes < len(categories)]] for codes, categories in pairs]
        )

    def fraction_of_others(self, weight=None, processes=SINGLE_PROCESS):
        """Return for each column of levels the share of its values that are "other".

        0 where all values are missing. Rows of weight 0 do not count.
        """
        counts = self.counts(np.ones(len(self)) if weight is None else weight, processes)
        return [
            _fraction(column[-1], np.delete(column, _code_of_missing(categories)).sum())
            for column, categories in zip(counts, self.categories, strict=True)
        ]


def add_categories(known, n_frequent, found):
    """Return known levels and, behind them, as many that are found and new as there is room for.

    And how many of them are told apart. Behind rare levels, kept for their means, there is no room.
    """
    if n_frequent < len(known):
        return known, n_frequent
    frequent = set(known)
    categories = [*known, *(category for category in found if category not in frequent)][
        :_MOST_CATEGORIES
    ]
    return objects_of(categories), len(categories)


def _fraction(n_others, n_values):
    return n_others / n_values if n_values else 0.0


def _code_of_missing(categories):
    return [code for code, category in enumerate(categories) if category is None]


def frequent_of_counts(counts, categories, n_rows):
    """Return those of some levels that are not rare, sorted, by in how many of all rows each is."""
    fewest = max(1, min(_FEWEST_ROWS, n_rows // _FEWEST_FRACTION))
    counts = np.asarray(counts)
    common = np.argsort(-counts, kind="stable")[:_MOST_CATEGORIES]
    kept = [categories[code] for code in common if counts[code] >= fewest]
    try:
        kept.sort(key=lambda category: (category is None, category))
    except TypeError:
        kept.sort(key=lambda category: (category is None, str(category)))
    return objects_of(kept)


def _rare(counts, categories, frequent, min_fraction):
    frequent = set(frequent)
    rare = [code for code in np.flatnonzero(counts[:-1]) if categories[code] not in frequent]
    is_again = counts[rare] > 1
    is_worth_it = counts[rare][is_again].sum() > min_fraction * counts.sum()
    return objects_of([categories[code] for code in rare] if is_worth_it else [])


def find_kinds(X, categorical_features, processes=SINGLE_PROCESS):
    """Return what each column holds: "number", "date", "duration" or "category".

    None where all are numbers.

    Parameters
    ----------
    X : frame, array, tensor or sparse matrix
    categorical_features : "from_dtype", None or sequence
        Names, indices or a mask of the columns that hold levels. "from_dtype" finds them in a
        frame; an array has none.
    processes : SingleProcess or Communicator, default=SINGLE_PROCESS
        Of those that have the other rows.

    Raises
    ------
    ValueError
        If the sequence names columns that are not there, or a column holds none of these.
    """
    by_dtype = isinstance(categorical_features, str)
    chosen = () if by_dtype else _chosen(categorical_features, names_of(X))
    found = {
        **dict.fromkeys(chain(*numeric_columns(X).values()), NUMBER),
        **dict.fromkeys(chosen, CATEGORY),
    }
    others = [j for j in range(X.shape[1]) if j not in found]
    found |= {j: column.kind() for j, column in zip(others, columns_of(X, others), strict=True)}
    found = [found[j] for j in range(X.shape[1])]
    found = [_common_kind(of_all) for of_all in zip(*processes.allgather(found), strict=True)]
    may_hold_categories = by_dtype and is_frame(X)
    kinds = [
        kind if j in chosen or kind not in (CATEGORY, None) else _open_kind(may_hold_categories)
        for j, kind in enumerate(found)
    ]
    return None if set(kinds) == {NUMBER} else kinds


def _common_kind(kinds):
    """Return what a column holds that is told in parts, None where no part says."""
    frequent = {kind for kind in kinds if kind is not None}
    return CATEGORY if len(frequent) > 1 else next(iter(frequent), None)


def _open_kind(may_hold_categories):
    return CATEGORY if may_hold_categories else NUMBER


def _chosen(columns, names):
    """Return the set of indices of the columns that names, indices or a mask say."""
    if not columns:
        return ()
    n_features = len(names)
    kinds = {type(column) for column in columns}
    try:
        is_named = not kinds & {bool, int} and set(columns) <= set(names)
    except TypeError as error:
        raise ValueError(
            f"categorical_features must be names or indices, got {list(columns)}."
        ) from error
    if kinds == {bool} and len(columns) == n_features:
        return {j for j, is_chosen in enumerate(columns) if is_chosen}
    if kinds == {int} and all(-n_features <= j < n_features for j in columns):
        return {j % n_features for j in columns}
    if is_named:
        return {j for j, name in enumerate(names) if name in columns}
    has_names = names != list(range(n_features))
    what = f"names {names}" if has_names else "no names"
    raise ValueError(
        f"categorical_features must be 'from_dtype', None, or indices, a mask or names of the "
        f"{n_features} columns of X, which have {what}, got {list(columns)}."
    )


def read_columns(X, kinds):
    """Return what the columns of X hold: a Table where some hold levels, else an array of numbers.

    Parameters
    ----------
    X : frame or array of shape (m, n)
    kinds : list of str or None
        What each column held in fit, as `find_kinds` says.

    Raises
    ------
    ValueError, TypeError
        If a column holds something else now, or infinity.
    """
    kinds = np.array(kinds or [NUMBER] * X.shape[1])
    blocks = number_blocks(X, set(np.flatnonzero(kinds == NUMBER).tolist()))
    in_blocks = set(chain(*(indices for indices, _ in blocks)))
    others = [j for j in range(len(kinds)) if j not in in_blocks]
    pairs = list(zip(others, columns_of(X, others), strict=True))
    blocks += [
        ([j], _read(column, _numbers, kinds[j])) for j, column in pairs if kinds[j] != CATEGORY
    ]
    found = [_read(column, _codes_and_categories) for j, column in pairs if kinds[j] == CATEGORY]
    is_categorical = kinds == CATEGORY
    if not found:
        dtype = _common_dtype([block for _, block in blocks])
        return _joined(blocks, is_categorical, len(X), dtype)
    codes, categories = zip(*found, strict=True)
    numbers = _joined(blocks, is_categorical, len(X), _narrowest_dtype(blocks))
    n_frequent = np.array([len(of_column) for of_column in categories], dtype=np.intp)
    declared = _declared_dtype(X, is_categorical)
    return Table(
        numbers, np.column_stack(codes), list(categories), is_categorical, n_frequent, declared
    )


def _read(column, read, *kind):
    """Read a column, and name it in what its library may raise."""
    try:
        return read(column, *kind)
    except Exception as error:
        if str(column) in str(error):
            raise
        raise ValueError(f"X must hold numbers, dates or levels in {column}: {error}") from error


def _numbers(column, kind):
    found = column.kind()
    is_right = found in (None, kind) or (kind, found) == (NUMBER, CATEGORY)
    if is_right or all(map(is_missing, column.objects())):
        return column.numbers()
    raise ValueError(
        f"X must hold {_PLURAL[kind]} in {column}, as in fit, got {_PLURAL[found]} "
        f"({column.dtype})."
    )


def _common_dtype(arrays):
    has_32_bits = np.result_type(*[array.dtype for array in arrays]) in (np.float16, np.float32)
    return np.float32 if has_32_bits else np.float64


def _declared_dtype(X, is_categorical):
    """Return the common dtype of the columns of numbers, which no value changes."""
    one = {dtype: j for j, dtype in enumerate(dtypes_of(X)) if not is_categorical[j]}  # of each
    columns = [column.values for column in columns_of(X, list(one.values()))]
    empty = [values.iloc[:0] if hasattr(values, "iloc") else values[:0] for values in columns]
    return _common_dtype([Column("", values).numbers() for values in empty] or [np.float32(0)])


def _narrowest_dtype(blocks):
    with np.errstate(over="ignore"):
        has_32_bits = all(
            np.array_equal(block, block.astype(np.float32), equal_nan=True) for _, block in blocks
        )
    return np.float32 if has_32_bits else np.float64


def _joined(blocks, is_categorical, n_rows, dtype):
    """Return the columns of numbers, in their order, as one array."""
    place = np.cumsum(~is_categorical) - 1
    array = np.empty((n_rows, np.count_nonzero(~is_categorical)), dtype=dtype)
    for indices, block in blocks:
        array[:, place[indices]] = block.reshape(n_rows, len(indices))
    return array


def _codes_and_categories(column):
    codes, categories = column.categories()
    codes = np.where(codes < 0, len(categories), codes)
    return codes.astype(np.min_scalar_type(len(categories))), objects_of([*categories, None])
