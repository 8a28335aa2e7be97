"""Rows held out, to see when to stop: a share of them, or for each network of several a fold."""

from itertools import islice
from operator import itemgetter

import numpy as np
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    train_test_split,
)

_FEWEST_FOLDS = 5
# Random splits by groups, of which the best one is taken.
_DRAWS_OF_GROUPS = 50
# By whether there are strata, and groups.
_FOLDS = {
    (False, False): KFold,
    (False, True): GroupKFold,
    (True, False): StratifiedKFold,
    (True, True): StratifiedGroupKFold,
}


def count_folds(n_networks):
    """Return into how many folds the rows are cut for M networks."""
    return max(n_networks, _FEWEST_FOLDS)


def make_folds(n_rows, n_networks, seed, groups=None, strata=None):
    """Give each network another fold of the rows to watch, and the others to train on.

    Parameters
    ----------
    n_rows : int
        m.
    n_networks : int
        M. The rows are cut into M folds, but into 5 at least.
    seed : int
    groups : array of shape (m,) or None, default=None
        Rows of the same group stay in the same fold.
    strata : array of int of shape (m,) or None, default=None
        0 or 1; each fold has about the same share of both.

    Returns
    -------
    training, held_out : arrays of int of shape (M, rows)
        Indices. Where folds differ in size, -1 fills up the shorter ones.

    Raises
    ------
    ValueError
        If there are too few rows, of a class or at all, or groups.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data.batches import make_folds
    >>> training, held_out = make_folds(20, 5, seed=0, strata=np.array([0, 1] * 10))
    >>> training.shape, held_out.shape, sorted(held_out.ravel().tolist()) == list(range(20))
    ((5, 16), (5, 4), True)
    """
    n_folds = count_folds(n_networks)
    n_units, what = _count_units(n_rows, groups, strata)
    if n_units < n_folds:
        raise ValueError(
            f"n_networks={n_networks} with early stopping must find at least {n_folds} {what}, one "
            f"for each fold, got {n_units}. Use early_stopping=False."
        )
    folds = _FOLDS[strata is not None, groups is not None](n_folds, shuffle=True, random_state=seed)
    splits = folds.split(np.empty((n_rows, 0)), strata, groups)
    training, held_out = zip(*islice(splits, n_networks), strict=True)
    return _filled(training), _filled(held_out)


def _count_units(n_rows, groups, strata):
    """Return how many there are of what a fold needs one of, and what that is."""
    if groups is not None:
        return len(np.unique(groups)), "groups"
    if strata is not None:
        return np.bincount(strata, minlength=2).min(), "rows of each class"
    return n_rows, "rows"


def _filled(rows):
    """Return index arrays of different lengths as the rows of one, filled up with -1."""
    filled = np.full((len(rows), max(map(len, rows))), -1)
    for row, index in zip(filled, rows, strict=True):
        row[: len(index)] = index
    return filled


def hold_out(n_rows, fraction, seed, strata=None, groups=None):
    """Split rows at random into training rows and held-out rows.

    Parameters
    ----------
    n_rows : int
        m.
    fraction : float
        Fraction of the rows to hold out.
    seed : int
    strata : array of int of shape (m,) or None, default=None
        0 or 1; both sides have about the same fraction of both.
    groups : array of int of shape (m,) or None, default=None
        Rows of the same group stay on the same side.

    Returns
    -------
    training, held_out : arrays of int
        Sorted indices.

    Raises
    ------
    ValueError
        If nothing, or nothing of a class, would be left on one side.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data.batches import hold_out
    >>> training, held_out = hold_out(16, 0.25, seed=0, strata=np.array([0] * 8 + [1] * 8))
    >>> len(training), len(held_out)
    (12, 4)
    """
    try:
        if groups is None:
            training, held_out = train_test_split(
                np.arange(n_rows), test_size=fraction, stratify=strata, random_state=seed
            )
        else:
            training, held_out = _hold_out_groups(fraction, seed, strata, groups)
    except ValueError as error:
        what, rarer = "rows", ""
        if strata is not None:
            what = "rows of both classes"
            rarer = f", {np.bincount(strata, minlength=2).min()} of the rarer class,"
        of_groups = "" if groups is None else f" in {groups.max() + 1} groups"
        raise ValueError(
            f"early_stopping must find {what} to hold out, but validation_fraction={fraction} of "
            f"{n_rows} rows{rarer}{of_groups} is too few. Use early_stopping=False."
        ) from error
    return np.sort(training), np.sort(held_out)


def _hold_out_groups(fraction, seed, strata, groups):
    """Return that one of several random splits by groups which holds out the fraction best.

    Of each stratum, since scikit-learn has no split by groups that is stratified and of any size.
    """
    strata = np.zeros(len(groups), dtype=np.intp) if strata is None else strata
    counts = np.bincount(strata)
    candidates = []
    splits = GroupShuffleSplit(_DRAWS_OF_GROUPS, test_size=fraction, random_state=seed)
    for training, held_out in splits.split(strata, groups=groups):
        n_held_out = np.bincount(strata[held_out], minlength=len(counts))
        if ((n_held_out > 0) & (n_held_out < counts)).all():
            distance = np.abs(n_held_out - fraction * counts).sum()
            candidates.append((distance, training, held_out))
    if not candidates:
        raise ValueError("No split by groups leaves rows of each class on both sides.")
    return min(candidates, key=itemgetter(0))[1:]
