"""Real numbers as targets: one or several a row, standardised for the network."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from skdnn.data.encoding import Moments, WeightedColumns
from skdnn.processes import SINGLE_PROCESS, SingleProcess

from ._arrays import normalized_numbers
from ._target import Target


@dataclass(frozen=True)
class RealNumbers(Target):
    """Weighted means and standard deviations of y, with the same interface as `TwoClasses`.

    Attributes
    ----------
    mean, deviation : arrays of shape (n_outputs,)
        The deviation is 0 for a constant, which is then the prediction.
    total : array of shape (n_outputs,)
        The weight of the rows from which they were learned.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data.targets import RealNumbers
    >>> y = np.array([10.0, 20.0, 30.0])
    >>> target = RealNumbers.learn(y).updated(y, np.array([1.0, 0.0, 1.0]))
    >>> target.standardized(y), target.restored(np.array([0.5]))
    (array([-1.,  0.,  1.]), array([25.]))
    """

    mean: np.ndarray = field()
    deviation: np.ndarray = field()
    total: np.ndarray
    takes_several: ClassVar[bool] = True

    normalized = staticmethod(normalized_numbers)

    @classmethod
    def learn(cls, y: np.ndarray, processes: SingleProcess = SINGLE_PROCESS) -> "RealNumbers":
        """Return RealNumbers with as many outputs as y has, without any rows learned."""
        found = [shape for shape in processes.allgather(y.shape) if shape[0]] or [y.shape]
        return cls(*np.zeros((3, 1 if len(found[0]) == 1 else found[0][1])))

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

    def updated(
        self,
        y: np.ndarray,
        weight: np.ndarray,
        dtype: DTypeLike = np.float64,
        bounded: bool = False,
        processes: SingleProcess = SINGLE_PROCESS,
        summary: Any = None,
    ) -> "RealNumbers":
        """Return the RealNumbers learned from earlier rows and from these.

        Parameters
        ----------
        y : array of shape (m,) or (m, k)
        weight : array of shape (m,)
        dtype : dtype, default=float64
            Of the network.
        bounded : bool, default=False
            Clip outliers, as `WeightedColumns.moments` does.
        processes : SingleProcess or Communicator, default=SINGLE_PROCESS
            The processes among which the rows are distributed.
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
        columns = y[:, None] if y.ndim == 1 else y
        given = processes.allgather(columns[np.flatnonzero(weight)[:1]])
        origin = next(filter(len, given))[0]
        known = Moments(self.mean - origin, self.deviation, self.total)
        with np.errstate(over="ignore", invalid="ignore"):
            distances = columns - origin
            if not self.total.any():
                known = WeightedColumns(distances, weight, processes=processes).moments(bounded)
            elif bounded and self.total.all():
                known += WeightedColumns(distances, weight).moments_near(known)
            else:
                known += WeightedColumns(distances, weight).moments()
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
        target.check_precision(dtype)
        return target
