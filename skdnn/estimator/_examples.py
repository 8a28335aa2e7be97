"""Examples: from what the user passes to checked rows.

Arrays of numbers, tensors and sparse matrices stay what they are, a tensor on its device; frames
and arrays of objects are read column by column. scikit-learn's checks learn and compare the number
and names of the features.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.utils.validation import check_array, check_X_y, validate_data

from skdnn.data import (
    Table,
    add_levels,
    at_hand,
    check_weights,
    columns_with_infinity,
    encode_groups,
    find_kinds,
    is_of_sparse_columns,
    is_plain,
    read_columns,
    to_host,
)
from skdnn.watching import warn

# A column of levels that says nothing of so many of its values is worth a warning, where there are
# more than a few.
NEARLY_ALL, FEW_ROWS = 0.95, 20
# By `target_encoding`: means are learned of a column's rare levels where those that come again make
# up more than this share of the rows.
SHARE_WORTH_MEANS = {True: 0.0, "auto": 0.02, False: 1.0}


@dataclass(frozen=True)
class Examples:
    """Checked data.

    Attributes
    ----------
    X : array, Table, CSR matrix or tensor of shape (n_samples, n_features)
    y : array of shape (n_samples,), or (n_samples, n_outputs) for several numbers
        As the target encodes it: 0 or 1, or numbers in the user's units.
    weight : array of shape (n_samples,)
        Of each row: sample weight, times class weight where there is such a thing.
    target : TwoClasses or RealNumbers
        What y holds.
    groups : array of int of shape (n_samples,) or None
        What belongs together.
    watched : Examples or None
        The rows that the user wants watched.
    before : estimator or None
        Fitted before, where training goes on: what its columns hold stays.
    """

    X: Any
    y: np.ndarray
    weight: np.ndarray
    target: Any
    groups: np.ndarray | None = None
    watched: Any = None
    before: Any = None

    def take(self, index):
        """Return the Examples of some rows."""
        return Examples(self.X[index], self.y[index], self.weight[index], self.target)


def read_examples(estimator, parameters, X, y, sample_weight, groups, X_val, y_val):
    """Return the Examples of a fit."""
    before = estimator if parameters.warm_start and hasattr(estimator, "coefs_") else None
    X, y = read_data(estimator, X, y, learn_by=parameters if before is None else None)
    target = estimator._task.target.learn(y)
    examples = _weighted(estimator, parameters, X, y, target, sample_weight)
    target.check(examples.y, examples.weight)
    return replace(
        _with_known_levels(estimator, parameters, examples),
        groups=_read_groups(groups, len(y)),
        watched=_read_watched(estimator, parameters, X_val, y_val, target),
        before=before,
    )


def read_more(estimator, parameters, X, y, sample_weight, target=None):
    """Return the Examples of a call of partial_fit.

    In the first one the target is learned from y, unless it is given.
    """
    before = estimator if hasattr(estimator, "coefs_") else None
    X, y = read_data(
        estimator, X, y, learn_by=parameters if before is None else None, recodes=False
    )
    if target is None:
        kind = estimator._task.target
        target = kind.learn(y) if before is None else kind.known(vars(before))
    examples = _weighted(estimator, parameters, X, y, target, sample_weight)
    return replace(_with_more_levels(estimator, examples), before=before)


def _read_groups(groups, n_rows):
    if groups is None:
        return None
    groups = encode_groups(groups)
    if len(groups) != n_rows:
        raise ValueError(
            "groups must be one for each row, found inconsistent numbers of samples: "
            f"{[n_rows, len(groups)]}."
        )
    return groups


def _read_watched(estimator, parameters, X_val, y_val, target):
    if (X_val is None) != (y_val is None):
        raise ValueError("X_val and y_val must be given together, got one of them.")
    if X_val is None:
        return None
    try:
        X, y = read_data(estimator, X_val, y_val, name="y_val")
    except (TypeError, ValueError) as error:
        kept = TypeError if isinstance(error, TypeError) else ValueError
        raise kept(f"X_val and y_val must be such as X and y: {error}") from error
    return _weighted(estimator, parameters, X, y, target, name="y_val")


def _weighted(estimator, parameters, X, y, target, sample_weight=None, name="y"):
    y, weight = target.encode(y, name), check_weights(sample_weight, X.shape[0])
    return Examples(X, y, estimator._task.weigh(parameters, target, y, weight), target)


def read_data(estimator, X, *y, learn_by=None, name="y", recodes=True):
    """Return X, and y where one is passed, checked.

    Parameters
    ----------
    estimator : NetworkEstimator
        What each column of X holds, and where they are known already, the levels.
    X : {array-like, sparse matrix, data frame, tensor} of shape (n_samples, n_features)
    *y : array-like or tensor of shape (n_samples,) or (n_samples, n_outputs)
    learn_by : object or None, default=None
        The parameters by which the estimator learns number, names and kinds of the columns; with
        None they must be those that it knows.
    name : str, default="y"
        Of y, for errors.
    recodes : bool, default=True
        Give levels the codes of those that are known already.
    """
    if isinstance(X, Table):
        return X
    X = at_hand(X)
    reset = learn_by is not None
    if reset:
        _learn_columns(estimator, X, learn_by.categorical_features)
    y = [estimator._task.target.plain(values, name) for values in y]
    if estimator.column_kinds_ is not None or not is_plain(X):
        return _read_columns(estimator, X, y, reset, recodes)
    if isinstance(X, torch.Tensor):
        return _read_tensor(estimator, X, y, reset)
    return _read_array(estimator, X, y, reset)


def _learn_columns(estimator, X, categorical_features):
    estimator.column_kinds_ = estimator.is_categorical_ = estimator.categories_ = None
    has_names = not isinstance(categorical_features, str | None) and len(categorical_features) > 0
    if len(X.shape) != 2 or (is_plain(X) and not has_names):
        return
    if sparse.issparse(X):
        raise ValueError("X must be dense where categorical_features names columns, got sparse X.")
    estimator.column_kinds_ = find_kinds(to_host(X), categorical_features)
    if estimator.column_kinds_ is not None:
        is_categorical = np.array([kind == "levels" for kind in estimator.column_kinds_])
        estimator.is_categorical_ = is_categorical if is_categorical.any() else None


def _read_columns(estimator, X, y, reset, recodes):
    X = to_host(X.toarray() if sparse.issparse(X) else X)
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    checked = _check_shape(estimator, X, y)
    read = read_columns(X, estimator.column_kinds_)
    if recodes and estimator.categories_ is not None:
        read = read.recoded(estimator.categories_)
        _warn_of_others(estimator, read, "unseen in fit or rare there")
    return (read, *checked) if y else read


def _check_shape(estimator, X, y):
    """Return y as scikit-learn's checks leave it beside X, of which they see the shape alone."""
    stub = np.broadcast_to(np.float32(0), tuple(X.shape))
    if not y:
        check_array(stub, dtype=None)
        return ()
    return check_X_y(stub, *y, dtype=None, **_options_of_y(estimator, y))[1:]


def _options_of_y(estimator, y):
    return {"multi_output": estimator._task.target.takes_several} if y else {}


def _read_array(estimator, X, y, reset):
    # Dense data keeps its dtype: it is converted chunk by chunk, without a copy of the whole.
    is_sparse = sparse.issparse(X) or is_of_sparse_columns(X)
    read = validate_data(
        estimator,
        X,
        *y,
        reset=reset,
        accept_sparse="csr",
        dtype=(np.float64, np.float32) if is_sparse else "numeric",
        ensure_all_finite=False,
        **_options_of_y(estimator, y),
    )
    _check_finite(estimator, read[0] if y else read)
    return read


def _read_tensor(estimator, X, y, reset):
    stub = np.broadcast_to(np.float32(0), tuple(X.shape))
    checked = validate_data(
        estimator, stub, *y, reset=reset, dtype=None, **_options_of_y(estimator, y)
    )
    _check_finite(estimator, X)
    return (X, checked[1]) if y else X


def _check_finite(estimator, X):
    if sparse.issparse(X):
        missing = X.indices[np.isnan(X.data)]
        if len(missing):
            raise ValueError(
                f"Input X contains NaN in {_label(estimator, missing[0])}: sparse X must miss no "
                "number. Make it dense, or fill the gaps."
            )
    infinite = columns_with_infinity(X)
    if len(infinite):
        raise ValueError(f"Input X contains infinity in {_label(estimator, infinite[0])}.")


def _label(estimator, j):
    names = getattr(estimator, "feature_names_in_", None)
    return f"column {int(j) if names is None else names[j]!r}"


def _with_known_levels(estimator, parameters, examples):
    """Return the Examples with codes for the levels worth telling apart, once these are learnt."""
    if not isinstance(examples.X, Table):
        return examples
    if estimator.categories_ is not None:
        return replace(examples, X=replace(examples.X, n_told=estimator._encoding["n_told"]))
    levels = examples.X.frequent_levels(examples.weight)
    share = SHARE_WORTH_MEANS[parameters.target_encoding]
    rare = examples.X.rare_levels(levels, examples.weight, share)
    n_told = [len(frequent) for frequent in levels]
    levels = [np.append(*pair) for pair in zip(levels, rare, strict=True)]
    return _recoded(estimator, examples, levels, n_told)


def _with_more_levels(estimator, examples):
    """Return the Examples with codes for the levels known so far and those worth adding."""
    if not isinstance(examples.X, Table):
        return examples
    levels = examples.X.frequent_levels(examples.weight)
    n_told = [len(frequent) for frequent in levels]
    if estimator.categories_ is not None:
        known = zip(estimator.categories_, estimator._encoding["n_told"], levels, strict=True)
        levels, n_told = zip(*[add_levels(*column) for column in known], strict=True)
    return _recoded(estimator, examples, list(levels), n_told)


def _recoded(estimator, examples, levels, n_told):
    estimator.categories_ = levels
    recoded = examples.X.recoded(levels, np.array(n_told, dtype=np.intp))
    _warn_of_others(estimator, recoded, "rare", examples.weight)
    return replace(examples, X=recoded)


def _warn_of_others(estimator, table, what, weight=None):
    """Warn of columns of which nearly all values are levels that are not told apart."""
    if len(table) <= FEW_ROWS:
        return
    for j, share in zip(
        np.flatnonzero(table.is_categorical), table.share_of_others(weight), strict=True
    ):
        if share >= NEARLY_ALL:
            warn(
                f"X has in {_label(estimator, j)} levels that are nearly all {what}, {share:.0%} "
                "of its values: they count as one and say nothing. Give numbers and dates as "
                "such, not as text, and leave out what names single rows.",
            )
