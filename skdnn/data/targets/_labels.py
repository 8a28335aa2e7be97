"""Binary labels as targets: any two labels become 0 and 1."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d

from skdnn.processes import SINGLE_PROCESS, SingleProcess

from ._arrays import normalized_labels
from ._target import Target

# Each process sends at most this many labels, enough to find out that there are more than two.
_MOST_LABELS_SENT = 20


@dataclass(frozen=True)
class TwoClasses(Target):
    """The two classes of y, with the same interface as `RealNumbers`.

    Attributes
    ----------
    classes : array of shape (2,)
        Sorted.

    Examples
    --------
    >>> from skdnn.data.targets import TwoClasses
    >>> y = ["flower", "no flower", "flower"]
    >>> target = TwoClasses.learn(y)
    >>> target.classes.tolist(), target.encode(y).tolist()
    (['flower', 'no flower'], [0, 1, 0])
    """

    classes: np.ndarray = field()
    takes_several: ClassVar[bool] = False

    @staticmethod
    def normalized(y: Any, name: str = "y", parts: Any = None) -> Any:
        """Return y as `normalized_labels` does; raise a ValueError if it has several columns."""
        y = normalized_labels(y, name, parts)
        if y is not None and y.ndim == 2 and y.shape[1] > 1:
            raise ValueError(
                f"{name} should be a 1d array, got an array of shape {y.shape} instead; "
                "MultiOutputClassifier trains a classifier for each column."
            )
        return y

    @classmethod
    def learn(cls, y: ArrayLike, processes: SingleProcess = SINGLE_PROCESS) -> "TwoClasses":
        """Return the TwoClasses of y of shape (n_samples,), whose rows may be distributed.

        Raises
        ------
        ValueError
            If y is continuous, or does not have two classes.
        """
        if processes.size > 1:
            of_all = processes.allgather(np.unique(y)[:_MOST_LABELS_SENT])
            found = [labels for labels in of_all if len(labels)]
            y = np.concatenate(found) if found else y
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y")
        if kind != "binary":
            raise ValueError(
                f"Only binary classification is supported. The type of the target is {kind}; "
                "wrap the classifier in OneVsRestClassifier for more than two classes."
            )
        classes = np.unique(y)
        if len(classes) < 2:
            raise ValueError(f"y must hold two classes, got one class: {classes.tolist()}.")
        return cls(classes)

    @staticmethod
    def by_label(y: np.ndarray) -> list[tuple[Any, np.ndarray]]:
        """Return pairs of each label of y and the indices of its rows."""
        labels, position = np.unique(y, return_inverse=True)
        return [(label, np.flatnonzero(position == k)) for k, label in enumerate(labels)]

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any]) -> "TwoClasses":
        """Return the target of a fitted estimator, from what `attributes` returned."""
        return cls(attributes["classes_"])

    def attributes(self) -> dict[str, Any]:
        """Return the attributes of a fitted estimator that hold the target."""
        return {"classes_": self.classes}

    def encode(self, y: ArrayLike, name: str = "y") -> np.ndarray:
        """Return y as 0 and 1.

        Raises
        ------
        ValueError
            If y holds a label that is not among the classes.
        """
        y, known = np.asarray(y), self.classes.tolist()
        unknown = [label for label in dict.fromkeys(y.tolist()) if label not in known]
        if unknown:
            raise ValueError(f"{name} must hold only the classes {known}, got {unknown[:10]}.")
        return (y == self.classes[1]).astype(np.intp)


def classes_for_partial_fit(classes: ArrayLike | None, known: np.ndarray | None) -> TwoClasses:
    """Return the TwoClasses for a call of partial_fit, whose rows need not hold both.

    Parameters
    ----------
    classes : array-like of shape (2,) or None
        As passed by the user.
    known : array of shape (2,) or None
        The classes of earlier calls.

    Raises
    ------
    ValueError
        If both are None, or they differ.
    """
    if classes is not None:
        classes = column_or_1d(normalized_labels(classes, "classes"))
    if known is None:
        if classes is None:
            raise ValueError("classes must be given in the first call of partial_fit, got None.")
        return TwoClasses.learn(classes)
    if classes is not None and not np.array_equal(np.unique(classes), known):
        raise ValueError(f"classes must be those of the first call, {known}, got {classes}.")
    return TwoClasses(known)


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
