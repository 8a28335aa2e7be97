"""Weighted statistics of columns: moments, quantiles, limits, missing and infinite values.

Missing values do not count, nor do rows of weight 0.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import sparse

from skdnn.data.frames import dense_tensor, row_chunks
from skdnn.processes import SINGLE_PROCESS, SingleProcess

Matrix: TypeAlias = np.ndarray | sparse.csr_array | torch.Tensor

# The farthest of n normal numbers is expected sqrt(2 log n) deviations from the mean. A number this
# many deviations farther away may be an outlier.
_OUTLIER_MARGIN = 1.0
# An outlier is this many interquartile ranges below the first or above the third quartile. In a
# normal column that is 7.4 deviations from the mean.
_FENCE = 5.0
# In later rows, an outlier is this many deviations from the mean of the earlier rows.
_FENCE_IN_DEVIATIONS = 10.0
# Fences are computed from at most this many rows, drawn at random.
_ROWS_FOR_QUARTILES = 20_000
# Processes exchange at most this many values of a column.
_MOST_VALUES = 2**22
# Squares of numbers between these neither underflow nor overflow.
_SMALL, _LARGE = 1e-140, 1e150


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of each column, and the weight of its values.

    Attributes
    ----------
    mean, deviation, total : arrays of shape (n_features,)
        0 for a column without values. With an infinite total, later rows change nothing.
    """

    mean: np.ndarray
    deviation: np.ndarray
    total: np.ndarray

    def __add__(self, other: "Moments") -> "Moments":
        """Return the Moments of the rows of both [1]_.

        References
        ----------
        .. [1] T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating formulae and a pairwise algorithm
           for computing sample variances", Stanford University, 1979.
        """
        total = self.total + other.total
        fraction = np.divide(other.total, total, out=np.zeros_like(total), where=total > 0)
        step = other.mean - self.mean
        within = np.hypot(
            np.sqrt(1 - fraction) * self.deviation, np.sqrt(fraction) * other.deviation
        )
        between = np.sqrt(fraction * (1 - fraction)) * step
        return Moments(self.mean + fraction * step, np.hypot(within, between), total)

    def inverse_deviation(self, n_rows: int) -> np.ndarray:
        """Return 1 / deviation, and 0 for a constant column.

        A column counts as constant if its deviation is below the rounding error of `n_rows` rows.
        """
        rounding = n_rows * np.finfo(np.float64).eps * np.abs(self.mean)
        varies = self.deviation > np.maximum(rounding, 1 / np.finfo(np.float64).max)
        return np.divide(1.0, self.deviation, out=np.zeros_like(self.mean), where=varies)


def moments(
    X: Matrix, weight: np.ndarray, bounded: bool = False, processes: SingleProcess = SINGLE_PROCESS
) -> Moments:
    """Compute the Moments of the columns of X, chunk by chunk.

    Parameters
    ----------
    X : array, CSR matrix or tensor of shape (n_samples, n_features)
    weight : array of shape (n_samples,)
    bounded : bool, default=False
        Clip outliers to the fences, which are five interquartile ranges beyond the quartiles. A
        single outlier could otherwise dominate mean and deviation.
    processes : SingleProcess or Communicator, default=SINGLE_PROCESS
        The processes among which the rows are distributed.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data.encoding._statistics import moments
    >>> X = np.array([[1.0, 5.0], [3.0, np.nan], [99.0, 7.0]])
    >>> found = moments(X, np.array([1.0, 1.0, 0.0]))
    >>> found.mean, found.deviation
    (array([2., 5.]), array([1., 0.]))
    """
    found, farthest = _moments(X, weight, processes)
    needs_refinement = ~np.isfinite(found.mean) | ~np.isfinite(found.deviation)
    needs_refinement |= (
        (found.deviation < _SMALL) & (found.mean != 0) & (np.abs(found.mean) < _SMALL)
    )
    if bounded:
        n_rows = int(processes.allreduce(np.array(np.count_nonzero(weight))))
        needs_refinement |= is_outlier(farthest, found.deviation, n_rows)
    if not needs_refinement.any():
        return found
    columns = np.flatnonzero(needs_refinement)
    no_limits = np.outer([-np.inf, np.inf], np.ones(len(columns)))
    limits = _fences(X, weight, columns, processes) if bounded else no_limits
    refined, _ = _moments(X, weight, processes, columns, limits)
    for name, values in vars(found).items():
        values[columns] = getattr(refined, name)
    return found


def is_outlier(farthest: np.ndarray, deviation: np.ndarray, n_rows: int) -> np.ndarray:
    """Return whether numbers at these distances from the mean may be outliers among n rows."""
    return farthest > (np.sqrt(2 * np.log(max(2, n_rows))) + _OUTLIER_MARGIN) * deviation


def clipped_moments(known: Moments, X: Matrix, weight: np.ndarray) -> Moments:
    """Return the Moments of later rows, with outliers clipped to 10 known deviations."""
    reach = _FENCE_IN_DEVIATIONS * np.where(known.deviation > 0, known.deviation, np.inf)
    limits = np.stack([known.mean - reach, known.mean + reach])
    return _moments(X, weight, SINGLE_PROCESS, np.arange(X.shape[1]), limits)[0]


def _moments(
    X: Matrix,
    weight: np.ndarray,
    processes: SingleProcess,
    columns: np.ndarray | None = None,
    limits: np.ndarray | None = None,
) -> tuple[Moments, np.ndarray]:
    """Return the Moments of the columns, and the largest distance of a number from its mean.

    Parameters
    ----------
    columns : array of int of shape (n,) or None
        None for all columns, without limits.
    limits : array of shape (2, n)
        Numbers are clipped to these.
    """
    weighted_means = partial(_weighted_means, X, weight, processes, columns, limits)
    unit = np.ones(1)
    if limits is not None:
        bound = np.abs(limits).max(axis=0)
        if not ((bound > _SMALL) & (bound < _LARGE)).all():
            # Measured in units of the largest number, no square overflows.
            _, _, largest = weighted_means(unit, torch.abs)
            unit = np.where(largest > 0, largest, 1.0)
    mean, _, _ = weighted_means(unit, lambda values: values)
    center = torch.from_numpy(mean)
    variance, total, largest = weighted_means(
        unit, lambda values: (values - center.to(values.device)).square_()
    )
    return Moments(unit * mean, unit * np.sqrt(variance), total), unit * np.sqrt(largest)


def _weighted_means(
    X: Matrix,
    weight: np.ndarray,
    processes: SingleProcess,
    columns: np.ndarray | None,
    limits: np.ndarray | None,
    unit: np.ndarray,
    terms_of: Callable[[torch.Tensor], torch.Tensor],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return weighted means of terms, the weight of the values, and the largest positive term.

    The terms are ``terms_of(clip(x, *limits) / unit)``, or without `columns` ``terms_of(x)``.
    """
    n_columns = X.shape[1] if columns is None else len(columns)
    sums, largest = np.zeros((2, n_columns)), np.zeros(n_columns)
    for rows in row_chunks(X):
        counts = weight[rows] > 0
        if not counts.any():
            continue
        values = dense_tensor(X[rows] if counts.all() else X[rows][counts])
        if limits is not None:
            low, high, size = (torch.from_numpy(v).to(values.device) for v in (*limits, unit))
            values = values[:, columns].clamp(low, high) / size
        terms = terms_of(values)
        weights = torch.from_numpy(weight[rows][counts]).to(terms.device)
        numerator, maximum = weights @ terms, terms.amax(dim=0)
        total = weights.sum().expand_as(numerator)
        if maximum.isnan().any():
            is_there = (~terms.isnan()).double()
            terms = terms.nan_to_num(0.0, posinf=torch.inf, neginf=-torch.inf)
            numerator, total, maximum = weights @ terms, weights @ is_there, terms.amax(dim=0)
        sums += torch.stack([numerator, total]).cpu().numpy()
        largest = np.maximum(largest, maximum.cpu().numpy())
    numerators, totals = processes.allreduce(sums)
    means = numerators / np.where(totals > 0, totals, 1.0)
    return means, totals, processes.allreduce_max(largest)


def _fences(
    X: Matrix, weight: np.ndarray, columns: np.ndarray, processes: SingleProcess
) -> np.ndarray:
    """Return the limits beyond which numbers are outliers, of shape (2, n); infinite for none.

    If most values of a column are the same, its quartiles are those of the other values.
    """
    rows, (n_all, numbers) = np.flatnonzero(weight), processes.number_rows(weight > 0)
    if n_all > _ROWS_FOR_QUARTILES:
        draw = np.random.default_rng(0).choice(n_all, _ROWS_FOR_QUARTILES, replace=False)
        rows = rows[np.isin(numbers, draw)]
    fences, fractions = [], (0.25, 0.5, 0.75)
    for values, weights in columns_with_weights(X, weight, rows, columns, processes):
        quartiles = quantiles(values, weights, fractions)
        if len(quartiles) and quartiles[0] == quartiles[2]:
            is_other = values != quartiles[1]
            quartiles = quantiles(values[is_other], weights[is_other], fractions)
        if len(quartiles) and quartiles[0] < quartiles[2]:
            reach = _FENCE * (quartiles[2] - quartiles[0])
            fences.append((quartiles[0] - reach, quartiles[2] + reach))
        else:
            fences.append((-np.inf, np.inf))
    return np.transpose(fences)


def robust_moments(X: Matrix, weight: np.ndarray, processes: SingleProcess) -> Moments:
    """Return medians and interquartile ranges as Moments; half the range where the latter is 0.

    Later rows change only columns that do not vary yet: the total of the others is infinite.
    """
    columns = np.zeros((X.shape[1], 5))
    for column, found in zip(
        columns, weighted_quantiles(X, weight, np.linspace(0, 1, 5), processes), strict=True
    ):
        column[: len(found)] = found
    low, first, median, third, high = columns.T
    width = np.where(third > first, third - first, high / 2 - low / 2)
    total = np.full(X.shape[1], np.inf)
    if not width.all():
        total[width == 0] = moments(X, weight, processes=processes).total[width == 0]
    return Moments(median, width, total)


def columns_with_missing(
    X: Matrix, weight: np.ndarray, processes: SingleProcess = SINGLE_PROCESS
) -> np.ndarray:
    """Return the indices of the columns with a missing value in a row of positive weight."""
    has_missing = np.zeros(X.shape[1], dtype=bool)
    for rows in () if sparse.issparse(X) else row_chunks(X):
        is_missing = dense_tensor(X[rows]).isnan().cpu().numpy()
        has_missing |= is_missing[weight[rows] > 0].any(axis=0)
    return np.flatnonzero(processes.allreduce(has_missing.astype(int)))


def columns_with_infinity(X: Matrix) -> np.ndarray:
    """Return the indices of the columns with an infinite number.

    Parameters
    ----------
    X : array, CSR matrix or tensor of shape (n_samples, n_features)
    """
    has_infinity = np.zeros(X.shape[1], dtype=bool)
    if isinstance(X, torch.Tensor):
        for rows in row_chunks(X):
            has_infinity |= X[rows].double().isinf().any(dim=0).cpu().numpy()
    elif isinstance(X, np.ndarray):
        for rows in row_chunks(X) if X.dtype.kind == "f" else ():
            has_infinity |= np.isinf(X[rows]).any(axis=0)
    else:
        has_infinity[X.indices[np.isinf(X.data)]] = True
    return np.flatnonzero(has_infinity)


def column_limits(
    X: Matrix, weight: np.ndarray, processes: SingleProcess = SINGLE_PROCESS
) -> tuple[np.ndarray, np.ndarray]:
    """Return the minimum and the maximum of each column over the rows of positive weight.

    They are inf and -inf for a column without values.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data.encoding import column_limits
    >>> X = np.array([[1.0, np.nan], [3.0, 5.0], [99.0, 7.0]])
    >>> column_limits(X, np.array([1.0, 1.0, 0.0]))
    (array([1., 5.]), array([3., 5.]))
    """
    low, high = np.full(X.shape[1], np.inf), np.full(X.shape[1], -np.inf)
    for rows in row_chunks(X):
        chunk = dense_tensor(X[rows]).cpu().numpy()[weight[rows] > 0]
        low = np.fmin(low, np.fmin.reduce(chunk, axis=0, initial=np.inf))
        high = np.fmax(high, np.fmax.reduce(chunk, axis=0, initial=-np.inf))
    return -processes.allreduce_max(-low), processes.allreduce_max(high)


def is_far_outside(X: Matrix, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return which numbers lie outside the limits of their column by more than its range.

    No number of a column without a range, constant or without values, does.

    Parameters
    ----------
    X : array, CSR matrix or tensor of shape (n_samples, n_features)
    low, high : arrays of shape (n_features,)

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data.encoding import is_far_outside
    >>> low, high = np.array([0.0, 5.0]), np.array([10.0, 5.0])
    >>> is_far_outside(np.array([[11.0, 7.0], [-12.0, np.nan]]), low, high)
    array([[False, False],
           [ True, False]])
    """
    width = high - low
    far = [
        (chunk < low - width) | (chunk > high + width)
        for chunk in (dense_tensor(X[rows]).cpu().numpy() for rows in row_chunks(X))
    ]
    return np.concatenate([np.empty((0, len(width)), bool), *far]) & (width > 0)


def weighted_quantiles(
    X: Matrix,
    weight: np.ndarray,
    fractions: ArrayLike,
    processes: SingleProcess = SINGLE_PROCESS,
) -> Iterator[np.ndarray]:
    """Yield the weighted quantiles of each column.

    Parameters
    ----------
    X : array, CSR matrix or tensor of shape (n_samples, n_features)
    weight : array of shape (n_samples,)
    fractions : array of shape (k,)
        From 0 to 1.
    processes : SingleProcess or Communicator, default=SINGLE_PROCESS
        The processes among which the rows are distributed.

    Yields
    ------
    array of shape (k,), or (0,) for a column without values

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data.encoding._statistics import weighted_quantiles
    >>> list(weighted_quantiles(np.arange(101.0)[:, None], np.ones(101), [0, 0.25, 1]))
    [array([  0.,  25., 100.])]
    """
    rows, columns = np.flatnonzero(weight), range(X.shape[1])
    for values, weights in columns_with_weights(X, weight, rows, columns, processes):
        yield quantiles(values, weights, fractions)


def columns_with_weights(
    X: Matrix,
    weight: np.ndarray,
    rows: np.ndarray,
    columns: Iterable[int],
    processes: SingleProcess = SINGLE_PROCESS,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the values of each column in some rows, and their weights.

    With several processes, `rows` are those of this process, and the values are those of all
    processes. A process with very many values sends quantiles instead.
    """
    by_column = None if isinstance(X, np.ndarray | torch.Tensor) else X[rows].tocsc()
    for j in columns:
        column = X[rows, j] if by_column is None else by_column[:, [j]].toarray()[:, 0]
        column = dense_tensor(column).cpu().numpy()
        is_there = ~np.isnan(column)
        values, weights = column[is_there], weight[rows][is_there]
        n_all = int(processes.allreduce(np.array(len(values))))
        if processes.size > 1 and n_all > _MOST_VALUES and len(values):
            # A quantile is the median of its interval of the distribution. Means of the intervals
            # would lie closer together than the values do.
            n_points = max(1, _MOST_VALUES * len(values) // n_all)
            fractions = (np.arange(n_points) + 0.5) / n_points
            total = weights.sum()
            values = quantiles(values, weights, fractions)
            weights = np.full(n_points, total / n_points)
        yield tuple(processes.allgather_concat(np.stack([values, weights])))


def quantiles(values: np.ndarray, weight: np.ndarray, fractions: ArrayLike) -> np.ndarray:
    """Return the smallest values at or below which these fractions of the weight lie."""
    if len(values) == 0:
        return values
    order = np.argsort(values, kind="stable")
    cumulated = np.cumsum(weight[order])
    # The factor keeps a rounded fraction of 1 from exceeding the last sum.
    position = np.searchsorted(cumulated, np.multiply(fractions, cumulated[-1]) * (1 - 1e-12))
    return values[order][position]
