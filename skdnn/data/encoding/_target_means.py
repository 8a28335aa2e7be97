"""What y is on average in the rows of a level, which tells levels that are too rare to be learned.

The mean of few rows says little, so each is drawn towards the mean of all rows [1]_. A row to train
on must not see its own y there: it gets the mean of the rows that lie in other folds.

.. [1] D. Micci-Barreca, "A preprocessing scheme for high-cardinality categorical attributes in
   classification and prediction problems", SIGKDD Explorations 3, 2001.
"""

import numpy as np

from skdnn.data.frames import Table
from skdnn.processes import SINGLE_PROCESS

# The mean of all rows counts as much as so many rows of the level.
_ROWS_OF_ALL = 10.0
_N_FOLDS = 5


def columns_with_means(X):
    """Return which columns of levels have some that are not told apart; none but in a Table."""
    if not isinstance(X, Table):
        return np.empty(0, dtype=np.intp)
    return np.flatnonzero(X.n_frequent < [len(categories) for categories in X.categories])


def target_means(X, y, weight, processes=SINGLE_PROCESS):
    """Return the means of y in the levels of a Table, column after column.

    ``(Σ w y + 10 ȳ) / (Σ w + 10)``, for weights that are 1 on average; behind those of a column ȳ
    alone, for any other level.

    Parameters
    ----------
    X : Table
    y : array of shape (m,) or (m, k)
    weight : array of shape (m,)
        Rows of weight 0 do not count.
    processes : SingleProcess or Communicator, default=SINGLE_PROCESS
        Of those that have the other rows.

    Returns
    -------
    n_means : array of int of shape (t,)
        Of each column.
    means : array of shape (Σ n_means, k)

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data.frames import read_columns
    >>> from skdnn.data.encoding._target_means import target_means
    >>> names = np.array([["a"]] * 30 + [["b"]] * 10, dtype=object)
    >>> X = read_columns(names, ["category"]).recoded([["a", "b"]], n_frequent=np.array([1]))
    >>> n_means, means = target_means(X, np.repeat([1.0, 0.0], [30, 10]), np.ones(40))
    >>> n_means, means.ravel().round(3)
    (array([3]), array([0.938, 0.375, 0.75 ]))
    """
    columns = columns_with_means(X)
    one_fold = np.zeros(len(X), dtype=np.intp)
    found = []
    for sums, totals, mean in _sums(X, columns, y, weight, one_fold, processes):
        sums[0, -1] = totals[0, -1] = 0  # of any other level nothing is known
        found.append(_drawn_to(mean, sums[0], totals[0]))
    return np.array([len(means) for means in found]), np.concatenate(found)


def out_of_fold_means(X, y, weight, fold, processes=SINGLE_PROCESS):
    """Return for each row of a Table the means of its levels over the rows of other folds.

    Parameters
    ----------
    X, y, weight, processes
        As in `target_means`.
    fold : array of int of shape (m,)
        From 0 on.

    Returns
    -------
    array of shape (m, t * k)
    """
    columns = columns_with_means(X)
    found = []
    of_columns = _sums(X, columns, y, weight, fold, processes)
    for j, (sums, totals, mean) in zip(columns, of_columns, strict=True):
        means = _drawn_to(mean, sums.sum(axis=0) - sums, totals.sum(axis=0) - totals)
        found.append(means[fold, X.codes[:, j]])
    return np.hstack(found)


def assign_folds(n_rows, seed, groups=None):
    """Return for each row a fold, at random; rows of the same group share one.

    Parameters
    ----------
    n_rows : int
    seed : int
    groups : array of int of shape (n_rows,) or None, default=None
    """
    groups = np.arange(n_rows) if groups is None else np.unique(groups, return_inverse=True)[1]
    return (np.random.default_rng(seed).permutation(groups.max() + 1) % _N_FOLDS)[groups]


def _sums(X, columns, y, weight, fold, processes):
    """Yield for each column ``Σ w y`` and ``Σ w`` by fold and level, and the mean of all rows."""
    n_rows, total = processes.allreduce(np.array([np.count_nonzero(weight), weight.sum()]))
    weight = weight * (n_rows / total)
    y = y if y.ndim == 2 else y[:, None]
    terms = np.column_stack([weight[:, None] * y, weight])
    mean = processes.allreduce(terms[:, :-1].sum(axis=0)) / n_rows
    n_folds = int(processes.allreduce_max(fold.max(initial=0, keepdims=True)).item()) + 1
    for j in columns:
        shape = n_folds, len(X.categories[j]) + 1
        place = fold * shape[1] + X.codes[:, j]
        sums = [np.bincount(place, term, minlength=shape[0] * shape[1]) for term in terms.T]
        sums = processes.allreduce(np.stack(sums, axis=-1).reshape(*shape, -1))
        yield sums[..., :-1], sums[..., -1:], mean


def _drawn_to(mean, sums, totals):
    return (sums + _ROWS_OF_ALL * mean) / (totals + _ROWS_OF_ALL)
