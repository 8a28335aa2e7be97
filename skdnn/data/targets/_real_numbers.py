"""Real numbers in units of their deviation: what y is where it is a number, or several.

A network starts with answers of about 1, and learns at rates made for them. So it learns y
standardised, and its last layer then takes the units of y on itself.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from skdnn.data.encoding import Moments, clipped_moments, moments
from skdnn.processes import SINGLE_PROCESS

from ._targets import normalized_numbers

# Of a mean of so many deviations float32 leaves less than a thousandth of a deviation.
_FARTHEST_IN_FLOAT32 = 1e4
# Of fewer steps of float32 in a deviation of y nothing is left to learn.
_FEWEST_STEPS = 16
# Between these, float32 computes with its numbers' products.
_SMALLEST_IN_FLOAT32, _LARGEST_IN_FLOAT32 = 1e-30, 1e30


@dataclass(frozen=True)
class RealNumbers:
    """Weighted means and deviations of y; answers the same questions as `TwoClasses`.

    Attributes
    ----------
    mean, deviation : arrays of shape (k,)
        A deviation of 0 is that of a constant, which predicts itself.
    total : array of shape (k,)
        The weight of the rows that they are of.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data.targets import RealNumbers
    >>> y = np.array([10.0, 20.0, 30.0])
    >>> target = RealNumbers.learn(y).updated(y, np.array([1.0, 0.0, 1.0]))
    >>> target.standardized(y), target.restored(np.array([0.5]))
    (array([-1.,  0.,  1.]), array([25.]))
    """

    mean: Any
    deviation: Any
    total: Any
    takes_several: ClassVar = True

    @property
    def n_outputs(self):
        """How many numbers each row has."""
        return len(self.mean)

    @staticmethod
    def plain(y, name="y", parts=None):
        """Return y, in whatever it comes, as an array of float64 without missing values."""
        return normalized_numbers(y, name, parts)

    @classmethod
    def learn(cls, y, processes=SINGLE_PROCESS):
        """Learn how many outputs y of shape (n_samples,) or (n_samples, k) has."""
        found = [shape for shape in processes.allgather(y.shape) if shape[0]] or [y.shape]
        return cls(*np.zeros((3, 1 if len(found[0]) == 1 else found[0][1])))

    @staticmethod
    def by_label(y):
        """Return None, since numbers are no labels, and the indices of all rows."""
        return [(None, np.arange(len(y)))]

    @classmethod
    def check_labels(cls, labels):
        """Let all pass."""

    @classmethod
    def known(cls, attributes):
        """Return that of earlier `attributes`."""
        return cls(**attributes["_target"])

    def attributes(self):
        """Return what is to be kept, arrays by name."""
        return {"_target": vars(self).copy()}

    def frozen(self):
        """Return what later rows do not change, by what to call it."""
        return {"number of outputs": self.n_outputs}

    def encode(self, y, name="y"):
        """Return y, checked.

        Raises
        ------
        ValueError
            If y has another number of outputs.
        """
        found = 1 if y.ndim == 1 else y.shape[1]
        if len(y) and found != self.n_outputs:
            raise ValueError(
                f"{name} must have as many numbers a row as y had, {self.n_outputs}, got {found}."
            )
        if not len(y):
            return np.empty(0 if self.n_outputs == 1 else (0, self.n_outputs))
        return y

    def decode(self, y):
        """Return y."""
        return y

    def check(self, y, weight, processes=SINGLE_PROCESS):
        """Let any numbers pass."""

    def strata(self, y):
        """Return None: any rows may stand for the others."""

    def count_rarest(self, y, processes=SINGLE_PROCESS):
        """Return the number of rows: they are all of one kind."""
        return processes.allreduce(np.array(len(y)))

    def updated(self, y, weight, bounded=False, processes=SINGLE_PROCESS):
        """Return the RealNumbers that know of these rows as well.

        Parameters
        ----------
        y : array of shape (m,) or (m, k)
        weight : array of shape (m,)
        bounded : bool, default=False
            Let wild numbers count as if they were just where numbers begin to be wild.
        processes : SingleProcess or Communicator, default=SINGLE_PROCESS
            Of those that have the other rows.

        Raises
        ------
        ValueError
            If the numbers lie farther apart than a float can tell.
        """
        # Distances from one of them: those of a constant are 0, and lose no digits far from zero.
        given = processes.allgather(_columns(y)[np.flatnonzero(weight)[:1]])
        one = next(filter(len, given))[0]
        known = Moments(self.mean - one, self.deviation, self.total)
        with np.errstate(over="ignore", invalid="ignore"):
            distances = _columns(y) - one
            if bounded and self.total.all():
                known += clipped_moments(known, distances, weight)
            elif self.total.any():
                known += moments(distances, weight)
            else:
                known = moments(distances, weight, bounded, processes)
            known = Moments(one + known.mean, known.deviation, known.total)
        if not np.isfinite(known.deviation).all():
            raise _too_far_apart(y.min(initial=one.min()), y.max(initial=one.max()))
        return RealNumbers(**vars(known))

    def with_statistics(self, statistics, n_rows, bounded=False):
        """Return the RealNumbers of all rows, from those of a sample.

        Parameters
        ----------
        statistics : Spread
            Of y in all rows.
        n_rows : int
        bounded : bool, default=False
            As above; of wild numbers the sample knows how much they count.
        """
        is_odd = statistics.is_odd(n_rows, bounded) & (self.deviation > 0)
        known, is_constant = statistics.moments, statistics.low == statistics.high
        mean = np.where(is_odd, self.mean, np.where(is_constant, statistics.low, known.mean))
        deviation = np.where(is_odd, self.deviation, np.where(is_constant, 0.0, known.deviation))
        if not np.isfinite(deviation).all():
            raise _too_far_apart(statistics.low.min(), statistics.high.max())
        return RealNumbers(mean, deviation, known.total)

    def needs_double(self, y, weight, processes=SINGLE_PROCESS):
        """Tell whether predictions in float32 would lose what tells numbers of y apart."""
        found = self.updated(y, weight, processes=processes)
        size = np.abs(found.mean) + found.deviation
        is_far = np.abs(found.mean) > _FARTHEST_IN_FLOAT32 * found.deviation
        with np.errstate(over="ignore"):
            is_far &= (found.deviation > 0) | (found.mean.astype(np.float32) != found.mean)
        is_small = (size > 0) & (size < _SMALLEST_IN_FLOAT32)
        return bool((is_far | is_small | (size > _LARGEST_IN_FLOAT32)).any())

    def check_precision(self, dtype):
        """Raise a ValueError where a network in float32 would lose what tells numbers of y apart.

        That of float64 loses no more than y itself.
        """
        if dtype != np.float32:
            return
        size, least = np.abs(self.mean) + self.deviation, _FEWEST_STEPS * np.finfo(dtype).eps
        varies = self.deviation > 0
        is_lost = varies & (self.deviation < least * np.abs(self.mean))
        is_lost |= varies & (self.deviation < _SMALLEST_IN_FLOAT32)
        if (is_lost | (size > _LARGEST_IN_FLOAT32)).any():
            raise ValueError(
                "dtype must be 'auto' or 'float64' for numbers that float32 cannot tell apart, got "
                f"y with a mean of {self.mean} and a deviation of {self.deviation}."
            )

    def constant_outputs(self):
        """Return which outputs need not be learned, an array of bool of shape (k,)."""
        return self.deviation == 0

    def standardized(self, y):
        """Return ``(y - mean) / deviation``, as the network learns it.

        The distance itself from what was a constant: it is 0, but in rows not learned from.
        """
        scale = np.where(self.deviation > 0, self.deviation, 1.0)
        return ((_columns(y) - self.mean) / scale).reshape(y.shape)

    def restored(self, Z):
        """Return answers of the network, of shape (..., k), in the units of y."""
        return Z * self.deviation + self.mean

    def merge(self, W, b):
        """Return a last layer that answers in the units of y.

        ``(A W + b) s + m = A (s W) + (s b + m)``
        """
        return W * self.deviation, b * self.deviation + self.mean

    def unmerge(self, W, b):
        """Return the last layer as the network has it, zeros for a constant."""
        scale = np.where(self.deviation > 0, self.deviation, np.inf)
        return W / scale, (b - self.mean) / scale


def _columns(y):
    return y[:, None] if y.ndim == 1 else y


def _too_far_apart(low, high):
    return ValueError(
        "y must hold numbers whose distances a float can hold, got numbers from "
        f"{low:g} to {high:g}."
    )
