"""Target encoding: the mean of y in each category, for columns with rare categories.

A category of few rows has an unreliable mean, so it is shrunk towards the mean of all rows [1]_.
A training row must not see its own y: it gets the means of the other folds.

.. [1] D. Micci-Barreca, "A preprocessing scheme for high-cardinality categorical attributes in
   classification and prediction problems", SIGKDD Explorations 3, 2001.
"""

from collections.abc import Iterator

import numpy as np

from skdnn.data.frames import Table
from skdnn.processes import SINGLE_PROCESS, SingleProcess

from ._statistics import Matrix

# The mean of all rows counts as much as this many rows of the category.
_SMOOTHING = 10.0
_N_FOLDS = 5


def columns_with_rare_categories(X: Table | Matrix) -> np.ndarray:
    """Return which categorical columns have rare categories; none for anything but a Table."""
    if not isinstance(X, Table):
        return np.empty(0, dtype=np.intp)
    return np.flatnonzero(X.n_frequent < [len(categories) for categories in X.categories])


def target_means(
    X: Table, y: np.ndarray | None, weight: np.ndarray, processes: SingleProcess = SINGLE_PROCESS
) -> dict[str, np.ndarray]:
    """Return the shrunk mean of y in each category, ``(Σ w y + 10 ȳ) / (Σ w + 10)``.

    The weights are scaled to a mean of 1. Unknown categories have the mean of all rows, ȳ.

    Parameters
    ----------
    X : Table
    y : array of shape (m,) or (m, k), or None
        None for no target encoding.
    weight : array of shape (m,)
        Rows of weight 0 do not count.
    processes : SingleProcess or Communicator, default=SINGLE_PROCESS
        The processes among which the rows are distributed.

    Returns
    -------
    dict of arrays
        As an Encoder names them; empty without y or without rare categories. "mean_column", of
        shape (t,): the encoded columns. "n_means", of shape (t,): how many means each has, the
        last one for unknown categories. "category_mean", of shape (Σ n_means, k): column after
        column.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data.frames import read_columns
    >>> from skdnn.data.encoding._target_means import target_means
    >>> names = np.array([["a"]] * 30 + [["b"]] * 10, dtype=object)
    >>> X = read_columns(names, ["category"]).recoded([["a", "b"]], n_frequent=np.array([1]))
    >>> means = target_means(X, np.repeat([1.0, 0.0], [30, 10]), np.ones(40))
    >>> means["n_means"], means["category_mean"].ravel().round(3)
    (array([3]), array([0.938, 0.375, 0.75 ]))
    """
    columns = columns_with_rare_categories(X)
    if y is None or not len(columns):
        return {}
    one_fold = np.zeros(len(X), dtype=np.intp)
    means = []
    for sums, totals, mean in _sums(X, columns, y, weight, one_fold, processes):
        sums[0, -1] = totals[0, -1] = 0  # rows of unknown categories
        means.append(_shrunk(sums[0], totals[0], mean))
    return {
        "mean_column": columns,
        "n_means": np.array([len(of_column) for of_column in means]),
        "category_mean": np.concatenate(means),
    }


def out_of_fold_means(
    X: Table,
    y: np.ndarray,
    weight: np.ndarray,
    fold: np.ndarray,
    processes: SingleProcess = SINGLE_PROCESS,
) -> np.ndarray:
    """Return the target means of each row's categories over the rows of the other folds.

    Parameters
    ----------
    X, y, weight, processes
        As in `target_means`.
    fold : array of int of shape (m,)
        From 0.

    Returns
    -------
    array of shape (m, t * k)
    """
    columns = columns_with_rare_categories(X)
    means = []
    found = _sums(X, columns, y, weight, fold, processes)
    for j, (sums, totals, mean) in zip(columns, found, strict=True):
        of_others = _shrunk(sums.sum(axis=0) - sums, totals.sum(axis=0) - totals, mean)
        means.append(of_others[fold, X.codes[:, j]])
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


def _sums(
    X: Table,
    columns: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    fold: np.ndarray,
    processes: SingleProcess,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield for each column ``Σ w y`` and ``Σ w`` by fold and category, and the mean of all rows.

    The sums are of shape (n_folds, n_categories + 1, k) and (n_folds, n_categories + 1, 1).
    """
    n_rows, total = processes.allreduce(np.array([np.count_nonzero(weight), weight.sum()]))
    weight = weight * (n_rows / total)
    y = y if y.ndim == 2 else y[:, None]
    terms = np.column_stack([weight[:, None] * y, weight])
    mean = processes.allreduce(terms[:, :-1].sum(axis=0)) / n_rows
    n_folds = int(processes.allreduce_max(fold.max(initial=0, keepdims=True)).item()) + 1
    for j in columns:
        shape = n_folds, len(X.categories[j]) + 1
        position = fold * shape[1] + X.codes[:, j]
        counts = [np.bincount(position, term, minlength=shape[0] * shape[1]) for term in terms.T]
        sums = processes.allreduce(np.stack(counts, axis=-1).reshape(*shape, -1))
        yield sums[..., :-1], sums[..., -1:], mean


def _shrunk(sums: np.ndarray, totals: np.ndarray, mean: np.ndarray) -> np.ndarray:
    return (sums + _SMOOTHING * mean) / (totals + _SMOOTHING)
