"""Real numbers as targets: one or several a row, standardised for the network."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from skdnn.data.encoding import Moments, WeightedColumns

from ._arrays import normalized_numbers

# With a mean of this many deviations, float32 rounds y to a thousandth of a deviation.
_FARTHEST_IN_FLOAT32 = 1e4
# With fewer float32 steps than this in a deviation, there is nothing left to learn.
_FEWEST_STEPS = 16
# Between these, products of float32 numbers neither underflow nor overflow.
_SMALLEST_IN_FLOAT32, _LARGEST_IN_FLOAT32 = 1e-30, 1e30


@dataclass(frozen=True)
class RealNumbers:
    """Weighted means and standard deviations of y, with the interface of `Classes`.

    A network learns ``(y - mean) / deviation``, since initial weights and learning rates are made
    for outputs of about 1. After training, its last layer is changed to predict in the units of y.

    Attributes
    ----------
    mean, deviation : arrays of shape (n_outputs,)
        The deviation is 0 for a constant, which is then the prediction.
    total : array of shape (n_outputs,)
        The weight of the rows from which they were learned.
    takes_several, most_labels, n_outputs, is_constant
        As of `Classes`.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data.encoding import WeightedColumns
    >>> from skdnn.data.targets import RealNumbers
    >>> y = np.array([10.0, 20.0, 30.0])
    >>> target = RealNumbers.learn(y).updated(WeightedColumns(y, np.array([1.0, 0.0, 1.0])))
    >>> target.standardized(y), target.restored(np.array([0.5]))
    (array([-1.,  0.,  1.]), array([25.]))
    """

    mean: np.ndarray
    deviation: np.ndarray
    total: np.ndarray
    takes_several: ClassVar[bool] = True
    most_labels: ClassVar[int] = 1  # None, see `by_label`

    normalized = staticmethod(normalized_numbers)

    @property
    def n_outputs(self) -> int:
        """The number of outputs of the network."""
        return len(self.mean)

    @property
    def is_constant(self) -> np.ndarray:
        """Whether an output is the same in all rows."""
        return self.deviation == 0

    @classmethod
    def distinct(cls, y: np.ndarray) -> np.ndarray:
        """Return a row of y, from which `learn` learns what it learns from y."""
        return y[:1]

    @classmethod
    def learn(cls, y: np.ndarray) -> "RealNumbers":
        """Return RealNumbers with as many outputs as y has, without any rows learned."""
        return cls(*np.zeros((3, 1 if y.ndim == 1 else y.shape[1])))

    @staticmethod
    def by_label(y: np.ndarray) -> list[tuple[Any, np.ndarray]]:
        """Return None, since numbers are no labels, with the indices of all rows."""
        return [(None, np.arange(len(y)))]

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any]) -> "RealNumbers":
        """Return the target of a fitted estimator, from what `attributes` returned."""
        return cls(**attributes["_target"])

    def attributes(self) -> dict[str, Any]:
        """Return the attributes of a fitted estimator that hold the target."""
        return {"_target": vars(self).copy()}

    def frozen(self) -> dict[str, object]:
        """Return what later fits cannot change, by a name for error messages."""
        return {"number of outputs": self.n_outputs}

    def encode(self, y: np.ndarray, name: str = "y") -> np.ndarray:
        """Return y after checking its number of columns.

        Raises
        ------
        ValueError
            If y has another number of outputs.
        """
        n_found = 1 if y.ndim == 1 else y.shape[1]
        if not len(y):
            return np.empty(0 if self.n_outputs == 1 else (0, self.n_outputs))
        if n_found != self.n_outputs:
            raise ValueError(
                f"{name} must have as many numbers a row as y had, {self.n_outputs}, got {n_found}."
            )
        return y

    def decode(self, y: np.ndarray) -> np.ndarray:
        """Return y as the user passed it, as it is."""
        return y

    def total_weights(self, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Return the weight of all rows, of shape (1,), since numbers have no classes."""
        return np.array([weight.sum()])

    def check(self, totals: np.ndarray) -> None:
        """Do nothing: numbers need no second value."""

    def strata(self, y: np.ndarray) -> np.ndarray | None:
        """Return None: splits are not stratified."""
        return None

    def updated(
        self,
        rows: WeightedColumns,
        dtype: DTypeLike = np.float64,
        bounded: bool = False,
        summary: Any = None,
    ) -> "RealNumbers":
        """Return the RealNumbers learned from earlier rows and from these.

        Parameters
        ----------
        rows : WeightedColumns
            Of y, of shape (m,) or (m, k).
        dtype : dtype, default=float64
            Of the network.
        bounded : bool, default=False
            Clip outliers, as `WeightedColumns.moments` does.
        summary : Summary or None, default=None
            Of all rows, if these are a sample. Then only the moments of outputs with outliers are
            those of the sample.

        Raises
        ------
        ValueError
            If distances between numbers are too large for a float, or too small for `dtype`.
        """
        # Distances from one of the numbers: they are exactly 0 for a constant, and precise if all
        # numbers are far from zero.
        y = rows.X[:, None] if rows.X.ndim == 1 else rows.X
        origin = replace(rows, X=y).first_row()
        known = Moments(self.mean - origin, self.deviation, self.total)
        with np.errstate(over="ignore", invalid="ignore"):
            distances = replace(rows, X=y - origin)
            if not self.total.any():
                known = distances.moments(bounded)
            elif bounded and self.total.all():
                known += distances.moments_near(known)
            else:
                known += distances.moments()
            mean, deviation, total = origin + known.mean, known.deviation, known.total
        if summary is not None:
            of_all, total = summary.y.moments, summary.y.moments.total
            is_unreliable = summary.y.is_unreliable(summary.n_rows, bounded) & (deviation > 0)
            is_constant = summary.y.low == summary.y.high
            exact_mean = np.where(is_constant, summary.y.low, of_all.mean)
            mean = np.where(is_unreliable, mean, exact_mean)
            deviation = np.where(
                is_unreliable, deviation, np.where(is_constant, 0.0, of_all.deviation)
            )
        if not np.isfinite(deviation).all():
            found = y if summary is None else np.stack([summary.y.low, summary.y.high])
            low, high = found.min(initial=origin.min()), found.max(initial=origin.max())
            raise ValueError(
                "y must hold numbers whose distances a float can hold, got numbers from "
                f"{low:g} to {high:g}."
            )
        target = RealNumbers(mean, deviation, total)
        target._check_precision(dtype)
        return target

    @property
    def needs_float64(self) -> bool:
        """Return whether predictions in float32 would be too coarse for these numbers."""
        size = np.abs(self.mean) + self.deviation
        is_far = np.abs(self.mean) > _FARTHEST_IN_FLOAT32 * self.deviation
        with np.errstate(over="ignore"):
            is_far &= (self.deviation > 0) | (self.mean.astype(np.float32) != self.mean)
        is_small = (size > 0) & (size < _SMALLEST_IN_FLOAT32)
        return bool((is_far | is_small | (size > _LARGEST_IN_FLOAT32)).any())

    def _check_precision(self, dtype: DTypeLike) -> None:
        """Raise a ValueError if a network of this dtype could not tell numbers of y apart."""
        if dtype != np.float32:
            return
        size, eps = np.abs(self.mean) + self.deviation, np.finfo(np.float32).eps
        least = np.maximum(_FEWEST_STEPS * eps * np.abs(self.mean), _SMALLEST_IN_FLOAT32)
        is_lost = (self.deviation > 0) & (self.deviation < least)
        if (is_lost | (size > _LARGEST_IN_FLOAT32)).any():
            raise ValueError(
                "dtype must be 'auto' or 'float64' for numbers that float32 cannot tell apart, got "
                f"y with a mean of {self.mean} and a deviation of {self.deviation}."
            )

    def standardized(self, y: np.ndarray) -> np.ndarray:
        """Return ``(y - mean) / deviation``, which the network learns.

        For a constant the deviation counts as 1: the result is 0 but in rows of weight 0.
        """
        scale = np.where(self.deviation > 0, self.deviation, 1.0)
        columns = y[:, None] if y.ndim == 1 else y
        return ((columns - self.mean) / scale).reshape(y.shape)

    def restored(self, Z: np.ndarray) -> np.ndarray:
        """Return outputs of the network, of shape (..., n_outputs), in the units of y."""
        return Z * self.deviation + self.mean

    def merge(self, W: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the weights and biases of a last layer that predicts in the units of y.

        ``(A W + b) s + m = A (s W) + (s b + m)``
        """
        return W * self.deviation, b * self.deviation + self.mean

    def unmerge(self, W: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the weights and biases for standardised y, the inverse of `merge`.

        They are 0 for a constant.
        """
        scale = np.where(self.deviation > 0, self.deviation, np.inf)
        return W / scale, (b - self.mean) / scale
