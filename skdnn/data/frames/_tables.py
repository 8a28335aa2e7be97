"""Tables of numbers and codes of categories.

A category that is rare or was not seen in fit is encoded as "other"; a missing value is a category
like any other. Rare categories that occur again and again are kept for target encoding. Nothing in
this module depends on y.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from skdnn.processes import SINGLE_PROCESS, SingleProcess

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

    def with_categories_of_all_processes(self, processes: SingleProcess) -> "Table":
        """Return the Table with codes for all categories that the Tables of all processes have."""
        if processes.size == 1:
            return self
        of_all = zip(*processes.allgather(self.categories), strict=True)
        return self.recoded(
            [object_array(list(dict.fromkeys(chain(*categories)))) for categories in of_all]
        )

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

    def counts(
        self, weight: np.ndarray, processes: SingleProcess = SINGLE_PROCESS
    ) -> list[np.ndarray]:
        """Return for each column the number of rows of each category and, last, of all others.

        Parameters
        ----------
        weight : array of shape (m,)
            Rows of weight 0 do not count.
        processes : SingleProcess or Communicator, default=SINGLE_PROCESS
            The processes that have the other rows.
        """
        codes = self.codes[weight > 0]
        return [
            processes.allreduce(np.bincount(column, minlength=len(categories) + 1))
            for column, categories in zip(codes.T, self.categories, strict=True)
        ]

    def frequent_categories(
        self, weight: np.ndarray, processes: SingleProcess = SINGLE_PROCESS
    ) -> list[np.ndarray]:
        """Return for each column the categories that are not rare, sorted.

        Parameters
        ----------
        weight, processes
            As of `counts`.
        """
        n_rows = int(processes.allreduce(np.array(np.count_nonzero(weight))))
        counts = self.counts(weight, processes)
        return [
            select_frequent(column[:-1], categories, n_rows)
            for column, categories in zip(counts, self.categories, strict=True)
        ]

    def rare_categories(
        self,
        frequent: Sequence[np.ndarray],
        weight: np.ndarray,
        min_fraction: float,
        processes: SingleProcess = SINGLE_PROCESS,
    ) -> list[np.ndarray]:
        """Return for each column the rare categories if target encoding them is worth it, or none.

        It is worth it if enough rows have a rare category that other rows have, too: the other
        rows say nothing of a category that occurs once.

        Parameters
        ----------
        frequent : list of q arrays
            The frequent categories.
        weight, processes
            As of `counts`.
        min_fraction : float
            More than this fraction of the rows must have such a category.
        """
        rare = []
        for counts, categories, some in zip(
            self.counts(weight, processes), self.categories, frequent, strict=True
        ):
            known = set(some)
            codes = [k for k in np.flatnonzero(counts[:-1]) if categories[k] not in known]
            n_repeated = counts[codes][counts[codes] > 1].sum()
            is_worth_it = n_repeated > min_fraction * counts.sum()
            rare.append(object_array([categories[k] for k in codes] if is_worth_it else []))
        return rare

    def fraction_of_others(
        self, weight: np.ndarray | None = None, processes: SingleProcess = SINGLE_PROCESS
    ) -> list[float]:
        """Return for each column of categories the fraction of its values that are "other".

        0 if all values are missing.

        Parameters
        ----------
        weight : array of shape (m,) or None, default=None
            Rows of weight 0 do not count.
        processes : SingleProcess or Communicator, default=SINGLE_PROCESS
            The processes that have the other rows.
        """
        counts = self.counts(np.ones(len(self)) if weight is None else weight, processes)
        fractions = []
        for column, categories in zip(counts, self.categories, strict=True):
            missing = [code for code, category in enumerate(categories) if category is None]
            n_values = np.delete(column, missing).sum()
            fractions.append(column[-1] / n_values if n_values else 0.0)
        return fractions


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


def select_frequent(
    counts: Sequence[int] | np.ndarray, categories: Sequence | np.ndarray, n_rows: int
) -> np.ndarray:
    """Return the categories that are not rare, sorted, given the number of rows of each."""
    min_rows = max(1, min(_MIN_ROWS, n_rows // _MIN_ROWS_FRACTION))
    counts = np.asarray(counts)
    most_frequent = np.argsort(-counts, kind="stable")[:_MOST_CATEGORIES]
    kept = [categories[code] for code in most_frequent if counts[code] >= min_rows]
    try:
        kept.sort(key=lambda category: (category is None, category))
    except TypeError:
        kept.sort(key=lambda category: (category is None, str(category)))
    return object_array(kept)
