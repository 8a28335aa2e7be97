"""What binary labels and real numbers have in common as targets."""

from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from skdnn.processes import SINGLE_PROCESS, SingleProcess

# With a mean of this many deviations, float32 rounds y to a thousandth of a deviation.
_FARTHEST_IN_FLOAT32 = 1e4
# With fewer float32 steps than this in a deviation, there is nothing left to learn.
_FEWEST_STEPS = 16
# Between these, products of float32 numbers neither underflow nor overflow.
_SMALLEST_IN_FLOAT32, _LARGEST_IN_FLOAT32 = 1e-30, 1e30


Self = TypeVar("Self", bound="Target")


class Target:
    """The classes of y or its units; abstract.

    A network learns ``(y - mean) / deviation``, since initial weights and learning rates are made
    for outputs of about 1. After training, its last layer is changed to predict in the units of y.
    Labels are learned as 0 and 1, with mean 0 and deviation 1.

    Attributes
    ----------
    classes : array of shape (2,) or None
        None for real numbers.
    mean, deviation : arrays of shape (n_outputs,)
    takes_several : bool
        Whether a row of y may hold several numbers.
    """

    classes: np.ndarray | None = None
    mean: np.ndarray = np.zeros(1)
    deviation: np.ndarray = np.ones(1)
    takes_several: ClassVar[bool]

    @property
    def n_outputs(self) -> int:
        """The number of outputs of the network."""
        return len(self.mean)

    def updated(
        self: Self,
        y: np.ndarray,
        weight: np.ndarray,
        dtype: DTypeLike = np.float64,
        bounded: bool = False,
        processes: SingleProcess = SINGLE_PROCESS,
        summary: object = None,
    ) -> Self:
        """Return the target with mean and deviation of these rows, too; of labels, itself."""
        return self

    def frozen(self) -> dict[str, object]:
        """Return what later fits cannot change, by a name for error messages."""
        classes = None if self.classes is None else self.classes.tolist()
        return {"classes": classes, "number of outputs": self.n_outputs}

    def decode(self, y: np.ndarray) -> np.ndarray:
        """Return y as the user passed it: the labels of 0 and 1, or the numbers themselves."""
        return y if self.classes is None else self.classes[y]

    def check(
        self, y: np.ndarray, weight: np.ndarray, processes: SingleProcess = SINGLE_PROCESS
    ) -> None:
        """Raise a ValueError unless both classes have rows of positive weight."""
        if self.classes is None:
            return
        counts = processes.allreduce(np.bincount(y[weight > 0], minlength=2))
        if not counts.all():
            raise ValueError(
                "y must hold two classes with a weight above zero (sample_weight times "
                f"class_weight), got one class: {self.classes[counts > 0].tolist()}."
            )

    def strata(self, y: np.ndarray) -> np.ndarray | None:
        """Return the class of each row for stratified splits, None for real numbers."""
        return None if self.classes is None else y

    def count_rarest(self, y: np.ndarray, processes: SingleProcess = SINGLE_PROCESS) -> int:
        """Return the number of rows of the rarer class, or of all rows for real numbers."""
        counts = np.array([len(y)]) if self.classes is None else np.bincount(y, minlength=2)
        return int(processes.allreduce(counts).min())

    def needs_float64(
        self, y: np.ndarray, weight: np.ndarray, processes: SingleProcess = SINGLE_PROCESS
    ) -> bool:
        """Return whether predictions in float32 would be too coarse for these numbers."""
        found = self.updated(y, weight, processes=processes)
        size = np.abs(found.mean) + found.deviation
        is_far = np.abs(found.mean) > _FARTHEST_IN_FLOAT32 * found.deviation
        with np.errstate(over="ignore"):
            is_far &= (found.deviation > 0) | (found.mean.astype(np.float32) != found.mean)
        is_small = (size > 0) & (size < _SMALLEST_IN_FLOAT32)
        return bool((is_far | is_small | (size > _LARGEST_IN_FLOAT32)).any())

    def check_precision(self, dtype: DTypeLike) -> None:
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
