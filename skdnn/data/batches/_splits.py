"""Rows held out for early stopping: a fraction of them, or another fold for each network."""

from itertools import islice
from operator import itemgetter

import numpy as np
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
    StratifiedShuffleSplit,
)

# The fewest folds; without a number of networks, the number of folds.
N_FOLDS = 5
# Number of random splits by groups, the best of which is taken.
_N_GROUP_SPLITS = 50
# Key: (whether there are strata, whether there are groups).
_FOLDS = {
    (False, False): KFold,
    (False, True): GroupKFold,
    (True, False): StratifiedKFold,
    (True, True): StratifiedGroupKFold,
}


def count_folds(n_networks: int) -> int:
    """Return the number of folds for M networks."""
    return max(n_networks, N_FOLDS)


def make_folds(
    n_rows: int,
    n_networks: int,
    seed: int,
    groups: np.ndarray | None = None,
    strata: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return for each network the rows to train on and another fold of held-out rows.

    Parameters
    ----------
    n_rows : int
        m.
    n_networks : int
        M. The rows are split into M folds, but at least 5.
    seed : int
    groups : array of shape (m,) or None, default=None
        Rows of the same group are in the same fold.
    strata : array of int of shape (m,) or None, default=None
        Class of each row, from 0; the fraction of each class is about the same in all folds.

    Returns
    -------
    training, held_out : arrays of int of shape (M, rows)
        Indices. If folds differ in size, the shorter ones are padded with -1.

    Raises
    ------
    ValueError
        If there are too few rows, rows of a class or groups.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data.batches import make_folds
    >>> training, held_out = make_folds(20, 5, seed=0, strata=np.array([0, 1] * 10))
    >>> training.shape, held_out.shape, sorted(held_out.ravel().tolist()) == list(range(20))
    ((5, 16), (5, 4), True)
    """
    n_folds, n_units, units = count_folds(n_networks), n_rows, "rows"
    if groups is not None:
        n_units, units = len(np.unique(groups)), "groups"
    elif strata is not None:
        n_units, units = np.bincount(strata).min(), "rows of each class"
    if n_units < n_folds:
        raise ValueError(
            f"Early stopping of n_networks={n_networks} needs at least {n_folds} {units}, one for "
            f"each fold, got {n_units}. Use early_stopping=False."
        )
    folds = _FOLDS[strata is not None, groups is not None](n_folds, shuffle=True, random_state=seed)
    splits = list(islice(folds.split(np.empty((n_rows, 0)), strata, groups), n_networks))
    training, held_out = (
        np.full((n_networks, max(map(len, indices))), -1) for indices in zip(*splits, strict=True)
    )
    for k, (of_training, of_held_out) in enumerate(splits):
        training[k, : len(of_training)] = of_training
        held_out[k, : len(of_held_out)] = of_held_out
    return training, held_out


def hold_out(
    n_rows: int,
    fraction: float,
    seed: int,
    strata: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Split rows at random into training rows and held-out rows.

    Parameters
    ----------
    n_rows : int
        m.
    fraction : float
        Fraction of the rows to hold out.
    seed : int
    strata : array of int of shape (m,) or None, default=None
        Class of each row, from 0; the fraction of each class is about the same on both sides.
    groups : array of int of shape (m,) or None, default=None
        Rows of the same group are on the same side.

    Returns
    -------
    training, held_out : arrays of int
        Sorted indices.

    Raises
    ------
    ValueError
        If one side would have no rows, or none of a class.

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
            splits = (ShuffleSplit if strata is None else StratifiedShuffleSplit)(
                n_splits=1, test_size=fraction, random_state=seed
            )
            training, held_out = next(splits.split(np.empty((n_rows, 0)), strata))
        else:
            training, held_out = _hold_out_groups(fraction, seed, strata, groups)
    except ValueError as error:
        rows, rarest = "rows", ""
        if strata is not None:
            rows, rarest = "rows of each class", f", {np.bincount(strata).min()} of the rarest,"
        in_groups = "" if groups is None else f" in {groups.max() + 1} groups"
        raise ValueError(
            f"early_stopping must find {rows} to hold out, but validation_fraction={fraction} of "
            f"{n_rows} rows{rarest}{in_groups} is too few. Use early_stopping=False."
        ) from error
    return np.sort(training), np.sort(held_out)


def _hold_out_groups(
    fraction: float, seed: int, strata: np.ndarray | None, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the random split by groups that holds out the fraction of each stratum best.

    scikit-learn has no stratified split by groups with a fraction of any size.
    """
    strata = np.zeros(len(groups), dtype=np.intp) if strata is None else strata
    counts = np.bincount(strata)
    candidates = []
    splits = GroupShuffleSplit(_N_GROUP_SPLITS, test_size=fraction, random_state=seed)
    for training, held_out in splits.split(strata, groups=groups):
        n_held_out = np.bincount(strata[held_out], minlength=len(counts))
        if ((n_held_out > 0) & (n_held_out < counts)).all():
            distance = np.abs(n_held_out - fraction * counts).sum()
            candidates.append((distance, training, held_out))
    if not candidates:
        raise ValueError("No split by groups leaves rows of each class on both sides.")
    _, training, held_out = min(candidates, key=itemgetter(0))
    return training, held_out
