"""Target encoding: the mean of y in each category, for columns with rare categories.

A category of few rows has an unreliable mean, so it is shrunk towards the mean of all rows [1]_.
A training row must not see its own y: it gets the means of the other folds.

.. [1] D. Micci-Barreca, "A preprocessing scheme for high-cardinality categorical attributes in
   classification and prediction problems", SIGKDD Explorations 3, 2001.
"""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from skdnn.data.frames import Table

from ._block import BlockModule
from ._statistics import Matrix, WeightedColumns

# The mean of all rows counts as much as this many rows of the category.
_SMOOTHING = 10.0
_N_FOLDS = 5
_no_integers = partial(np.empty, 0, dtype=np.intp)


class TargetMeansModule(BlockModule):
    """The module of TargetMeans."""

    mean_column: torch.Tensor
    n_means: torch.Tensor
    category_mean: torch.Tensor

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the target means for the codes of categories, of shape (n, q)."""
        codes, n_known = codes[:, self.mean_column], self.n_means - 1
        is_known = (codes >= 0) & (codes < n_known)
        first = self.n_means.cumsum(0) - self.n_means
        positions = torch.where(is_known, codes, n_known).long() + first
        return self.category_mean[positions].flatten(1)


@dataclass(frozen=True)
class TargetMeans:
    """The shrunk mean of y in each category, ``(Σ w y + 10 ȳ) / (Σ w + 10)``.

    The weights are scaled to a mean of 1. Unknown categories have the mean of all rows, ȳ. The
    blocks of an Encoder take the target means for numbers, behind those of X.

    Attributes
    ----------
    mean_column, n_means : arrays of int of shape (t,)
        Which of the categorical columns have target means, and how many; the last one is that of
        unknown categories.
    category_mean : array of shape (Σ n_means, k)
        The target means, for k outputs.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data.frames import read_columns
    >>> from skdnn.data.encoding import TargetMeans, WeightedColumns
    >>> names = np.array([["a"]] * 30 + [["b"]] * 10, dtype=object)
    >>> X = read_columns(names, ["category"]).recoded([["a", "b"]], n_frequent=np.array([1]))
    >>> y = np.repeat([1.0, 0.0], [30, 10])
    >>> means = TargetMeans.fit(WeightedColumns(X, np.ones(40), y))
    >>> means.n_means, means.category_mean.ravel().round(3)
    (array([3]), array([0.938, 0.375, 0.75 ]))
    """

    mean_column: np.ndarray = field(default_factory=_no_integers)
    n_means: np.ndarray = field(default_factory=_no_integers)
    category_mean: np.ndarray = field(default_factory=partial(np.empty, (0, 1)))

    @classmethod
    def fit(cls, columns: WeightedColumns) -> "TargetMeans":
        """Learn the target means; none without y or without rare categories."""
        mean_column = columns_with_rare_categories(columns.X)
        if columns.y is None or not len(mean_column):
            return cls()
        one_fold = np.zeros(len(columns.X), dtype=np.intp)
        means = []
        for sums, totals, mean in columns.sums_by_category(mean_column, one_fold):
            sums[0, -1] = totals[0, -1] = 0  # rows of unknown categories
            means.append(_shrunk(sums[0], totals[0], mean))
        n_means = np.array([len(of_column) for of_column in means])
        return cls(mean_column, n_means, np.concatenate(means))

    @property
    def n_outputs(self) -> int:
        """The number of columns of target means."""
        return self.category_mean.shape[1] * len(self.mean_column)

    def append(self, X: Any) -> Any:
        """Return a Table with target means: those that it has, or else those of its categories."""
        if not self.n_outputs or not isinstance(X, Table) or X.means is not None:
            return X
        codes = torch.from_numpy(X.codes.astype(np.int64))
        return replace(X, means=TargetMeansModule(self)(codes).numpy())


def columns_with_rare_categories(X: Table | Matrix) -> np.ndarray:
    """Return which categorical columns have rare categories; none for anything but a Table."""
    if not isinstance(X, Table):
        return np.empty(0, dtype=np.intp)
    return np.flatnonzero(X.n_frequent < [len(categories) for categories in X.categories])


def out_of_fold_means(columns: WeightedColumns, fold: np.ndarray) -> np.ndarray:
    """Return the target means of each row's categories over the rows of the other folds.

    Parameters
    ----------
    columns : WeightedColumns of a Table, with y
    fold : array of int of shape (m,)
        From 0.

    Returns
    -------
    array of shape (m, t * k)
    """
    mean_column = columns_with_rare_categories(columns.X)
    found = columns.sums_by_category(mean_column, fold)
    means = []
    for j, (sums, totals, mean) in zip(mean_column, found, strict=True):
        of_others = _shrunk(sums.sum(axis=0) - sums, totals.sum(axis=0) - totals, mean)
        means.append(of_others[fold, columns.X.codes[:, j]])
    return np.hstack(means)


def assign_folds(n_rows: int, seed: int, groups: np.ndarray | None = None) -> np.ndarray:
    """Return a random fold for each row; rows of the same group are in the same fold.

    Parameters
    ----------
    n_rows : int
    seed : int
    groups : array of int of shape (n_rows,) or None, default=None
    """
    groups = np.arange(n_rows) if groups is None else np.unique(groups, return_inverse=True)[1]
    return (np.random.default_rng(seed).permutation(groups.max() + 1) % _N_FOLDS)[groups]


def _shrunk(sums: np.ndarray, totals: np.ndarray, mean: np.ndarray) -> np.ndarray:
    return (sums + _SMOOTHING * mean) / (totals + _SMOOTHING)
