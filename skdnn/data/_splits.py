"""Rows held out, to see when to stop: a share of them, or for each network of several a fold."""

from itertools import islice

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, train_test_split

_FEWEST_FOLDS = 5


def count_folds(n_networks):
    """Return into how many folds the rows are cut for M networks."""
    return max(n_networks, _FEWEST_FOLDS)


def fold_out(y, n_networks, seed, groups=None):
    """Give each network another fold of the rows to watch, and the others to train on.

    Parameters
    ----------
    y : array of int of shape (m,)
        0 or 1; each fold has about the same share of both.
    n_networks : int
        M. The rows are cut into M folds, but into 5 at least.
    seed : int
    groups : array of shape (m,) or None, default=None
        Rows of the same group stay in the same fold.

    Returns
    -------
    training, held_out : arrays of int of shape (M, rows)
        Indices. Where folds differ in size, -1 fills up the shorter ones.

    Raises
    ------
    ValueError
        If there are too few rows, or groups, of a class.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data import fold_out
    >>> training, held_out = fold_out(np.array([0, 1] * 10), 5, seed=0)
    >>> training.shape, held_out.shape, sorted(held_out.ravel().tolist()) == list(range(20))
    ((5, 16), (5, 4), True)
    """
    n_folds = count_folds(n_networks)
    n_units = np.bincount(y, minlength=2) if groups is None else [len(np.unique(groups))]
    if min(n_units) < n_folds:
        what = "rows of each class" if groups is None else "groups"
        raise ValueError(
            f"n_networks={n_networks} with early stopping must find at least {n_folds} {what}, one "
            f"for each fold, got {min(n_units)}. Use early_stopping=False."
        )
    folds = StratifiedKFold if groups is None else StratifiedGroupKFold
    splits = folds(n_folds, shuffle=True, random_state=seed).split(y, y, groups)
    training, held_out = zip(*islice(splits, n_networks), strict=True)
    return _filled(training), _filled(held_out)


def _filled(rows):
    """Return index arrays of different lengths as the rows of one, filled up with -1."""
    filled = np.full((len(rows), max(map(len, rows))), -1)
    for row, index in zip(filled, rows, strict=True):
        row[: len(index)] = index
    return filled


def hold_out(y, fraction, seed):
    """Split rows at random into those to train on and those to watch, by class.

    Parameters
    ----------
    y : array of int of shape (m,)
        0 or 1.
    fraction : float
        Share of the rows to hold out.
    seed : int

    Returns
    -------
    training, held_out : arrays of int
        Sorted indices.

    Raises
    ------
    ValueError
        If a class would be missing on one side.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data import hold_out
    >>> training, held_out = hold_out(np.array([0] * 8 + [1] * 8), 0.25, seed=0)
    >>> len(training), len(held_out)
    (12, 4)
    """
    try:
        training, held_out = train_test_split(
            np.arange(len(y)), test_size=fraction, stratify=y, random_state=seed
        )
    except ValueError as error:
        raise ValueError(
            f"early_stopping must find rows of both classes to hold out, but validation_fraction="
            f"{fraction} of {len(y)} rows, {np.bincount(y, minlength=2).min()} of the rarer class, "
            f"is too few. Use early_stopping=False."
        ) from error
    return np.sort(training), np.sort(held_out)
