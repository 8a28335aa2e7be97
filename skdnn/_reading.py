"""Reading: from what the user passes to checked Examples.

Frames and lists become arrays by scikit-learn's checks, which also learn and compare the number and
names of the features; frames with categories become a Table. Tensors stay tensors, on their device.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import sparse
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_array, check_X_y, column_or_1d, validate_data

from skdnn.data import (
    Table,
    apply_class_weight,
    check_two_classes,
    check_weights,
    encode_known_labels,
    encode_labels,
    find_categorical,
    read_table,
)


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


def read_examples(estimator, X, y, sample_weight, groups, before):
    """Return the Examples of a fit, and their two classes.

    Where the fit goes on from an estimator fitted `before`, its levels stay.
    """
    if before is None:
        _forget_levels(estimator, X)
    X, y = read_data(estimator, X, y, reset=True)
    classes, y = encode_labels(y)
    weight = check_weights(to_host(sample_weight), X.shape[0])
    examples = _weighted(estimator, X, y, classes, weight)
    if groups is not None:
        groups = column_or_1d(to_host(groups))
        check_consistent_length(y, groups)
        examples = replace(examples, groups=np.unique(groups, return_inverse=True)[1])
    check_two_classes(y[examples.weight > 0], " with a weight above zero")
    return _with_known_levels(estimator, examples), classes


def read_more(estimator, X, y, classes, sample_weight):
    """Return the Examples of a call of partial_fit, and the two classes, which y may not show."""
    is_first = not hasattr(estimator, "coefs_")
    if classes is None and is_first:
        raise ValueError("classes must be given in the first call of partial_fit, got None.")
    known = encode_labels(column_or_1d(classes))[0] if is_first else estimator.classes_
    if classes is not None and not np.array_equal(np.unique(classes), known):
        raise ValueError(f"classes must be those of the first call, {known}, got {classes}.")
    if is_first:
        _forget_levels(estimator, X)
    X, y = read_data(estimator, X, y, reset=is_first)
    y = encode_known_labels(y, known, "y")
    weight = check_weights(to_host(sample_weight), X.shape[0])
    return _with_known_levels(estimator, _weighted(estimator, X, y, known, weight)), known


def read_validation(estimator, X_val, y_val, classes):
    """Return the Examples that the user wants watched, or None."""
    if (X_val is None) != (y_val is None):
        raise ValueError("X_val and y_val must be given together, got one of them.")
    if X_val is None:
        return None
    X, y = read_data(estimator, X_val, y_val)
    y = encode_known_labels(y, classes, "y_val")
    return _weighted(estimator, X, y, classes, np.ones(len(y)))


def read_data(estimator, X, *y, reset=False):
    """Return X, and y where one is passed, as scikit-learn's checks leave them.

    Parameters
    ----------
    estimator : DeepBinaryClassifier
        Which columns of X hold levels, and where they are known already, those levels. With
        `reset`, learns the number and names of the features; else they must be the same.
    X : {array-like, sparse matrix, data frame, tensor} of shape (n_samples, n_features)
    *y : array-like or tensor of shape (n_samples,)
    """
    if isinstance(X, Table):
        return X
    y = [to_host(labels) for labels in y]
    if isinstance(X, torch.Tensor):
        return _read_tensor(estimator, X, y, reset)
    if estimator.is_categorical_ is not None:
        return _read_table(estimator, X, y, reset)
    # Dense data keeps its dtype: it is converted chunk by chunk, without a copy of the whole.
    is_sparse = sparse.issparse(X)
    return validate_data(
        estimator,
        X,
        *y,
        reset=reset,
        accept_sparse="csr",
        dtype=(np.float64, np.float32) if is_sparse else "numeric",
        ensure_all_finite=is_sparse or "allow-nan",
    )


def _read_table(estimator, X, y, reset):
    if sparse.issparse(X):
        raise ValueError("X must be dense where categorical_features names columns, got sparse X.")
    X = X if hasattr(X, "shape") else np.asarray(X, dtype=object)
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    # scikit-learn looks at an array of this shape that holds one number, in place of X.
    stub = np.broadcast_to(np.float32(0), X.shape)
    checked = check_X_y(stub, *y, dtype=None) if y else (check_array(stub, dtype=None),)
    table = read_table(X, estimator.is_categorical_)
    if estimator.categories_ is not None:
        table = table.recoded(estimator.categories_)
    return (table, *checked[1:]) if y else table


def _forget_levels(estimator, X):
    estimator.is_categorical_ = find_categorical(X, estimator.categorical_features)
    estimator.categories_ = None


def _with_known_levels(estimator, examples):
    """Return the Examples with codes for the levels worth telling apart, once these are learnt."""
    if not isinstance(examples.X, Table) or estimator.categories_ is not None:
        return examples
    estimator.categories_ = examples.X.frequent_levels(examples.weight)
    return replace(examples, X=examples.X.recoded(estimator.categories_))


def to_host(values):
    """Return what may be a tensor as something that NumPy reads."""
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else values


def _read_tensor(estimator, X, y, reset):
    if X.layout != torch.strided:
        raise ValueError(f"X must be a dense tensor, got one of layout {X.layout}.")
    if X.is_complex():
        raise ValueError(f"Complex data not supported, got a tensor of {X.dtype}.")
    # scikit-learn looks at an array of this shape that holds one number, in place of X.
    shape = np.broadcast_to(np.float32(0), tuple(X.shape))
    checked = validate_data(estimator, shape, *y, reset=reset, dtype=None)
    if X.isinf().any():
        raise ValueError("Input X contains infinity.")
    return (X.detach(), checked[1]) if y else X.detach()


def _weighted(estimator, X, y, classes, weight):
    return Examples(X, y, apply_class_weight(weight, y, classes, estimator.class_weight))
