"""What all rows of a file come to, learned in one pass: sums that add up, part by part.

What needs rows side by side, such as a median, is learned of a sample; what adds up is exact.
"""

import math
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from skdnn.data.encoding import Moments, is_outlier, moments
from skdnn.data.frames import Table, frequent_of_counts, is_missing

# Of a column with more levels than these the rarer half are forgotten.
_MOST_CATEGORIES = 2**18


@dataclass(frozen=True)
class ColumnStatistics:
    """Moments of columns, and between which numbers they lie.

    Attributes
    ----------
    moments : Moments
    low, high : arrays of shape (n,)
        Infinite, high below low, for a column without values.
    """

    moments: Moments
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, numbers, weight):
        """Return that of rows, all of a weight above 0."""
        low = np.fmin.reduce(numbers, axis=0, initial=np.inf)
        high = np.fmax.reduce(numbers, axis=0, initial=-np.inf)
        return cls(moments(numbers, weight), low.astype(float), high.astype(float))

    def __add__(self, other):
        """Return the Spread of the rows of both."""
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        return ColumnStatistics(self.moments + other.moments, low, high)

    def scaled(self, factor):
        """Return the same for rows whose weights are multiplied."""
        return replace(self, moments=replace(self.moments, total=self.moments.total * factor))

    def is_odd(self, n_rows, bounded):
        """Return for which columns the moments say little: not finite, or of a wild number."""
        mean, deviation = self.moments.mean, self.moments.deviation
        is_odd = ~np.isfinite(mean) | ~np.isfinite(deviation)
        if bounded:
            farthest = np.maximum(self.high - mean, mean - self.low)
            is_odd |= is_outlier(farthest, deviation, n_rows)
        return is_odd


@dataclass(frozen=True)
class Summary:
    """What some rows of a file come to.

    Attributes
    ----------
    n_rows : int
        Of a weight above 0; no others count here.
    weight : float
        Of all of them.
    numbers : Spread
        Of the columns of numbers.
    has_missing : array of bool
        Which of these miss a value.
    categories : list of Counter
        For each column of levels in how many rows each of them is, None for missing.
    y : Spread or None
        Of y where it holds numbers.
    """

    n_rows: int
    weight: float
    numbers: ColumnStatistics
    has_missing: np.ndarray
    categories: list
    y: ColumnStatistics | None = None

    @classmethod
    def of(cls, X, weight, y=None):
        """Return that of rows, an array or a Table, and of y where it holds numbers."""
        rows = weight > 0
        if not rows.all():
            X, weight, y = X[rows], weight[rows], None if y is None else y[rows]
        numbers = X.numbers if isinstance(X, Table) else X
        return cls(
            len(weight),
            float(weight.sum()),
            ColumnStatistics.of(numbers, weight),
            np.isnan(numbers).any(axis=0),
            _category_counts(X) if isinstance(X, Table) else [],
            None
            if y is None
            else ColumnStatistics.of(y.reshape(len(y), math.prod(y.shape[1:])), weight),
        )

    def __add__(self, other):
        """Return the Summary of the rows of both; this one is of no more use."""
        for counts, others in zip(self.categories, other.categories, strict=True):
            counts.update(others)
            if len(counts) > _MOST_CATEGORIES:
                _forget_rare(counts)
        return Summary(
            self.n_rows + other.n_rows,
            self.weight + other.weight,
            self.numbers + other.numbers,
            self.has_missing | other.has_missing,
            self.categories,
            None if self.y is None else self.y + other.y,
        )

    def copied(self):
        """Return a copy, to add to."""
        return replace(self, categories=[Counter(counts) for counts in self.categories])

    def scaled(self, factor):
        """Return the same for rows whose weights are multiplied, by more than 0."""
        y = None if self.y is None else self.y.scaled(factor)
        weight, numbers = self.weight * factor, self.numbers.scaled(factor)
        return replace(self, weight=weight, numbers=numbers, y=y)

    def frequent_categories(self):
        """Return for each column of levels those that are not rare, sorted."""
        return [
            frequent_of_counts(list(counts.values()), list(counts), self.n_rows)
            for counts in map(_missing_last, self.categories)
        ]

    def exact(self, encoder, X, standardize):
        """Return an Encoder that was learned of a sample with what is known of all rows.

        Parameters
        ----------
        encoder : Encoder
        X : array or Table
            The sample, whose levels are those of all rows.
        standardize : {True, False, "smooth_clip", "robust"}
        """
        known = {"flagged": np.flatnonzero(self.has_missing).astype(np.intp)}
        if isinstance(X, Table):
            n_frequent = [
                sum(counts[category] for category in categories[:n])
                for counts, categories, n in zip(
                    self.categories, X.categories, X.n_frequent, strict=True
                )
            ]
            known["n_categories"] = X.n_frequent + (np.array(n_frequent) < self.n_rows)
        if standardize == "robust":
            known |= self._ranges(encoder)
        elif standardize:
            known |= self._center_and_scale(encoder, standardize == "smooth_clip")
        return replace(encoder, **known)

    def _center_and_scale(self, encoder, bounded):
        """Return `center`, `inverse_scale` and `total`; of wild numbers the sample's."""
        found = self.numbers.moments
        inverse_scale = found.inverse_deviation(self.n_rows)
        is_odd = self.numbers.is_odd(self.n_rows, bounded) & (encoder.inverse_scale > 0)
        return {
            "center": np.where(is_odd, encoder.center, found.mean),
            "inverse_scale": np.where(is_odd, encoder.inverse_scale, inverse_scale),
            "total": found.total,
        }

    def _ranges(self, encoder):
        """Return `inverse_scale`: of a column that does not vary in the sample, by its range."""
        width = np.maximum(self.numbers.high / 2 - self.numbers.low / 2, 0.0)
        by_range = np.divide(1.0, width, out=np.zeros_like(width), where=width > 0)
        inverse_scale = encoder.inverse_scale
        return {"inverse_scale": np.where(inverse_scale > 0, inverse_scale, by_range)}


def _category_counts(X):
    counts = [
        np.bincount(column, minlength=len(categories))
        for column, categories in zip(X.codes.T, X.categories, strict=True)
    ]
    return [
        Counter({categories[k]: int(column[k]) for k in np.flatnonzero(column)})
        for column, categories in zip(counts, X.categories, strict=True)
    ]


def _forget_rare(counts):
    kept = counts.most_common(_MOST_CATEGORIES // 2)
    missing = counts[None]
    counts.clear()
    counts.update(dict(kept))
    counts[None] = missing


def _missing_last(counts):
    return {category: n for category, n in counts.items() if not is_missing(category)} | {
        None: counts[None]
    }
