"""Statistics of all rows of a file, computed in one pass and added up chunk by chunk.

Statistics that can be added up are exact. Others, such as medians, are estimated from a sample.
"""

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skdnn.data.encoding import Encoder, Moments, Standardize, WeightedColumns, is_outlier
from skdnn.data.frames import Table

# If a column has more categories, the rarer half of them is dropped.
_MAX_CATEGORIES = 2**18


@dataclass(frozen=True)
class ColumnStatistics:
    """Moments and range of each of n columns.

    Attributes
    ----------
    moments : Moments
    low, high : arrays of shape (n,)
        Smallest and largest value. A column without values has inf and -inf.
    """

    moments: Moments
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, numbers: np.ndarray, weight: np.ndarray) -> "ColumnStatistics":
        """Return the statistics of some rows, whose weights must all be above 0."""
        low = np.fmin.reduce(numbers, axis=0, initial=np.inf)
        high = np.fmax.reduce(numbers, axis=0, initial=-np.inf)
        return cls(
            WeightedColumns(numbers, weight).moments(), low.astype(float), high.astype(float)
        )

    def __add__(self, other: "ColumnStatistics") -> "ColumnStatistics":
        """Return the statistics of the rows of both."""
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        return ColumnStatistics(self.moments + other.moments, low, high)

    def scaled(self, factor: float) -> "ColumnStatistics":
        """Return the statistics after all weights are multiplied by a factor."""
        return replace(self, moments=replace(self.moments, total=self.moments.total * factor))

    def is_unreliable(self, n_rows: int, bounded: bool) -> np.ndarray:
        """Return for each column whether its moments are useless: not finite, or of an outlier.

        Parameters
        ----------
        n_rows : int
        bounded : bool
            Whether to look for outliers.
        """
        mean, deviation = self.moments.mean, self.moments.deviation
        is_unreliable = ~np.isfinite(mean) | ~np.isfinite(deviation)
        if bounded:
            farthest = np.maximum(self.high - mean, mean - self.low)
            is_unreliable |= is_outlier(farthest, deviation, n_rows)
        return is_unreliable


@dataclass(frozen=True)
class Summary:
    """Statistics of some rows of a file. Rows of weight 0 do not count.

    Attributes
    ----------
    n_rows : int
    weight : float
        Sum of the weights.
    numbers : ColumnStatistics
        Of the numeric columns.
    has_missing : array of bool
        Whether each numeric column has missing values.
    categories : list of Counter
        For each categorical column the number of rows of each category; the key None counts
        missing values.
    y : ColumnStatistics or None
        Of y in regression.
    """

    n_rows: int
    weight: float
    numbers: ColumnStatistics
    has_missing: np.ndarray
    categories: list[Counter]
    y: ColumnStatistics | None = None

    @classmethod
    def of(
        cls, X: np.ndarray | Table, weight: np.ndarray, y: np.ndarray | None = None
    ) -> "Summary":
        """Return the Summary of some rows.

        Parameters
        ----------
        X : array or Table of shape (m, n_features)
        weight : array of shape (m,)
        y : array of shape (m,) or (m, k), or None
            None in classification.
        """
        has_weight = weight > 0
        if not has_weight.all():
            X, weight, y = X[has_weight], weight[has_weight], None if y is None else y[has_weight]
        numbers = X.numbers if isinstance(X, Table) else X
        category_counts = []
        if isinstance(X, Table):
            for codes, categories in zip(X.codes.T, X.categories, strict=True):
                counts = np.bincount(codes, minlength=len(categories))
                n_rows = {categories[k]: int(counts[k]) for k in np.flatnonzero(counts)}
                category_counts.append(Counter(n_rows))
        if y is not None:
            y = y.reshape(len(y), math.prod(y.shape[1:]))
        return cls(
            len(weight),
            float(weight.sum()),
            ColumnStatistics.of(numbers, weight),
            np.isnan(numbers).any(axis=0),
            category_counts,
            None if y is None else ColumnStatistics.of(y, weight),
        )

    def __add__(self, other: "Summary") -> "Summary":
        """Return the Summary of the rows of both; its counters are those of `self`, updated."""
        for counts, other_counts in zip(self.categories, other.categories, strict=True):
            counts.update(other_counts)
            if len(counts) > _MAX_CATEGORIES:
                n_missing, frequent = counts[None], counts.most_common(_MAX_CATEGORIES // 2)
                counts.clear()
                counts.update({**dict(frequent), None: n_missing})
        return Summary(
            self.n_rows + other.n_rows,
            self.weight + other.weight,
            self.numbers + other.numbers,
            self.has_missing | other.has_missing,
            self.categories,
            None if self.y is None or other.y is None else self.y + other.y,
        )

    def scaled(self, factor: float) -> "Summary":
        """Return the Summary after all weights are multiplied by a factor above 0."""
        y = None if self.y is None else self.y.scaled(factor)
        weight, numbers = self.weight * factor, self.numbers.scaled(factor)
        return replace(self, weight=weight, numbers=numbers, y=y)

    def refine_encoder(
        self, encoder: Encoder, X: np.ndarray | Table, standardize: bool | str
    ) -> Encoder:
        """Return an Encoder fitted to a sample, with the exact statistics of all rows.

        Parameters
        ----------
        encoder : Encoder
        X : array or Table
            The sample. A Table has the categories of all rows.
        standardize : {True, False, "smooth_clip", "robust"}
        """
        exact: dict[str, Any] = {
            "indicator_column": np.flatnonzero(self.has_missing).astype(np.intp)
        }
        if isinstance(X, Table):
            n_frequent_rows = [
                sum(counts[category] for category in categories[:n])
                for counts, categories, n in zip(
                    self.categories, X.categories, X.n_frequent, strict=True
                )
            ]
            has_others = np.array(n_frequent_rows) < self.n_rows
            exact["n_categories"] = X.n_frequent + has_others
        sample, all_rows = encoder.block(Standardize), self.numbers.moments
        varies_in_sample = sample.inverse_scale > 0
        # A column that is constant in the sample is scaled by its range instead.
        half_range = np.maximum(self.numbers.high / 2 - self.numbers.low / 2, 0.0)
        by_range = replace(all_rows, deviation=half_range).inverse_deviation(self.n_rows)
        of_sample = np.where(varies_in_sample, sample.inverse_scale, by_range)
        if standardize == "robust":
            exact["inverse_scale"] = of_sample
        elif standardize:
            is_bounded = standardize == "smooth_clip"
            inverse = all_rows.inverse_deviation(self.n_rows)
            # Outliers would distort the exact moments, so those of the sample are kept.
            is_unreliable = self.numbers.is_unreliable(self.n_rows, is_bounded) & varies_in_sample
            if is_bounded:
                half_range, _ = WeightedColumns(X, np.ones(len(X))).two_valued
                is_unreliable &= np.isnan(half_range)
                inverse = np.where(np.isnan(half_range), inverse, of_sample)
            exact["center"] = np.where(is_unreliable, sample.center, all_rows.mean)
            exact["inverse_scale"] = np.where(is_unreliable, sample.inverse_scale, inverse)
            exact["total"] = all_rows.total
        return Encoder.from_state(encoder.state | exact)
