"""The Encoder: from numbers and categories to the inputs of the network.

Numbers are standardised and get a missing indicator and a piecewise-linear encoding, categories are
one-hot encoded, and rare categories are target-encoded. Only the training rows are learned from.
"""

import math
from dataclasses import dataclass, field, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike

from skdnn.data.frames import Table, as_tensor, dense_tensor
from skdnn.processes import SINGLE_PROCESS, SingleProcess

from ._binning import find_bins
from ._statistics import (
    Matrix,
    Moments,
    clipped_moments,
    columns_with_missing,
    moments,
    robust_moments,
)
from ._target_means import target_means

# The bound of RealMLP's smooth clip [1]_, in standard deviations.
BOUND = 3.0
_no_integers = partial(np.empty, 0, dtype=np.intp)


@dataclass(frozen=True)
class Encoder:
    """Encode columns as network inputs.

    The columns of the result are, in this order:

    - the p numbers, standardised, ``z = (x - center) * inverse_scale``; a missing value becomes 0.
      With a finite `bound` they are clipped smoothly, ``z / sqrt(1 + (z / bound)²)``, so that
      outliers stay within ±bound [1]_. The last of the numbers are the target means;
    - a missing indicator for each number that was missing in some training row, 1 or 0;
    - for each bin ``clip((x - start) * scale, 0, 1)``, the piecewise-linear encoding [2]_;
    - the one-hot encoded categories.

    A constant feature has an inverse scale of 0: it is always encoded as 0, so that other values in
    later rows change no prediction.

    Attributes
    ----------
    is_categorical : array of bool of shape (n_features,)
        Which columns of X hold categories.
    center, inverse_scale : arrays of float64 of shape (p,)
    total : array of float64 of shape (p,)
        The weight of the values from which these were learned; infinite where later rows do not
        change them.
    bound : float
        Infinite for no clipping.
    indicator_column : array of int
        Which of the p numbers have a missing indicator.
    bin_column, bin_start, bin_scale : arrays of shape (n_bins,)
        The number of each bin, where the bin starts, and its inverse width.
    n_categories, n_frequent : arrays of int of shape (q,)
        One-hot columns of each categorical column, and how many of its categories are frequent. If
        there is one column more, it is the last one, for all other categories.
    mean_column, n_means : arrays of int of shape (t,)
        Which of the q categorical columns have target means, and how many; the last one is that of
        unknown categories.
    category_mean : array of shape (Σ n_means, k)
        The target means, for k outputs.

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
    bound: float = math.inf
    indicator_column: np.ndarray = field(default_factory=_no_integers)
    bin_column: np.ndarray = field(default_factory=_no_integers)
    bin_start: np.ndarray = field(default_factory=partial(np.empty, 0))
    bin_scale: np.ndarray = field(default_factory=partial(np.empty, 0))
    n_categories: np.ndarray = field(default_factory=_no_integers)
    n_frequent: np.ndarray = field(default_factory=_no_integers)
    mean_column: np.ndarray = field(default_factory=_no_integers)
    n_means: np.ndarray = field(default_factory=_no_integers)
    category_mean: np.ndarray = field(default_factory=partial(np.empty, (0, 1)))

    @property
    def n_outputs(self) -> int:
        """The number of columns of the result, n^[0]."""
        n_numbers = len(self.center) + len(self.indicator_column) + len(self.bin_column)
        return n_numbers + int(self.n_categories.sum())

    @property
    def bins(self) -> slice:
        """The columns of the result that belong to bins."""
        start = len(self.center) + len(self.indicator_column)
        return slice(start, start + len(self.bin_column))

    @property
    def scale(self) -> np.ndarray:
        """The standard deviations, 0 for a constant feature."""
        is_varying = self.inverse_scale > 0
        return np.divide(
            1.0, self.inverse_scale, out=np.zeros_like(self.inverse_scale), where=is_varying
        )

    def without_categories(self) -> "Encoder":
        """Return the Encoder of the numbers only, as `numbers_of` returns them."""
        numbers = ("center", "inverse_scale", "total", "bound", "indicator_column")
        kept = (*numbers, "bin_column", "bin_start", "bin_scale")
        is_categorical = np.zeros(len(self.center), dtype=bool)
        return Encoder(is_categorical, **{name: getattr(self, name) for name in kept})

    def of_target_means(self) -> tuple["Encoder", np.ndarray]:
        """Return the Encoder of the target means only, and the positions of its columns."""
        first = len(self.center) - self.category_mean.shape[1] * len(self.mean_column)
        bins = np.flatnonzero(self.bin_column >= first)
        numbers = np.arange(first, len(self.center))
        encoder = Encoder(
            np.zeros(len(numbers), dtype=bool),
            self.center[numbers],
            self.inverse_scale[numbers],
            self.total[numbers],
            self.bound,
            bin_column=self.bin_column[bins] - first,
            bin_start=self.bin_start[bins],
            bin_scale=self.bin_scale[bins],
        )
        return encoder, np.concatenate([numbers, self.bins.start + bins])

    def numbers_of(self, X: Table | Matrix) -> Matrix:
        """Return the numbers of X; for a Table, followed by the target means."""
        if not isinstance(X, Table):
            return X
        if X.means is not None:
            return np.hstack([X.numbers, X.means])
        if not len(self.mean_column):
            return X.numbers
        codes = torch.from_numpy(X.codes.astype(np.int64))
        return _with_means(dense_tensor(X.numbers), codes, self._tensors(codes.device)).numpy()

    def updated(self, X: Table | Matrix, weight: np.ndarray) -> "Encoder":
        """Return the Encoder learned from earlier rows and from these.

        Means and standard deviations are those of all rows, and a constant column may begin to
        vary. New missing values and categories get columns. Bins and target means do not change.
        """
        numbers = self.numbers_of(X)
        known = Moments(self.center, self.scale, self.total)
        if math.isfinite(self.bound):
            known += clipped_moments(known, numbers, weight)
        else:
            known += moments(numbers, weight)
        has_missing = columns_with_missing(numbers, weight)
        updates: dict[str, Any] = {
            "center": known.mean,
            "inverse_scale": known.inverse_deviation(int(np.count_nonzero(weight))),
            "total": known.total,
            "indicator_column": np.union1d(self.indicator_column, has_missing).astype(np.intp),
        }
        if isinstance(X, Table):
            updates |= _category_counts(X, weight, self.n_categories > self.n_frequent)
        return replace(self, **updates)

    def with_target_means(self, X: Table | Matrix, y: np.ndarray, weight: np.ndarray) -> "Encoder":
        """Return the Encoder with the target means of these rows, for the same categories."""
        means: dict[str, Any] = target_means(X, y, weight) if isinstance(X, Table) else {}
        return replace(self, **means)

    def positions_in(self, later: "Encoder") -> np.ndarray:
        """Return the positions of the result's columns in the result of an `updated` Encoder."""
        p, start = len(self.center), later.bins.stop
        indicators = p + np.searchsorted(later.indicator_column, self.indicator_column)
        bins, categories = np.arange(later.bins.start, later.bins.stop), []
        for n_before, n_frequent, n_later, n_frequent_later in zip(
            self.n_categories, self.n_frequent, later.n_categories, later.n_frequent, strict=True
        ):
            codes = np.arange(n_before)
            categories.append(start + np.where(codes < n_frequent, codes, n_frequent_later))
            start += n_later
        return np.concatenate([np.arange(p), indicators, bins, *categories]).astype(np.intp)

    def apply(self, X: Table | Matrix, dtype: torch.dtype) -> torch.Tensor:
        """Return X encoded, a tensor of shape (n, n_outputs), computed in float64.

        Parameters
        ----------
        X : Table, array, CSR matrix or tensor of shape (n, n_features)
        dtype : torch.dtype
            Of the result.
        """
        numbers = dense_tensor(self.numbers_of(X))
        codes = torch.from_numpy(X.codes.astype(np.int64)) if isinstance(X, Table) else None
        return _encode(numbers, codes, self._tensors(numbers.device), dtype)

    def to_module(self, dtype: torch.dtype) -> "EncodingLayer":
        """Return a torch.nn.Module that encodes a tensor X, with a result of this dtype."""
        return EncodingLayer(self, dtype)

    def merges_exactly(self, dtype: DTypeLike) -> bool:
        """Return whether `merge` loses nothing but a thousandth of a standard deviation.

        In float32, numbers of mean 1e6 and standard deviation 1 lose more than that before they
        reach the network, unless they are standardised in float64 first.
        """
        if math.isfinite(self.bound) or self.n_outputs > len(self.center):
            return False
        root = np.sqrt(np.finfo(dtype).max)
        scale = self.inverse_scale[self.inverse_scale > 0]
        if ((scale < 1 / root) | (scale > root)).any():
            return False
        error = np.abs(self.center * self.inverse_scale).max() * np.finfo(dtype).eps
        return bool(error < 1e-3)

    def merge(self, W: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the weights and biases of a first layer that takes X and standardises it.

        ``((X - center) * s) W + b = X (s W) + (b - center (s W))``
        """
        W = self.inverse_scale[:, None] * W
        return W, b - self.center @ W

    def rescaled(
        self, W: np.ndarray, b: np.ndarray, earlier: "Encoder"
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return a first layer that computes of these inputs what W and b do of `earlier` ones.

        A column that was constant keeps its weights, and so do all columns if they are clipped,
        since no weights compute the same then.
        """
        if math.isfinite(self.bound):
            return W, b
        varied, n_numbers = earlier.inverse_scale > 0, len(self.center)
        factor = np.ones(W.shape[-2])
        factor[:n_numbers][varied] = (self.scale * earlier.inverse_scale)[varied]
        shift = (self.center - earlier.center) * earlier.inverse_scale
        return factor[:, None] * W, b + shift @ W[..., :n_numbers, :]

    def _tensors(self, device: torch.device) -> SimpleNamespace:
        """Return what encoding needs, with tensors on the device; an empty array is None."""
        arrays = {name: v for name, v in vars(self).items() if name not in ("bound", "total")}
        tensors = {name: as_tensor(v, device) if len(v) else None for name, v in arrays.items()}
        n_one_hot = int(self.n_categories.sum())
        return SimpleNamespace(bound=self.bound, n_one_hot=n_one_hot, **tensors)


class EncodingLayer(torch.nn.Module):
    """An Encoder as a layer before the first one.

    A categorical column of the input tensor holds indices into `categories_`, and the number of
    categories for any other category. Numbers are encoded in float64, unless ``float()``,
    ``half()`` or ``to(dtype)`` has changed the module.
    """

    numeric: torch.Tensor | None
    categorical: torch.Tensor | None
    inner: torch.Tensor
    outer: torch.Tensor

    def __init__(self, encoder: Encoder, dtype: torch.dtype) -> None:
        super().__init__()
        tensors = vars(encoder._tensors(torch.device("cpu")))
        self.bound, self.n_one_hot = tensors.pop("bound"), tensors.pop("n_one_hot")
        is_categorical = torch.from_numpy(encoder.is_categorical)
        for name, is_chosen in (("numeric", ~is_categorical), ("categorical", is_categorical)):
            tensors[name] = is_chosen.nonzero()[:, 0] if is_chosen.any() else None
        for name, tensor in tensors.items():
            self.register_buffer(name, None if tensor is None else tensor.clone())
        # Empty tensors hold the dtypes, since torch converts them with the module.
        for name, its_dtype in (("inner", torch.float64), ("outer", dtype)):
            empty = torch.empty(0, dtype=its_dtype, device="cpu")
            self.register_buffer(name, empty, persistent=False)

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """Return X of shape (n_samples, n_features) encoded."""
        if self.categorical is None:
            return _encode(X.to(self.inner.dtype), None, self, self.outer.dtype)
        numbers = X[:, :0] if self.numeric is None else X[:, self.numeric]
        codes = X[:, self.categorical]
        numbers = _with_means(numbers.to(self.inner.dtype), codes, self)
        return _encode(numbers, codes, self, self.outer.dtype)


def _encode(
    numbers: torch.Tensor, codes: torch.Tensor | None, tensors: Any, dtype: torch.dtype
) -> torch.Tensor:
    """Encode numbers and the codes of categories with the tensors of an Encoder."""
    Z = numbers
    if tensors.center is not None:
        Z = (numbers - tensors.center).mul_(tensors.inverse_scale)
        if math.isfinite(tensors.bound):
            # Clipped where its square would overflow, z is at the bound already.
            limit = tensors.bound * math.sqrt(torch.finfo(Z.dtype).max) / 2
            Z = Z.clamp_(-limit, limit)
            Z = Z / (Z / tensors.bound).square_().add_(1).sqrt_()
        else:
            # Products of the inputs must not overflow in the dtype of the network.
            limit = math.sqrt(torch.finfo(dtype).max)
            Z = Z.clamp_(-limit, limit)
        Z = Z.nan_to_num_(0.0)
    parts = [Z.to(dtype)]
    if tensors.indicator_column is not None:
        parts.append(numbers[:, tensors.indicator_column].isnan().to(dtype))
    if tensors.bin_column is not None:
        fraction = (numbers[:, tensors.bin_column] - tensors.bin_start) * tensors.bin_scale
        parts.append(fraction.clamp(0, 1).nan_to_num(0.0).to(dtype))
    encoded = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
    if codes is None or tensors.n_categories is None:
        return encoded
    return _with_categories(encoded, codes, tensors)


def _with_means(numbers: torch.Tensor, codes: torch.Tensor, tensors: Any) -> torch.Tensor:
    """Return the numbers followed by the target means of the categories."""
    if tensors.mean_column is None:
        return numbers
    codes, n_known = codes[:, tensors.mean_column], tensors.n_means - 1
    is_known = (codes >= 0) & (codes < n_known)
    first = tensors.n_means.cumsum(0) - tensors.n_means
    positions = torch.where(is_known, codes, n_known).long() + first
    return torch.cat([numbers, tensors.category_mean[positions].flatten(1)], dim=1)


def _with_categories(encoded: torch.Tensor, codes: torch.Tensor, tensors: Any) -> torch.Tensor:
    """Return the encoded numbers followed by the one-hot encoded categories."""
    start = encoded.shape[1]
    stop = start + tensors.n_one_hot
    first = start + tensors.n_categories.cumsum(0) - tensors.n_categories
    codes = torch.minimum(codes, tensors.n_frequent.to(codes.dtype))  # rare ones are "other"
    has_column = (codes >= 0) & (codes < tensors.n_categories)
    # A category without a column goes to an extra column, which is dropped at the end.
    column = torch.where(has_column, codes + first, stop).long()
    columns = encoded.new_zeros((encoded.shape[0], stop + 1))
    columns[:, :start] = encoded
    return columns.scatter_(1, column, 1.0)[:, :stop]


def identity_encoder(n_features: int) -> Encoder:
    """Return an Encoder that leaves n_features numbers as they are."""
    return Encoder(
        np.zeros(n_features, dtype=bool),
        center=np.zeros(n_features),
        inverse_scale=np.ones(n_features),
        total=np.full(n_features, np.inf),
    )


def fit_encoder(
    X: Table | Matrix,
    weight: np.ndarray,
    standardize: bool | str = True,
    numeric_embedding: str | None = None,
    y: np.ndarray | None = None,
    processes: SingleProcess = SINGLE_PROCESS,
) -> Encoder:
    """Fit an Encoder.

    Parameters
    ----------
    X : Table, array, CSR matrix or tensor of shape (n_samples, n_features)
    weight : array of shape (n_samples,)
        Rows of weight 0 do not count.
    standardize : {True, False, "smooth_clip", "robust"}, default=True
        As in the estimators.
    numeric_embedding : {None, "piecewise_linear"}, default=None
        As in the estimators.
    y : array of shape (n_samples,) or (n_samples, k) or None, default=None
        For the target means of a Table with rare categories.
    processes : SingleProcess or Communicator, default=SINGLE_PROCESS
        The processes among which the rows are distributed.
    """
    means: dict[str, Any] = {}
    if isinstance(X, Table):
        means = target_means(X, y, weight, processes)
    numbers = replace(identity_encoder(0), **means).numbers_of(X)
    fitted = means.copy()
    if standardize:
        if standardize == "robust":
            found = robust_moments(numbers, weight, processes)
        else:
            found = moments(numbers, weight, standardize == "smooth_clip", processes)
        n_rows = int(processes.allreduce(np.array(np.count_nonzero(weight))))
        fitted["center"], fitted["total"] = found.mean, found.total
        fitted["inverse_scale"] = found.inverse_deviation(n_rows)
    if isinstance(standardize, str):
        fitted["bound"] = BOUND
    fitted["indicator_column"] = columns_with_missing(numbers, weight, processes)
    if numeric_embedding is not None:
        fitted |= find_bins(numbers, weight, processes)
    if isinstance(X, Table):
        fitted["is_categorical"] = X.is_categorical
        fitted |= _category_counts(X, weight, processes=processes)
    return replace(identity_encoder(numbers.shape[1]), **fitted)


def _category_counts(
    X: Table,
    weight: np.ndarray,
    has_others: np.ndarray | bool = False,
    processes: SingleProcess = SINGLE_PROCESS,
) -> dict[str, np.ndarray]:
    """Return `n_categories` and `n_frequent`, with a column for other categories if there are any.

    `has_others` says which columns need it in any case.
    """
    n_others = (X.codes[weight > 0] >= X.n_frequent).sum(axis=0)
    has_others = has_others | (processes.allreduce(n_others) > 0)
    return {"n_categories": X.n_frequent + has_others, "n_frequent": X.n_frequent}
