"""Encoding: from numbers and levels to what the first layer takes.

Learned from the training rows without their labels, so that nothing of the target leaks: numbers
are standardised, missing ones flagged, levels become columns of 0 and 1.
"""

import math
from dataclasses import dataclass, field, fields, replace

import numpy as np
import torch

from skdnn.data.frames import Table, as_tensor, dense_tensor
from skdnn.processes import SINGLE_PROCESS

from ._binning import bins
from ._statistics import Moments, columns_with_missing, moments, moments_within, weighted_quantiles
from ._target_means import columns_with_means, target_means

# Where the smooth clip of RealMLP levels off [1]_, in standard deviations.
BOUND = 3.0
_NONE = np.empty(0, dtype=np.intp)


@dataclass(frozen=True)
class Encoder:
    """``(X - center) * inverse_scale``, and beside it what numbers alone do not say.

    The columns of its result are, in this order:

    - the p numbers, standardised, a missing one 0; with a finite `bound` clipped smoothly,
      ``z / sqrt(1 + (z / bound)²)``, so that a far value stays within ±bound [1]_; the last of
      them are the means of y in the levels of those columns that have some;
    - for each number that was missing in some training row 1 where it is missing, else 0;
    - for each bin how much of it lies below the number, ``clip((x - start) * scale, 0, 1)``, the
      piecewise-linear encoding [2]_;
    - for each level 1 in its rows, else 0.

    A feature that never varied has an inverse scale of 0: it becomes 0 in training, so its weights
    learn nothing, and what it may be later changes no prediction.

    Attributes
    ----------
    is_categorical : array of bool of shape (n_features,)
        Which columns of X hold levels.
    center, inverse_scale : arrays of float64 of shape (p,)
    total : array of float64 of shape (p,)
        The weight of the values that these are learned from; infinite where later rows will not
        change them.
    bound : float
        Infinite for no clip.
    flagged : array of int
        Of the p numbers, those with a flag.
    bin_column, bin_start, bin_scale : arrays of shape (n_bins,)
    n_categories, n_frequent : arrays of int of shape (q,)
        Columns of the result for each column of levels, and levels told apart there: one fewer
        where the others have a column, too, the last one.
    mean_column, n_means : arrays of int of shape (t,)
        Of the q columns those with means, and how many each has, the last one for other levels.
    category_mean : array of shape (Σ n_means, k)
        Of the k outputs.

    References
    ----------
    .. [1] D. Holzmüller, L. Grinsztajn, I. Steinwart, "Better by default: strong pre-tuned MLPs
       and boosted trees on tabular data", NeurIPS 2024.
    .. [2] Y. Gorishniy, I. Rubachev, A. Babenko, "On embeddings for numerical features in tabular
       deep learning", NeurIPS 2022.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from skdnn.data.encoding import fit_encoder
    >>> X = np.array([[1.0, 5.0], [3.0, 5.0], [99.0, 7.0], [1.0, np.nan]])
    >>> fit_encoder(X, np.array([1.0, 1.0, 0.0, 0.0])).apply(X, torch.float64)
    tensor([[-1.,  0.],
            [ 1.,  0.],
            [97.,  0.],
            [-1.,  0.]], dtype=torch.float64)
    """

    is_categorical: np.ndarray
    center: np.ndarray
    inverse_scale: np.ndarray
    total: np.ndarray
    bound: float
    flagged: np.ndarray
    bin_column: np.ndarray
    bin_start: np.ndarray
    bin_scale: np.ndarray
    n_categories: np.ndarray
    n_frequent: np.ndarray
    # Pickles of before have none.
    mean_column: np.ndarray = field(default_factory=lambda: _NONE)
    n_means: np.ndarray = field(default_factory=lambda: _NONE)
    category_mean: np.ndarray = field(default_factory=lambda: np.empty((0, 1)))

    @property
    def n_outputs(self):
        """Columns of the result, the network's n^[0]."""
        n_numbers = len(self.center) + len(self.flagged) + len(self.bin_column)
        return n_numbers + int(self.n_categories.sum())

    @property
    def bins(self):
        """The columns of the result that tell bins, a slice."""
        start = len(self.center) + len(self.flagged)
        return slice(start, start + len(self.bin_column))

    @property
    def scale(self):
        """The standard deviations, infinite for a feature that never varied."""
        with np.errstate(divide="ignore"):
            return 1 / self.inverse_scale

    def state(self):
        """Return the attributes by name, from which ``Encoder(**state)`` makes it again."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def arrays(self):
        """Return those of them that `apply` computes with and that are arrays."""
        unused = ("bound", "total")
        return {name: value for name, value in self.state().items() if name not in unused}

    def without_categories(self):
        """Return the Encoder of the numbers alone, as `numbers_of` has them."""
        is_categorical = np.zeros(len(self.center), dtype=bool)
        none = dict.fromkeys(("n_categories", "n_frequent", "mean_column", "n_means"), _NONE)
        return replace(self, is_categorical=is_categorical, **none, category_mean=np.empty((0, 1)))

    def of_means(self):
        """Return the Encoder of the target means alone, and where its columns are in the result."""
        p, n_means = len(self.center), self.category_mean.shape[1] * len(self.mean_column)
        bins = np.flatnonzero(self.bin_column >= p - n_means)
        numbers = np.arange(p - n_means, p)
        alone = _make(
            self.center[numbers],
            inverse_scale=self.inverse_scale[numbers],
            total=self.total[numbers],
            bound=self.bound,
            bin_column=self.bin_column[bins] - (p - n_means),
            bin_start=self.bin_start[bins],
            bin_scale=self.bin_scale[bins],
        )
        return alone, np.concatenate([numbers, self.bins.start + bins])

    def numbers_of(self, X):
        """Return the numbers of rows of any kind, those of a Table with the means behind them."""
        if not isinstance(X, Table):
            return X
        if X.means is not None:
            return np.hstack([X.numbers, X.means])
        if not len(self.mean_column):
            return X.numbers
        like = _Tensors(self, torch.device("cpu"))
        return _with_means(dense_tensor(X.numbers), _codes(X), like).numpy()

    def updated(self, X, weight):
        """Return the Encoder that knows of these rows as well.

        Means and deviations are those of all rows; a column that did not vary so far may do so now.
        Gaps and levels that are new have columns of the result. Bins, and means of levels, stay.
        """
        numbers = self.numbers_of(X)
        deviation = np.where(self.inverse_scale > 0, self.scale, 0.0)
        known = Moments(self.center, deviation, self.total)
        bounded = math.isfinite(self.bound)
        known += moments_within(known, numbers, weight) if bounded else moments(numbers, weight)
        learned = {
            "center": known.mean,
            "inverse_scale": known.inverse_deviation(np.count_nonzero(weight)),
            "total": known.total,
            "flagged": np.union1d(self.flagged, columns_with_missing(numbers, weight)).astype(
                np.intp
            ),
        }
        if isinstance(X, Table):
            has_others = self.n_categories > self.n_frequent
            learned |= _category_counts(X, weight, has_others)
        return replace(self, **learned)

    def with_means_of(self, X, y, weight):
        """Return the Encoder with the means of y in these rows, for the same levels."""
        return replace(self, **_learn_means(X, y, weight))

    def outputs_in(self, later):
        """Return where the columns of the result are in that of a later Encoder, of `updated`."""
        p, start = len(self.center), later.bins.stop
        flags = p + np.searchsorted(later.flagged, self.flagged)
        bins, categories = np.arange(later.bins.start, later.bins.stop), []
        for n_before, told, n_later, told_later in zip(
            self.n_categories, self.n_frequent, later.n_categories, later.n_frequent, strict=True
        ):
            codes = np.arange(n_before)
            categories.append(start + np.where(codes < told, codes, told_later))
            start += n_later
        return np.concatenate([np.arange(p), flags, bins, *categories]).astype(np.intp)

    def apply(self, X, dtype):
        """Return rows of any kind as a tensor of shape (n, n_outputs), computed in float64.

        Parameters
        ----------
        X : Table, array, CSR matrix or tensor of shape (n, n_features)
        dtype : torch.dtype
            Of the result.
        """
        numbers = dense_tensor(self.numbers_of(X))
        codes = _codes(X) if isinstance(X, Table) else None
        return _encode(numbers, codes, _Tensors(self, numbers.device), dtype)

    def to_module(self, dtype):
        """Return the torch.nn.Module that applies this to a tensor X and answers in `dtype`."""
        return EncodingLayer(self, dtype)

    def merges_exactly(self, dtype):
        """Tell whether `fold` says all, and costs no more than a thousandth of a deviation.

        A feature of mean 1e6 and standard deviation 1 has lost that much in float32 before the
        network sees it; standardised in float64 first, it has not.
        """
        if math.isfinite(self.bound) or self.n_outputs > len(self.center):
            return False
        root = np.sqrt(np.finfo(dtype).max)
        scale = self.inverse_scale[self.inverse_scale > 0]
        if ((scale < 1 / root) | (scale > root)).any():
            return False
        return np.abs(self.center * self.inverse_scale).max() * np.finfo(dtype).eps < 1e-3

    def merge(self, W, b):
        """Return the first layer for rows as they are, from that for standardised rows.

        ``((X - center) * s) W + b = X (s W) + (b - center (s W))``
        """
        W = self.inverse_scale[:, None] * W
        return W, b - self.center @ W

    def unmerge(self, W, b):
        """Return the first layer for standardised rows, from that for rows as they are."""
        scale = np.where(self.inverse_scale > 0, self.scale, 0.0)
        return scale[:, None] * W, b + self.center @ W


class _Tensors:
    """The arrays of an Encoder as tensors on a device, None for an empty one."""

    def __init__(self, encoder, device):
        self.bound, self.n_columns = encoder.bound, int(encoder.n_categories.sum())
        for name, array in encoder.arrays().items():
            setattr(self, name, as_tensor(array, device) if len(array) else None)


class EncodingLayer(torch.nn.Module):
    """An Encoder as a layer before the first one.

    In a column of levels a tensor has, instead of a level, its index in `categories_`, and the
    number of levels there for any other. Numbers are encoded in float64, unless ``float()``,
    ``half()`` or ``to(dtype)`` has changed the module.
    """

    def __init__(self, encoder, dtype):
        super().__init__()
        arrays = {
            **encoder.arrays(),
            "numeric": np.flatnonzero(~encoder.is_categorical),
            "categorical": np.flatnonzero(encoder.is_categorical),
        }
        for name, array in arrays.items():
            self.register_buffer(name, torch.from_numpy(array.copy()) if len(array) else None)
        self.bound, self.n_columns = encoder.bound, int(encoder.n_categories.sum())
        # Empty tensors, which a change of the module's dtype changes with the others.
        for name, its_dtype in (("inner", torch.float64), ("outer", dtype)):
            empty = torch.empty(0, dtype=its_dtype, device="cpu")
            self.register_buffer(name, empty, persistent=False)

    def forward(self, X):
        """Return X of shape (n_samples, n_features) encoded."""
        if self.categorical is None:
            return _encode(X.to(self.inner.dtype), None, self, self.outer.dtype)
        numbers = X[:, :0] if self.numeric is None else X[:, self.numeric]
        codes = X[:, self.categorical]
        numbers = _with_means(numbers.to(self.inner.dtype), codes, self)
        return _encode(numbers, codes, self, self.outer.dtype)


def _encode(numbers, codes, like, dtype):
    """Compute the columns of an Encoder, whose arrays `like` has as tensors."""
    parts = [numbers if like.center is None else _standardize(numbers, like, dtype)]
    if like.flagged is not None:
        parts.append(numbers[:, like.flagged].isnan())
    if like.bin_column is not None:
        fraction = (numbers[:, like.bin_column] - like.bin_start) * like.bin_scale
        parts.append(fraction.clamp(0, 1).nan_to_num(0.0))
    parts = [part.to(dtype) for part in parts]
    parts = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
    return parts if like.n_categories is None else _with_categories(parts, codes, like)


def _codes(X):
    return torch.from_numpy(X.codes.astype(np.int64))


def _with_means(numbers, codes, like):
    """Return the numbers and, behind them, the means of the levels."""
    if like.mean_column is None:
        return numbers
    codes, n_known = codes[:, like.mean_column], like.n_means - 1
    is_known = (codes >= 0) & (codes < n_known)
    places = torch.where(is_known, codes, n_known).long() + like.n_means.cumsum(0) - like.n_means
    return torch.cat([numbers, like.category_mean[places].flatten(1)], dim=1)


def _with_categories(numbers, codes, like):
    """Return the columns of numbers and, behind them, those of 0 and 1 for the levels."""
    start = numbers.shape[1]
    stop = start + like.n_columns
    first = start + like.n_categories.cumsum(0) - like.n_categories
    codes = torch.minimum(codes, like.n_frequent.to(codes.dtype))  # those behind are others, too
    is_known = (codes >= 0) & (codes < like.n_categories)
    # What is no level goes to a last column, which is then left out.
    column = torch.where(is_known, codes + first, stop).long()
    columns = numbers.new_zeros((numbers.shape[0], stop + 1))
    columns[:, :start] = numbers
    return columns.scatter_(1, column, 1.0)[:, :stop]


def _standardize(numbers, like, dtype):
    Z = (numbers - like.center).mul_(like.inverse_scale)
    if math.isfinite(like.bound):
        # Beyond the numbers that have squares, z has come as close to the bound as it gets.
        limit = like.bound * math.sqrt(torch.finfo(Z.dtype).max) / 2
        Z = Z.clamp_(-limit, limit)
        Z = Z / (Z / like.bound).square_().add_(1).sqrt_()
    else:
        # What the dtype cannot hold becomes a number whose products it can.
        limit = math.sqrt(torch.finfo(dtype).max)
        Z = Z.clamp_(-limit, limit)
    return Z.nan_to_num_(0.0)


def identity_encoder(n_features):
    """Return the encoder that changes nothing."""
    return _make(**_unchanged(n_features))


def fit_encoder(
    X, weight, standardize=True, numeric_embedding=None, y=None, processes=SINGLE_PROCESS
):
    """Learn an Encoder.

    Parameters
    ----------
    X : Table, array, CSR matrix or tensor of shape (n_samples, n_features)
    weight : array of shape (n_samples,)
        Rows of weight 0 do not count.
    standardize : {True, False, "smooth_clip", "robust"}, default=True
        As the estimators take it.
    numeric_embedding : {None, "piecewise_linear"}, default=None
        The same.
    y : array of shape (n_samples,) or (n_samples, k) or None, default=None
        For a Table with rare levels, of which means of y are learned.
    processes : SingleProcess or Communicator, default=SINGLE_PROCESS
        Of those that have the other rows.
    """
    means = _learn_means(X, y, weight, processes)
    numbers = _make(**_unchanged(0), **means).numbers_of(X)
    learned = _center_and_scale(numbers, weight, standardize, processes)
    if isinstance(standardize, str):
        learned["bound"] = BOUND
    learned["flagged"] = columns_with_missing(numbers, weight, processes)
    if numeric_embedding is not None:
        names = ("bin_column", "bin_start", "bin_scale")
        learned |= dict(zip(names, bins(numbers, weight, processes), strict=True))
    if isinstance(X, Table):
        learned["is_categorical"] = X.is_categorical
        learned |= _category_counts(X, weight, processes=processes)
    return _make(**learned, **means)


def _learn_means(X, y, weight, processes=SINGLE_PROCESS):
    """Return `mean_column`, `n_means` and `level_mean` by name, where X has rare levels."""
    columns = columns_with_means(X)
    if not len(columns):
        return {}
    n_means, means = target_means(X, y, weight, processes)
    return {"mean_column": columns, "n_means": n_means, "category_mean": means}


def _category_counts(X, weight, has_others=False, processes=SINGLE_PROCESS):
    """Return `n_levels` and `n_frequent` by name; others have a column where there are some."""
    n_others = (X.codes[weight > 0] >= X.n_frequent).sum(axis=0)
    has_others = has_others | (processes.allreduce(n_others) > 0)
    return {"n_categories": X.n_frequent + has_others, "n_frequent": X.n_frequent}


def _make(center, **arrays):
    nothing = {
        "is_categorical": np.zeros(len(center), dtype=bool),
        "bound": math.inf,
        "flagged": _NONE,
        "bin_column": _NONE,
        "bin_start": np.empty(0),
        "bin_scale": np.empty(0),
        "n_categories": _NONE,
        "n_frequent": _NONE,
    }
    return Encoder(center=center, **{**nothing, **arrays})


def _center_and_scale(X, weight, standardize, processes):
    """Return `center`, `inverse_scale` and `total` by name."""
    if not standardize:
        return _unchanged(X.shape[1])
    if standardize == "robust":
        known = _median_and_width(X, weight, processes)
    else:
        known = moments(X, weight, standardize == "smooth_clip", processes)
    inverse_scale = known.inverse_deviation(processes.allreduce(np.array(np.count_nonzero(weight))))
    return {"center": known.mean, "inverse_scale": inverse_scale, "total": known.total}


def _unchanged(n_features):
    """Return `center`, `inverse_scale` and `total` by name for numbers that stay as they are."""
    center, inverse_scale = np.zeros(n_features), np.ones(n_features)
    return {"center": center, "inverse_scale": inverse_scale, "total": np.full(n_features, np.inf)}


def _median_and_width(X, weight, processes):
    """Return medians, and the interquartile ranges or, where that is 0, half the ranges.

    As Moments, to which later rows add only where a column does not vary yet.
    """
    quantiles = np.zeros((X.shape[1], 5))
    for row, found in zip(
        quantiles, weighted_quantiles(X, weight, np.linspace(0, 1, 5), processes), strict=True
    ):
        row[: len(found)] = found
    low, first, median, third, high = quantiles.T
    width = np.where(third > first, third - first, high / 2 - low / 2)
    total = np.full(X.shape[1], np.inf)
    if not width.all():
        total[width == 0] = moments(X, weight, processes=processes).total[width == 0]
    return Moments(median, width, total)
