"""Reading: from what the user passes to checked Examples.

Arrays of numbers, tensors and sparse matrices stay what they are, a tensor on its device; frames
and arrays of objects are read column by column. scikit-learn's checks learn and compare the number
and names of the features.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import sparse
from sklearn.utils.validation import check_array, check_X_y, column_or_1d, validate_data

from skdnn._telling import warn
from skdnn.data import (
    Table,
    add_levels,
    apply_class_weight,
    at_hand,
    check_two_classes,
    check_weights,
    columns_with_infinity,
    encode_groups,
    encode_known_labels,
    encode_labels,
    find_kinds,
    is_of_sparse_columns,
    is_plain,
    plain_labels,
    read_columns,
    to_host,
)

# A column of levels that says nothing of so many of its values is worth a warning, where there are
# more than a few.
NEARLY_ALL, FEW_ROWS = 0.95, 20


@dataclass(frozen=True)
class Examples:
    """Checked data.

    Attributes
    ----------
    X : array, Table, CSR matrix or tensor of shape (n_samples, n_features)
    y : array of int of shape (n_samples,)
        0 or 1.
    weight : array of shape (n_samples,)
        Sample weight times class weight.
    groups : array of int of shape (n_samples,) or None
        What belongs together.
    """

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    groups: np.ndarray | None = None

    def take(self, index):
        """Return the Examples of some rows."""
        return Examples(self.X[index], self.y[index], self.weight[index])


def read_examples(estimator, parameters, X, y, sample_weight, groups, before):
    """Return the Examples of a fit, and their two classes.

    Where the fit goes on from an estimator fitted `before`, what its columns hold stays.
    """
    X, y = read_data(estimator, X, y, learn_by=parameters if before is None else None)
    classes, y = encode_labels(y)
    weight = check_weights(sample_weight, X.shape[0])
    examples = _weighted(parameters, X, y, classes, weight)
    if groups is not None:
        groups = encode_groups(groups)
        if len(groups) != len(y):
            raise ValueError(
                "groups must be one for each row, found inconsistent numbers of samples: "
                f"{[len(y), len(groups)]}."
            )
        examples = replace(examples, groups=groups)
    where = " with a weight above zero (sample_weight times class_weight)"
    check_two_classes(y[examples.weight > 0], where)
    return _with_known_levels(estimator, examples), classes


def read_more(estimator, parameters, X, y, classes, sample_weight):
    """Return the Examples of a call of partial_fit, and the two classes, which y may not show."""
    is_first = not hasattr(estimator, "coefs_")
    if classes is None and is_first:
        raise ValueError("classes must be given in the first call of partial_fit, got None.")
    if classes is not None:
        classes = column_or_1d(plain_labels(classes, "classes"))
    known = encode_labels(classes)[0] if is_first else estimator.classes_
    if classes is not None and not np.array_equal(np.unique(classes), known):
        raise ValueError(f"classes must be those of the first call, {known}, got {classes}.")
    learn_by = parameters if is_first else None
    X, y = read_data(estimator, X, y, learn_by=learn_by, recodes=False)
    y = encode_known_labels(y, known, "y")
    weight = check_weights(sample_weight, X.shape[0])
    examples = _weighted(parameters, X, y, known, weight)
    return _with_more_levels(estimator, examples), known


def read_validation(estimator, parameters, X_val, y_val, classes):
    """Return the Examples that the user wants watched, or None."""
    if (X_val is None) != (y_val is None):
        raise ValueError("X_val and y_val must be given together, got one of them.")
    if X_val is None:
        return None
    try:
        X, y = read_data(estimator, X_val, y_val, name="y_val")
    except (TypeError, ValueError) as error:
        kept = TypeError if isinstance(error, TypeError) else ValueError
        raise kept(f"X_val and y_val must be such as X and y: {error}") from error
    y = encode_known_labels(y, classes, "y_val")
    return _weighted(parameters, X, y, classes, np.ones(len(y)))


def read_data(estimator, X, *y, learn_by=None, name="y", recodes=True):
    """Return X, and y where one is passed, checked.

    Parameters
    ----------
    estimator : DeepBinaryClassifier
        What each column of X holds, and where they are known already, the levels.
    X : {array-like, sparse matrix, data frame, tensor} of shape (n_samples, n_features)
    *y : array-like or tensor of shape (n_samples,)
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
    y = [plain_labels(labels, name) for labels in y]
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
    checked = _check_shape(X, y)
    read = read_columns(X, estimator.column_kinds_)
    if recodes and estimator.categories_ is not None:
        read = read.recoded(estimator.categories_)
        _warn_of_others(estimator, read, "unseen in fit or rare there")
    return (read, *checked) if y else read


def _check_shape(X, y):
    """Return y as scikit-learn's checks leave it beside X, of which they see the shape alone."""
    stub = np.broadcast_to(np.float32(0), tuple(X.shape))
    if not y:
        check_array(stub, dtype=None)
        return ()
    return check_X_y(stub, *y, dtype=None)[1:]


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
    )
    _check_finite(estimator, read[0] if y else read)
    return read


def _read_tensor(estimator, X, y, reset):
    stub = np.broadcast_to(np.float32(0), tuple(X.shape))
    checked = validate_data(estimator, stub, *y, reset=reset, dtype=None)
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


def _with_known_levels(estimator, examples):
    """Return the Examples with codes for the levels worth telling apart, once these are learnt."""
    if not isinstance(examples.X, Table) or estimator.categories_ is not None:
        return examples
    return _with_more_levels(estimator, examples)


def _with_more_levels(estimator, examples):
    """Return the Examples with codes for the levels known so far and those worth adding."""
    if not isinstance(examples.X, Table):
        return examples
    levels = examples.X.frequent_levels(examples.weight)
    if estimator.categories_ is not None:
        levels = [add_levels(*pair) for pair in zip(estimator.categories_, levels, strict=True)]
    estimator.categories_ = levels
    examples = replace(examples, X=examples.X.recoded(levels))
    _warn_of_others(estimator, examples.X, "rare", examples.weight)
    return examples


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


def _weighted(parameters, X, y, classes, weight):
    return Examples(X, y, apply_class_weight(weight, y, classes, parameters.class_weight))
