"""Weighted statistics of columns: moments, quantiles, limits, missing values, sums by category.

Missing values do not count, nor do rows of weight 0.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import sparse

from skdnn.data.frames import Table, dense_tensor, row_chunks
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
# Squares of numbers below this may underflow.
_TINY = 1e-140


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


@dataclass(frozen=True)
class WeightedColumns:
    """Columns of rows with weights, and their statistics.

    Several processes can share the rows. Then the statistics are those of all rows, and every
    process asks for the same ones in the same order.

    Parameters
    ----------
    X : Table, array, CSR matrix or tensor of shape (n_samples, n_features)
    weight : array of shape (n_samples,)
        Rows of weight 0 do not count.
    y : array of shape (n_samples,) or (n_samples, k) or None, default=None
    processes : SingleProcess or Communicator, default=SINGLE_PROCESS
        The processes among which the rows are distributed.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data.encoding import WeightedColumns
    >>> X = np.array([[1.0, np.nan], [3.0, 5.0], [99.0, 7.0]])
    >>> columns = WeightedColumns(X, np.array([1.0, 1.0, 0.0]))
    >>> found = columns.moments()
    >>> found.mean, found.deviation
    (array([2., 5.]), array([1., 0.]))
    >>> columns.limits()
    (array([1., 5.]), array([3., 5.]))
    >>> WeightedColumns(np.arange(101.0)[:, None], np.ones(101)).quantiles([0, 0.25, 1])
    [array([  0.,  25., 100.])]
    """

    X: Any
    weight: np.ndarray
    y: Any = None
    processes: SingleProcess = SINGLE_PROCESS

    @cached_property
    def numbers(self) -> Matrix:
        """The numbers of X, of shape (n_samples, p); the target means of a Table are the last."""
        if not isinstance(self.X, Table):
            return self.X
        return self.X.numbers if self.X.means is None else np.hstack([self.X.numbers, self.X.means])

    @cached_property
    def n_rows(self) -> int:
        """The number of rows that count."""
        return int(self.processes.allreduce(np.array(np.count_nonzero(self.weight))))

    def first_row(self) -> np.ndarray:
        """Return the first row that counts, of an array X."""
        of_each = self.processes.allgather(self.X[np.flatnonzero(self.weight)[:1]])
        return next(filter(len, of_each))[0]

    def moments(self, bounded: bool = False) -> Moments:
        """Return the Moments of the numbers, computed chunk by chunk.

        Parameters
        ----------
        bounded : bool, default=False
            Clip outliers to the fences, which are five interquartile ranges beyond the quartiles. A
            single outlier could otherwise dominate mean and deviation.
        """
        found, farthest = self._moments()
        is_tiny = (np.abs(found.mean) < _TINY) & (found.deviation < _TINY) & (found.mean != 0)
        needs_refinement = ~np.isfinite(found.deviation) | is_tiny
        if bounded:
            # Two numbers have no fences: the rarer one is no outlier.
            has_more_than_two = np.isnan(self.two_valued[0])
            needs_refinement |= has_more_than_two & is_outlier(
                farthest, found.deviation, self.n_rows
            )
        if not needs_refinement.any():
            return found
        columns = np.flatnonzero(needs_refinement)
        no_limits = np.outer([-np.inf, np.inf], np.ones(len(columns)))
        refined, _ = self._moments(columns, self._fences(columns) if bounded else no_limits)
        for name, values in vars(found).items():
            values[columns] = getattr(refined, name)
        return found

    def moments_near(self, known: Moments) -> Moments:
        """Return the Moments of the numbers, with outliers clipped to 10 known deviations."""
        reach = _FENCE_IN_DEVIATIONS * np.where(known.deviation > 0, known.deviation, np.inf)
        limits = np.stack([known.mean - reach, known.mean + reach])
        return self._moments(np.arange(self.numbers.shape[1]), limits)[0]

    def robust_moments(self) -> Moments:
        """Return medians and interquartile ranges as Moments; half the range where the latter is 0.

        Later rows change only columns that do not vary yet: the total of the others is infinite.
        """
        columns = np.zeros((self.numbers.shape[1], 5))
        for column, found in zip(columns, self.quantiles(np.linspace(0, 1, 5)), strict=True):
            column[: len(found)] = found
        low, first, median, third, high = columns.T
        width = np.where(third > first, third - first, high / 2 - low / 2)
        total = np.full(len(columns), np.inf)
        if not width.all():
            total[width == 0] = self.moments().total[width == 0]
        return Moments(median, width, total)

    def quantiles(self, fractions: ArrayLike) -> list[np.ndarray]:
        """Return the weighted quantiles of each column, or an empty array without values.

        Parameters
        ----------
        fractions : array of shape (k,)
            From 0 to 1.
        """
        return [quantiles(*column, fractions) for column in self.values()]

    def values(
        self, columns: Iterable[int] | None = None, rows: np.ndarray | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the values of each column, or of some columns and rows, and their weights.

        With several processes, `rows` are those of this process, and the values are those of all
        processes. A process with very many values sends quantiles instead.
        """
        X, processes = self.numbers, self.processes
        rows = np.flatnonzero(self.weight) if rows is None else rows
        by_column = None if isinstance(X, np.ndarray | torch.Tensor) else X[rows].tocsc()
        for j in range(X.shape[1]) if columns is None else columns:
            column = X[rows, j] if by_column is None else by_column[:, [j]].toarray()[:, 0]
            column = dense_tensor(column).cpu().numpy()
            is_there = ~np.isnan(column)
            values, weights = column[is_there], self.weight[rows][is_there]
            n_all = int(processes.allreduce(np.array(len(values))))
            if processes.size > 1 and n_all > _MOST_VALUES and len(values):
                # A quantile is the median of its interval of the distribution. Means of the
                # intervals would lie closer together than the values do.
                n_points = max(1, _MOST_VALUES * len(values) // n_all)
                fractions = (np.arange(n_points) + 0.5) / n_points
                total = weights.sum()
                values = quantiles(values, weights, fractions)
                weights = np.full(n_points, total / n_points)
            yield tuple(processes.allgather_concat(np.stack([values, weights])))

    def with_missing(self) -> np.ndarray:
        """Return the indices of the columns with a missing value."""
        X = self.numbers
        has_missing = np.zeros(X.shape[1], dtype=bool)
        for rows in () if sparse.issparse(X) else row_chunks(X):
            is_missing = dense_tensor(X[rows]).isnan().cpu().numpy()
            has_missing |= is_missing[self.weight[rows] > 0].any(axis=0)
        return np.flatnonzero(self.processes.allreduce(has_missing.astype(int)))

    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the minimum and the maximum of each column, inf and -inf without values."""
        X = self.numbers
        low, high = np.full(X.shape[1], np.inf), np.full(X.shape[1], -np.inf)
        for rows in row_chunks(X):
            chunk = dense_tensor(X[rows]).cpu().numpy()[self.weight[rows] > 0]
            low = np.fmin(low, np.fmin.reduce(chunk, axis=0, initial=np.inf))
            high = np.fmax(high, np.fmax.reduce(chunk, axis=0, initial=-np.inf))
        lows, highs = zip(*self.processes.allgather((low, high)), strict=True)
        return np.min(lows, axis=0), np.max(highs, axis=0)

    @cached_property
    def two_valued(self) -> tuple[np.ndarray, np.ndarray]:
        """Half the range of each column with at most two distinct numbers, and its variance.

        The variance is in units of the square of half the range: ``4 f (1 - f)`` where the larger
        number has a fraction f of the weight. Of a column with more than two distinct numbers they
        are NaN and 1.
        """
        X, p = self.numbers, self.numbers.shape[1]
        low, high = np.full(p, np.inf), np.full(p, -np.inf)
        has_more = np.zeros(p, dtype=bool)
        of_high, total = np.zeros((2, p))
        for rows in row_chunks(X):
            columns = np.flatnonzero(~has_more)
            if not len(columns):
                break
            weight = self.weight[rows]
            chunk = dense_tensor(X[rows]).cpu().numpy()[weight > 0][:, columns]
            known = low[columns], high[columns]
            low[columns] = np.fmin(known[0], np.fmin.reduce(chunk, axis=0, initial=np.inf))
            high[columns] = np.fmax(known[1], np.fmax.reduce(chunk, axis=0, initial=-np.inf))
            values = np.concatenate([np.stack(known), chunk])
            has_more[columns] = is_between(values, low[columns], high[columns])
            weight = weight[weight > 0]
            # The larger number of the rows before may be the smaller one of these.
            of_high[columns] *= known[1] == high[columns]
            of_high[columns] += weight @ (chunk == high[columns])
            total[columns] += weight @ ~np.isnan(chunk)
        parts = self.processes.allgather((low, high, has_more, of_high, total))
        lows, highs, are_more, of_highs, totals = map(np.stack, zip(*parts, strict=True))
        low, high, total = lows.min(axis=0), highs.max(axis=0), totals.sum(axis=0)
        has_more = are_more.any(axis=0) | is_between(np.concatenate([lows, highs]), low, high)
        of_high = np.where(highs == high, of_highs, 0).sum(axis=0)
        fraction = np.divide(of_high, total, out=np.ones(p), where=total > 0)
        half_range = np.where(high > low, high / 2 - low / 2, 0.0)
        variance = 4 * fraction * (1 - fraction)
        return np.where(has_more, np.nan, half_range), np.where(has_more, 1.0, variance)

    def has_others(self) -> np.ndarray:
        """Return for each categorical column whether a row has a category that is not frequent."""
        n_others = (self.X.codes[self.weight > 0] >= self.X.n_frequent).sum(axis=0)
        return self.processes.allreduce(n_others) > 0

    def sums_by_category(
        self, columns: np.ndarray, fold: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield for each column ``Σ w y`` and ``Σ w`` by fold and category, and the mean of all y.

        The weights are scaled to a mean of 1. The sums are of shape (n_folds, n_categories + 1, k)
        and (n_folds, n_categories + 1, 1).
        """
        total = self.processes.allreduce(self.weight.sum())
        weight = self.weight * (self.n_rows / total)
        y = self.y if self.y.ndim == 2 else self.y[:, None]
        terms = np.column_stack([weight[:, None] * y, weight])
        mean = self.processes.allreduce(terms[:, :-1].sum(axis=0)) / self.n_rows
        n_folds = 1 + max(self.processes.allgather(int(fold.max(initial=0))))
        for j in columns:
            shape = n_folds, len(self.X.categories[j]) + 1
            position = fold * shape[1] + self.X.codes[:, j]
            counts = [
                np.bincount(position, term, minlength=shape[0] * shape[1]) for term in terms.T
            ]
            sums = self.processes.allreduce(np.stack(counts, axis=-1).reshape(*shape, -1))
            yield sums[..., :-1], sums[..., -1:], mean

    def _moments(
        self, columns: np.ndarray | None = None, limits: np.ndarray | None = None
    ) -> tuple[Moments, np.ndarray]:
        """Return the Moments of the columns, and the largest distance of a number from its mean.

        Parameters
        ----------
        columns : array of int of shape (n,) or None
            None for all columns, without limits.
        limits : array of shape (2, n)
            Numbers are clipped to these.
        """
        unit = np.ones(1)
        if columns is not None:
            # In units of the power of two below the largest number, which change no digit, no
            # square overflows, and none of a deviation that matters underflows.
            largest = self._weighted_means(torch.abs, columns, limits, unit)[2]
            unit = np.where(largest > 0, np.ldexp(1.0, np.frexp(largest)[1] - 1), 1.0)
        mean, _, _ = self._weighted_means(lambda values: values, columns, limits, unit)
        center = torch.from_numpy(mean)
        variance, total, largest = self._weighted_means(
            lambda values: (values - center.to(values.device)).square_(), columns, limits, unit
        )
        return Moments(unit * mean, unit * np.sqrt(variance), total), unit * np.sqrt(largest)

    def _weighted_means(
        self,
        terms_of: Callable[[torch.Tensor], torch.Tensor],
        columns: np.ndarray | None,
        limits: np.ndarray | None,
        unit: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return weighted means of terms, the weight of the values, and the largest positive term.

        The terms are ``terms_of(clip(x, *limits) / unit)``, or without `columns` ``terms_of(x)``.
        """
        X, n_columns = self.numbers, self.numbers.shape[1] if columns is None else len(columns)
        sums, largest = np.zeros((2, n_columns)), np.zeros(n_columns)
        for rows in row_chunks(X):
            counts = self.weight[rows] > 0
            if not counts.any():
                continue
            values = dense_tensor(X[rows] if counts.all() else X[rows][counts])
            if limits is not None:
                low, high, size = (torch.from_numpy(v).to(values.device) for v in (*limits, unit))
                values = values[:, columns].clamp(low, high) / size
            terms = terms_of(values)
            weights = torch.from_numpy(self.weight[rows][counts]).to(terms.device)
            numerator, maximum = weights @ terms, terms.amax(dim=0)
            total = weights.sum().expand_as(numerator)
            if maximum.isnan().any():
                is_there = (~terms.isnan()).double()
                terms = terms.nan_to_num(0.0, posinf=torch.inf, neginf=-torch.inf)
                numerator, total, maximum = weights @ terms, weights @ is_there, terms.amax(dim=0)
            sums += torch.stack([numerator, total]).cpu().numpy()
            largest = np.maximum(largest, maximum.cpu().numpy())
        numerators, totals = self.processes.allreduce(sums)
        means = numerators / np.where(totals > 0, totals, 1.0)
        return means, totals, np.max(self.processes.allgather(largest), axis=0)

    def _fences(self, columns: np.ndarray) -> np.ndarray:
        """Return the limits beyond which numbers are outliers, of shape (2, n); infinite for none.

        If most values of a column are the same, its quartiles are those of the other values.
        """
        rows = np.flatnonzero(self.weight)
        n_all, numbers = self.processes.number_rows(self.weight > 0)
        if n_all > _ROWS_FOR_QUARTILES:
            draw = np.random.default_rng(0).choice(n_all, _ROWS_FOR_QUARTILES, replace=False)
            rows = rows[np.isin(numbers, draw)]
        fences, fractions = [], (0.25, 0.5, 0.75)
        for values, weights in self.values(columns, rows):
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


def is_outlier(farthest: np.ndarray, deviation: np.ndarray, n_rows: int) -> np.ndarray:
    """Return whether numbers at these distances from the mean may be outliers among n rows."""
    return farthest > (np.sqrt(2 * np.log(max(2, n_rows))) + _OUTLIER_MARGIN) * deviation


def is_between(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return for each column whether a value is between the limits, and neither of them."""
    return np.any((low < values) & (values < high), axis=0)


def quantiles(values: np.ndarray, weight: np.ndarray, fractions: ArrayLike) -> np.ndarray:
    """Return the smallest values at or below which these fractions of the weight lie."""
    if len(values) == 0:
        return values
    order = np.argsort(values, kind="stable")
    cumulated = np.cumsum(weight[order])
    # The factor keeps a rounded fraction of 1 from exceeding the last sum.
    position = np.searchsorted(cumulated, np.multiply(fractions, cumulated[-1]) * (1 - 1e-12))
    return values[order][position]


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
