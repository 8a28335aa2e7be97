"""Binary labels as targets: any two labels become 0 and 1, for a network with one output."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, log_expit

from ._classes import Classes


def both_classes(function: np.ufunc, Z: np.ndarray) -> np.ndarray:
    """Return a function of the logits of both classes, of shape (n_samples, 2).

    Parameters
    ----------
    function : ufunc
    Z : array of n_samples numbers
        The logits of the second class; those of the first are -Z.
    """
    Z = Z.reshape(-1)
    both = np.empty((len(Z), 2), Z.dtype)
    function(-Z, out=both[:, 0])
    function(Z, out=both[:, 1])
    return both


@dataclass(frozen=True)
class TwoClasses(Classes):
    """Two classes of y. The output of the network is the logit of the second one.

    Examples
    --------
    >>> from skdnn.data.targets import TwoClasses
    >>> y = ["flower", "no flower", "flower"]
    >>> target = TwoClasses.learn(y)
    >>> target.classes.tolist(), target.encode(y).tolist()
    (['flower', 'no flower'], [0, 1, 0])
    """

    # So many tell a continuous y from one of many classes.
    most_labels: ClassVar[int] = 20
    n_outputs: ClassVar[int] = 1
    probabilities: ClassVar[Callable[[np.ndarray], np.ndarray]] = partial(both_classes, expit)
    log_probabilities: ClassVar[Callable[[np.ndarray], np.ndarray]] = partial(
        both_classes, log_expit
    )

    @classmethod
    def learn(cls, y: ArrayLike) -> "TwoClasses":
        """Return the TwoClasses of y of shape (n_samples,).

        Raises
        ------
        ValueError
            If y is continuous, or does not have two classes.
        """
        target = super().learn(y)
        if len(target.classes) > 2:
            raise ValueError(
                "Only binary classification is supported. The type of the target is multiclass; "
                "wrap the classifier in OneVsRestClassifier for more than two classes."
            )
        if len(target.classes) < 2:
            raise ValueError(f"y must hold two classes, got one class: {target.classes.tolist()}.")
        return target

    def standardized(self, y: np.ndarray) -> np.ndarray:
        """Return encoded y as numbers, 0 or 1."""
        return y.astype(np.float64)

    @staticmethod
    def most_probable(Z: np.ndarray) -> np.ndarray:
        """Return the index of the more probable class for each logit."""
        return (Z > 0).astype(np.intp)
