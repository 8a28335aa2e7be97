"""What standardising and binning learn of a column: weighted means, deviations and quantiles.

Missing values do not count, nor do rows of weight 0.
"""

import numpy as np
import torch
from scipy import sparse

from ._chunks import row_chunks
from ._tensors import dense_tensor


def weighted_mean_and_variance(X, weight):
    """Return two arrays of shape (n_features,), read chunk by chunk; 0 for a column without values.

    Parameters
    ----------
    X : array, CSR matrix or tensor of shape (n_samples, n_features)
    weight : array of shape (n_samples,)

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data._statistics import weighted_mean_and_variance
    >>> X = np.array([[1.0, 5.0], [3.0, np.nan], [99.0, 7.0]])
    >>> weighted_mean_and_variance(X, np.array([1.0, 1.0, 0.0]))
    (array([2., 5.]), array([1., 0.]))
    """
    mean = _weighted_mean(X, weight)
    return mean, _weighted_mean(X, weight, about=mean)


def _weighted_mean(X, weight, about=None):
    """Return ``Σ w X / Σ w``, or that of ``(X - about)²``, of shape (n_features,)."""
    sums = np.zeros((2, X.shape[1]))
    for rows in row_chunks(X):
        sums += _weighted_sum(X[rows], weight[rows], about)
    total, total_weight = sums
    return np.divide(total, total_weight, out=np.zeros_like(total), where=total_weight > 0)


def _weighted_sum(X, weight, about):
    """Return ``Σ w X`` and ``Σ w`` of the rows where X is not missing, of shape (2, n_features)."""
    X = dense_tensor(X)
    weight = torch.from_numpy(weight).to(X.device)
    terms = X if about is None else (X - torch.from_numpy(about).to(X.device)).square_()
    sums = weight @ terms
    total_weight = weight.sum().expand_as(sums)
    if sums.isnan().any():
        sums, total_weight = weight @ terms.nan_to_num(0.0), weight @ (~X.isnan()).double()
    return torch.stack([sums, total_weight]).cpu().numpy()


def columns_with_gaps(X, weight):
    """Return the indices of the columns that miss a value in some row of a weight above 0."""
    has_gap = np.zeros(X.shape[1], dtype=bool)
    for rows in () if sparse.issparse(X) else row_chunks(X):
        is_missing = dense_tensor(X[rows]).isnan().cpu().numpy()
        has_gap |= is_missing[weight[rows] > 0].any(axis=0)
    return np.flatnonzero(has_gap)


def weighted_quantiles(X, weight, shares):
    """Yield for each column the smallest values below or at which lie these shares of the weight.

    Parameters
    ----------
    X : array, CSR matrix or tensor of shape (n_samples, n_features)
    weight : array of shape (n_samples,)
    shares : array of shape (k,)
        From 0 to 1.

    Yields
    ------
    array of shape (k,), or (0,) for a column without values

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data._statistics import weighted_quantiles
    >>> list(weighted_quantiles(np.arange(101.0)[:, None], np.ones(101), [0, 0.25, 1]))
    [array([  0.,  25., 100.])]
    """
    rows = np.flatnonzero(weight)
    X = X.tocsc() if sparse.issparse(X) else X
    for j in range(X.shape[1]):
        column = dense_tensor(X[:, [j]]).cpu().numpy()[rows, 0]
        is_there = ~np.isnan(column)
        yield _quantiles(column[is_there], weight[rows][is_there], shares)


def _quantiles(values, weight, shares):
    if len(values) == 0:
        return values
    order = np.argsort(values, kind="stable")
    up_to = np.cumsum(weight[order])
    # Rounding must not push the share 1 beyond the last value.
    position = np.searchsorted(up_to, np.multiply(shares, up_to[-1]) * (1 - 1e-12))
    return values[order][position]
