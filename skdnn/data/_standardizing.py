"""Standardising: each feature minus its mean, over its standard deviation."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from sklearn.utils.sparsefuncs import mean_variance_axis

from ._chunks import row_chunks


@dataclass(frozen=True)
class Standardizer:
    """``(X - mean) * inverse_scale``.

    A feature that never varied has an inverse scale of 0: it becomes 0 in training, so its weights
    learn nothing, and what it may be later changes no prediction.

    Attributes
    ----------
    mean, inverse_scale : arrays of float64 of shape (n_features,)
    """

    mean: np.ndarray
    inverse_scale: np.ndarray

    def apply(self, X):
        """Return the dense rows X, array or tensor of any real dtype, standardised in float64."""
        if isinstance(X, torch.Tensor):
            return self.to_module(torch.float64).to(X.device)(X)
        Z = np.subtract(X, self.mean, dtype=np.float64)
        return np.multiply(Z, self.inverse_scale, out=Z)

    def to_module(self, dtype):
        """Return the torch.nn.Module that applies this to a tensor X and answers in `dtype`."""
        return StandardizingLayer(self.mean, self.inverse_scale, dtype)

    @property
    def scale(self):
        """The standard deviations, infinite for a feature that never varied."""
        with np.errstate(divide="ignore"):
            return 1 / self.inverse_scale

    def folds_exactly(self, dtype):
        """Tell whether `fold` costs no more than a thousandth of a standard deviation in `dtype`.

        A feature of mean 1e6 and standard deviation 1 has lost that much in float32 before the
        network sees it; standardised in float64 first, it has not.
        """
        return np.abs(self.mean * self.inverse_scale).max() * np.finfo(dtype).eps < 1e-3

    def fold(self, W, b):
        """Return the first layer for rows as they are, from that for standardised rows.

        ``((X - mean) * s) W + b = X (s W) + (b - mean (s W))``
        """
        W = self.inverse_scale[:, None] * W
        return W, b - self.mean @ W

    def unfold(self, W, b):
        """Return the first layer for standardised rows, from that for rows as they are."""
        scale = np.where(self.inverse_scale > 0, self.scale, 0.0)
        return scale[:, None] * W, b + self.mean @ W


class StandardizingLayer(torch.nn.Module):
    """``(X - mean) * inverse_scale`` in float64, as a layer before the first one."""

    def __init__(self, mean, inverse_scale, dtype):
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(mean.copy()))
        self.register_buffer("inverse_scale", torch.from_numpy(inverse_scale.copy()))
        self.dtype = dtype

    def forward(self, X):
        """Return X of shape (n_samples, n_features) standardised."""
        return ((X.double() - self.mean) * self.inverse_scale).to(self.dtype)


def identity_standardizer(n_features):
    """Return the standardizer that changes nothing."""
    return Standardizer(np.zeros(n_features), np.ones(n_features))


def fit_standardizer(X, weight):
    """Learn weighted means and standard deviations, chunk by chunk.

    Parameters
    ----------
    X : array, CSR matrix or tensor of shape (n_samples, n_features)
    weight : array of shape (n_samples,)
        Rows of weight 0 do not count.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data import fit_standardizer
    >>> X = np.array([[1.0, 5.0], [3.0, 5.0], [99.0, 7.0]])
    >>> fit_standardizer(X, np.array([1.0, 1.0, 0.0])).apply(X).tolist()
    [[-1.0, 0.0], [1.0, 0.0], [97.0, 0.0]]
    """
    if sparse.issparse(X):
        # In float64, as the weights are: scikit-learn wants one dtype of both.
        X = sparse.csr_array((X.data.astype(np.float64), X.indices, X.indptr), shape=X.shape)
        mean, variance = mean_variance_axis(X, axis=0, weights=weight)
    else:
        mean = _weighted_mean(X, weight)
        variance = _weighted_mean(X, weight, about=mean)
    return Standardizer(mean, _inverse_scale(mean, variance, np.count_nonzero(weight)))


def _weighted_mean(X, weight, about=None):
    """Return ``Σ w X / Σ w``, or that of ``(X - about)²``, of shape (n_features,)."""
    total = sum(_weighted_sum(X[rows], weight[rows], about) for rows in row_chunks(X))
    return total / weight.sum()


def _weighted_sum(X, weight, about):
    if isinstance(X, torch.Tensor):
        X, weight = X.double(), torch.from_numpy(weight).to(X.device)
        about = None if about is None else torch.from_numpy(about).to(X.device)
        return (weight @ (X if about is None else (X - about) ** 2)).cpu().numpy()
    X = np.asarray(X, dtype=np.float64)
    return weight @ (X if about is None else (X - about) ** 2)


def _inverse_scale(mean, variance, n_samples):
    # A variance below its own rounding error is that of a constant.
    eps = np.finfo(np.float64).eps
    varies = variance > n_samples * eps * variance + np.square(n_samples * mean * eps)
    return np.divide(1.0, np.sqrt(variance), out=np.zeros_like(variance), where=varies)
