"""What standardising and binning learn of a column: means, deviations and quantiles, all weighted.

Missing values do not count, nor do rows of weight 0.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from skdnn.data.frames import dense_tensor, row_chunks
from skdnn.processes import SINGLE_PROCESS

# Where a number lies by so many deviations farther from the mean than the farthest of as many
# normal ones is expected to, sqrt(2 log n), it may be wild.
_FARTHER = 1.0
# Beyond the quartiles by so many times their distance, it is: 7.4 deviations of a normal column.
_FENCE = 5.0
# Among the numbers of later rows, beyond so many deviations.
_FENCE_OF_DEVIATIONS = 10.0
# Quartiles are those of so many rows, drawn at random from more.
_ROWS_FOR_QUARTILES = 20_000
# So many values of a column pass from process to process.
_MOST_VALUES = 2**22
# Between these, squares are neither 0 nor infinite.
_SMALL, _LARGE = 1e-140, 1e150


@dataclass(frozen=True)
class Moments:
    """Mean and deviation of each column, and the weight of the values that they are of.

    Attributes
    ----------
    mean, deviation, total : arrays of shape (n_features,)
        0 for a column without values; an infinite total lets no later rows count.
    """

    mean: np.ndarray
    deviation: np.ndarray
    total: np.ndarray

    def __add__(self, other):
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

    def inverse_deviation(self, n_rows):
        """Return one over the deviations, 0 for a column that is constant.

        A deviation below its own rounding error, over so many rows, is that of a constant.
        """
        rounding = n_rows * np.finfo(np.float64).eps * np.abs(self.mean)
        varies = self.deviation > np.maximum(rounding, 1 / np.finfo(np.float64).max)
        return np.divide(1.0, self.deviation, out=np.zeros_like(self.mean), where=varies)


def moments(X, weight, bounded=False, processes=SINGLE_PROCESS):
    """Return the Moments of the columns of X, read chunk by chunk.

    Parameters
    ----------
    X : array, CSR matrix or tensor of shape (n_samples, n_features)
    weight : array of shape (n_samples,)
    bounded : bool, default=False
        Let numbers that are wild, beyond the quartiles by five times their distance, count as if
        they were just there: one of them would draw mean and deviation to itself.
    processes : SingleProcess or Communicator, default=SINGLE_PROCESS
        Of those that have the other rows.

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
    is_odd = ~np.isfinite(found.mean) | ~np.isfinite(found.deviation)
    is_odd |= (found.deviation < _SMALL) & (found.mean != 0) & (np.abs(found.mean) < _SMALL)
    if bounded:
        n_rows = processes.allreduce(np.array(np.count_nonzero(weight)))
        is_odd |= is_outlier(farthest, found.deviation, n_rows)
    if not is_odd.any():
        return found
    columns = np.flatnonzero(is_odd)
    no_limits = np.outer([-np.inf, np.inf], np.ones(len(columns)))
    limits = _fences(X, weight, columns, processes) if bounded else no_limits
    refined, _ = _moments(X, weight, processes, columns, limits)
    for name, values in vars(found).items():
        values[columns] = getattr(refined, name)
    return found


def is_outlier(farthest, deviation, n_rows):
    """Tell whether numbers so far from their mean may be wild among so many rows."""
    return farthest > (np.sqrt(2 * np.log(max(2, n_rows))) + _FARTHER) * deviation


def moments_within(known, X, weight):
    """Return the Moments of later rows, their numbers bounded by what is known of the column."""
    reach = _FENCE_OF_DEVIATIONS * np.where(known.deviation > 0, known.deviation, np.inf)
    limits = np.stack([known.mean - reach, known.mean + reach])
    return _moments(X, weight, SINGLE_PROCESS, np.arange(X.shape[1]), limits)[0]


def _moments(X, weight, processes, columns=None, limits=None):
    """Return the Moments of the columns, and how far from its mean a number lies at the most."""
    unit = 1.0 if columns is None else _units(X, weight, processes, columns, limits)

    def read(chunk):
        if columns is None:
            return chunk
        low, high, size = (torch.from_numpy(part).to(chunk.device) for part in (*limits, unit))
        return chunk[:, columns].clamp(low, high) / size

    sums, total, _ = _weighted_sums(X, weight, processes, read)
    mean = _ratio(sums, total)
    about = torch.from_numpy(mean)
    squares, total, largest = _weighted_sums(
        X, weight, processes, lambda chunk: (read(chunk) - about.to(chunk.device)).square_()
    )
    deviation = np.sqrt(_ratio(squares, total))
    return Moments(unit * mean, unit * deviation, total), unit * np.sqrt(largest)


def _units(X, weight, processes, columns, limits):
    """Return in which unit each column's numbers have squares that are not beyond float64."""
    bound = np.abs(limits).max(axis=0)
    if ((bound > _SMALL) & (bound < _LARGE)).all():
        return np.ones(len(columns))
    low, high = (torch.from_numpy(limit) for limit in limits)
    _, _, largest = _weighted_sums(
        X,
        weight,
        processes,
        lambda chunk: chunk[:, columns].clamp(low.to(chunk.device), high.to(chunk.device)).abs(),
    )
    return np.where(largest > 0, largest, 1.0)


def _ratio(sums, total):
    return np.divide(sums, total, out=np.zeros_like(sums), where=total > 0)


def _weighted_sums(X, weight, processes, terms_of):
    """Return ``Σ w t``, ``Σ w`` and ``max t`` of terms t of the numbers, of shape (3, n)."""
    found = _weighted_sums_here(X, weight, terms_of)
    sums, largest = processes.allreduce(found[:2]), processes.allreduce_max(found[2:])
    return np.concatenate([sums, largest])


def _weighted_sums_here(X, weight, terms_of):
    found = None
    for rows in row_chunks(X):
        counts = weight[rows] > 0
        if not counts.any():
            continue
        chunk = dense_tensor(X[rows] if counts.all() else X[rows][counts])
        of_chunk = _weighted_sums_of_chunk(terms_of(chunk), weight[rows][counts])
        found = of_chunk if found is None else _joined(found, of_chunk)
    if found is not None:
        return found
    n_terms = terms_of(dense_tensor(X[:0])).shape[1]
    return np.zeros((3, n_terms))


def _joined(found, of_chunk):
    return np.concatenate([found[:2] + of_chunk[:2], np.maximum(found[2:], of_chunk[2:])])


def _weighted_sums_of_chunk(terms, weight):
    weight = torch.from_numpy(weight).to(terms.device)
    sums, largest = weight @ terms, terms.amax(dim=0)
    total = weight.sum().expand_as(sums)
    if largest.isnan().any():
        is_there = ~terms.isnan()
        terms = terms.nan_to_num(0.0, posinf=torch.inf, neginf=-torch.inf)
        sums, total, largest = weight @ terms, weight @ is_there.double(), terms.amax(dim=0)
    return torch.stack([sums, total, largest]).cpu().numpy()


def _fences(X, weight, columns, processes):
    """Return below and above what a number is wild, for some columns; infinite for no bound.

    Of a column that is mostly one value, the quartiles are those of its other values.
    """
    rows, (n_all, numbers) = np.flatnonzero(weight), processes.number_rows(weight > 0)
    if n_all > _ROWS_FOR_QUARTILES:
        draw = np.random.default_rng(0).choice(n_all, _ROWS_FOR_QUARTILES, replace=False)
        rows = rows[np.isin(numbers, draw)]
    found = columns_with_weights(X, weight, rows, columns, processes)
    return np.transpose([_fence(*column) for column in found])


def _fence(values, weight):
    quartiles = quantiles(values, weight, (0.25, 0.5, 0.75))
    if len(quartiles) and quartiles[0] == quartiles[2]:
        is_other = values != quartiles[1]
        quartiles = quantiles(values[is_other], weight[is_other], (0.25, 0.5, 0.75))
    if len(quartiles) == 0 or quartiles[0] == quartiles[2]:
        return -np.inf, np.inf
    reach = _FENCE * (quartiles[2] - quartiles[0])
    return quartiles[0] - reach, quartiles[2] + reach


def columns_with_missing(X, weight, processes=SINGLE_PROCESS):
    """Return the indices of the columns that miss a value in some row of a weight above 0."""
    has_missing = np.zeros(X.shape[1], dtype=bool)
    for rows in () if sparse.issparse(X) else row_chunks(X):
        is_missing = dense_tensor(X[rows]).isnan().cpu().numpy()
        has_missing |= is_missing[weight[rows] > 0].any(axis=0)
    return np.flatnonzero(processes.allreduce(has_missing.astype(int)))


def columns_with_infinity(X):
    """Return the indices of the columns that hold an infinite number.

    Parameters
    ----------
    X : array, CSR matrix or tensor of shape (n_samples, n_features)
    """
    has_infinity = np.zeros(X.shape[1], dtype=bool)
    if sparse.issparse(X):
        has_infinity[X.indices[np.isinf(X.data)]] = True
        return np.flatnonzero(has_infinity)
    is_tensor = isinstance(X, torch.Tensor)
    for rows in row_chunks(X) if is_tensor or X.dtype.kind == "f" else ():
        is_infinite = X[rows].double().isinf().cpu().numpy() if is_tensor else np.isinf(X[rows])
        has_infinity |= is_infinite.any(axis=0)
    return np.flatnonzero(has_infinity)


def column_limits(X, weight, processes=SINGLE_PROCESS):
    """Return the smallest and the largest number of each column in rows of a weight above 0.

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


def is_far_outside(X, low, high):
    """Tell which numbers of X lie outside the limits of their columns by more than their distance.

    None does of a column that is constant or without values between the limits.

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


def weighted_quantiles(X, weight, fractions, processes=SINGLE_PROCESS):
    """Yield for each column the smallest values below or at which lie these shares of the weight.

    Parameters
    ----------
    X : array, CSR matrix or tensor of shape (n_samples, n_features)
    weight : array of shape (n_samples,)
    fractions : array of shape (k,)
        From 0 to 1.
    processes : SingleProcess or Communicator, default=SINGLE_PROCESS
        Of those that have the other rows.

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
    for values, their_weight in columns_with_weights(
        X, weight, np.flatnonzero(weight), range(X.shape[1]), processes
    ):
        yield quantiles(values, their_weight, fractions)


def columns_with_weights(X, weight, rows, columns, processes=SINGLE_PROCESS):
    """Yield for each column the numbers that some rows have there, and their weights.

    Of several processes, each names rows of its own, and all see those of all. Where these are very
    many, each sends so many points of its distribution instead.
    """
    by_column = X[rows].tocsc() if sparse.issparse(X) else None
    for j in columns:
        column = X[rows, j] if by_column is None else by_column[:, [j]].toarray()[:, 0]
        column = dense_tensor(column).cpu().numpy()
        is_there = ~np.isnan(column)
        found = np.stack([column[is_there], weight[rows][is_there]])
        yield tuple(processes.allgather_concat(_thinned(*found, processes)))


def _thinned(values, weight, processes):
    """Return values and weights as they are, or where all processes have too many, points of them.

    Each of the points stands for the same weight: the mean of a part of the sorted values would
    draw its ends together, so it is the middle one.
    """
    n_all = int(processes.allreduce(np.array(len(values))))
    if n_all <= _MOST_VALUES or processes.size == 1:
        return np.stack([values, weight])
    if len(values) == 0:
        return np.empty((2, 0))
    n_points = max(1, _MOST_VALUES * len(values) // n_all)
    fractions = (np.arange(n_points) + 0.5) / n_points
    return np.stack(
        [quantiles(values, weight, fractions), np.full(n_points, weight.sum() / n_points)]
    )


def quantiles(values, weight, fractions):
    """Return the smallest values of a column below or at which lie these shares of the weight."""
    if len(values) == 0:
        return values
    order = np.argsort(values, kind="stable")
    up_to = np.cumsum(weight[order])
    # Rounding must not push the share 1 beyond the last value.
    position = np.searchsorted(up_to, np.multiply(fractions, up_to[-1]) * (1 - 1e-12))
    return values[order][position]
