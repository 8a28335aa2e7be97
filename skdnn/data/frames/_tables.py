"""Tables of numbers and codes of categories.

A category that is rare or was not seen in fit is encoded as "other"; a missing value is a category
like any other. Rare categories that occur again and again are kept for target encoding. Nothing in
this module depends on y.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ._columns import object_array

# A category in fewer rows than this is rare; in small data, one in fewer than a 20th of the rows.
_MIN_ROWS, _MIN_ROWS_FRACTION = 5, 20
# So many categories, and one code for the others, fit into 8 bits.
_MOST_CATEGORIES = 254


@dataclass(frozen=True)
class Table:
    """Rows of numbers and categories, indexed by rows like an array.

    Attributes
    ----------
    numbers : array of float32 of shape (m, p), of float64 if float32 would lose digits
    codes : array of unsigned int of shape (m, q)
        Indices into `categories`; their number stands for any other category.
    categories : list of q arrays
        None stands for a missing value.
    is_categorical : array of bool of shape (p + q,)
        Which columns of the frame hold categories.
    n_frequent : array of int of shape (q,)
        Number of frequent categories; the rare ones behind them are kept for target encoding.
    numbers_dtype : dtype
        Common dtype of the frame's columns of numbers, whatever their values are; float32 if there
        are none.
    means : array of shape (m, t) or None
        For training rows, the target means to use instead of those of their categories.
    """

    numbers: np.ndarray
    codes: np.ndarray
    categories: list[np.ndarray]
    is_categorical: np.ndarray
    n_frequent: np.ndarray
    numbers_dtype: Any = np.float32
    means: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns of the frame."""
        return len(self.numbers), len(self.is_categorical)

    @property
    def dtype(self) -> np.dtype:
        """float32, in which numbers that are standardised in float64 lose nothing."""
        return np.dtype(np.float32)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: slice | np.ndarray) -> "Table":
        means = None if self.means is None else self.means[rows]
        return replace(self, numbers=self.numbers[rows], codes=self.codes[rows], means=means)

    def with_used_categories(self) -> "Table":
        """Return the Table without the categories that no row has."""
        used = [np.unique(column) for column in self.codes.T]
        pairs = zip(used, self.categories, strict=True)
        return self.recoded(
            [categories[codes[codes < len(categories)]] for codes, categories in pairs]
        )

    def recoded(
        self, categories: list[np.ndarray], n_frequent: np.ndarray | None = None
    ) -> "Table":
        """Return the Table with codes for these categories, `n_frequent` of them frequent, or all.

        Parameters
        ----------
        categories : list of q arrays
        n_frequent : array of int of shape (q,) or None, default=None
        """
        lengths = np.array([len(now) for now in categories], dtype=np.intp)
        codes = np.empty(self.codes.shape, dtype=np.min_scalar_type(lengths.max()))
        for j, (before, now) in enumerate(zip(self.categories, categories, strict=True)):
            position = {category: code for code, category in enumerate(now)}
            new_code = [position.get(category, len(now)) for category in before] + [len(now)]
            codes[:, j] = np.array(new_code, dtype=codes.dtype)[self.codes[:, j]]
        n_frequent = lengths if n_frequent is None else n_frequent
        return replace(self, codes=codes, categories=categories, n_frequent=n_frequent)

    def counts(self, weight: np.ndarray) -> list[np.ndarray]:
        """Return for each column the number of rows of each category and, last, of all others.

        Parameters
        ----------
        weight : array of shape (m,)
            Rows of weight 0 do not count.
        """
        codes = self.codes[weight > 0]
        return [
            np.bincount(column, minlength=len(categories) + 1)
            for column, categories in zip(codes.T, self.categories, strict=True)
        ]


def fraction_of_others(counts: np.ndarray, categories: Sequence | np.ndarray) -> float:
    """Return the fraction of the values of a column that are none of its categories.

    0 if all values are missing.

    Parameters
    ----------
    counts : array of int
        Number of rows of each category and, last, of all others.
    categories : sequence
    """
    missing = [code for code, category in enumerate(categories) if category is None]
    n_values = np.delete(counts, missing).sum()
    return counts[-1] / n_values if n_values else 0.0


def add_categories(known: np.ndarray, n_frequent: int, found: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the known categories with new ones behind them, and the number of frequent ones.

    Parameters
    ----------
    known : array
        If rare categories are behind the frequent ones, no others can be added.
    n_frequent : int
        Number of known categories that are frequent.
    found : array
        Categories to add, as many as there is room for.
    """
    if n_frequent < len(known):
        return known, n_frequent
    categories = list(dict.fromkeys([*known, *found]))[:_MOST_CATEGORIES]
    return object_array(categories), len(categories)


def select_categories(
    counts: np.ndarray, categories: Sequence | np.ndarray, n_rows: int, min_fraction: float = 1.0
) -> tuple[np.ndarray, int]:
    """Return the categories of a column to distinguish, and how many of them are frequent.

    The frequent ones are first, sorted. The rare ones follow if target encoding them is worth it:
    if enough rows have a rare category that other rows have, too. The other rows say nothing of a
    category that occurs once.

    Parameters
    ----------
    counts : array of int
        Number of rows of each category.
    categories : sequence
    n_rows : int
    min_fraction : float, default=1.0
        More than this fraction of the rows must have a repeated rare category.
    """
    min_rows = max(1, min(_MIN_ROWS, n_rows // _MIN_ROWS_FRACTION))
    most_frequent = np.argsort(-counts, kind="stable")[:_MOST_CATEGORIES]
    frequent = [categories[code] for code in most_frequent if counts[code] >= min_rows]
    try:
        frequent.sort(key=lambda category: (category is None, category))
    except TypeError:
        frequent.sort(key=lambda category: (category is None, str(category)))
    known = set(frequent)
    rare = [code for code in np.flatnonzero(counts).tolist() if categories[code] not in known]
    n_repeated = counts[rare][counts[rare] > 1].sum()
    is_worth_it = n_repeated > min_fraction * n_rows
    chosen = [*frequent, *(categories[code] for code in rare if is_worth_it)]
    return object_array(chosen), len(frequent)
