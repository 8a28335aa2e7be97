"""Two labels as 0 and 1: what y is where it says yes or no."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d

from skdnn.processes import SINGLE_PROCESS

from ._targets import normalized_labels

# Of more than two labels so many are enough to say that there are too many.
_SHOWN = 20


@dataclass(frozen=True)
class TwoClasses:
    """The two labels of y; answers the same questions as `RealNumbers`.

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

    classes: Any
    takes_several: ClassVar = False
    n_outputs: ClassVar = 1

    @staticmethod
    def plain(y, name="y", parts=None):
        """Return y, in whatever it comes, as an array without missing values."""
        y = normalized_labels(y, name, parts)
        if y is not None and y.ndim == 2 and y.shape[1] > 1:
            raise ValueError(
                f"{name} should be a 1d array, got an array of shape {y.shape} instead; "
                "MultiOutputClassifier trains a classifier for each column."
            )
        return y

    @classmethod
    def learn(cls, y, processes=SINGLE_PROCESS):
        """Learn the classes of y of shape (n_samples,), of which a process may lack some.

        Raises
        ------
        ValueError
            If y is continuous, or has more or fewer than two classes.
        """
        y = _shown_by_all(y, processes)
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y")
        if kind != "binary":
            raise ValueError(
                "Only binary classification is supported. The type of the target is "
                f"{kind}; OneVsRestClassifier makes a classifier of many classes out of this one."
            )
        classes = np.unique(y)
        _check_two(classes)
        return cls(classes)

    @staticmethod
    def by_label(y):
        """Return pairs of each label of y and the indices of its rows."""
        labels, place = np.unique(y, return_inverse=True)
        return [(label, np.flatnonzero(place == k)) for k, label in enumerate(labels)]

    @classmethod
    def check_labels(cls, labels):
        """Raise a ValueError where labels found so far are too many."""
        if len(labels) > _SHOWN:
            cls.learn(np.array(labels))

    @classmethod
    def known(cls, attributes):
        """Return that of earlier `attributes`."""
        return cls(attributes["classes_"])

    def attributes(self):
        """Return what is to be kept, arrays by name."""
        return {"classes_": self.classes}

    def frozen(self):
        """Return what later rows do not change, by what to call it."""
        return {"classes": self.classes.tolist()}

    def encode(self, y, name="y"):
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

    def decode(self, y):
        """Return the labels of 0 and 1."""
        return self.classes[y]

    def check(self, y, weight, processes=SINGLE_PROCESS):
        """Raise a ValueError unless encoded y has two classes where the weight is above zero."""
        where = " with a weight above zero (sample_weight times class_weight)"
        counts = processes.allreduce(np.bincount(y[weight > 0], minlength=2))
        _check_two(np.flatnonzero(counts), where)

    def strata(self, y):
        """Return for each row what is to have the same share on both sides of a split."""
        return y

    def count_rarest(self, y, processes=SINGLE_PROCESS):
        """Return the number of rows of the rarer class."""
        return processes.allreduce(np.bincount(y, minlength=2)).min()

    def updated(self, y, weight, bounded=False, processes=SINGLE_PROCESS):
        """Return itself: no rows are needed to know what a network is to say of 0 and 1."""
        return self

    def with_statistics(self, statistics, n_rows, bounded=False):
        """Return itself, as above."""
        return self

    def needs_double(self, y, weight, processes=SINGLE_PROCESS):
        """Return False: 0 and 1 are told apart in any precision."""
        return False

    def check_precision(self, dtype):
        """Let 0 and 1 pass, which any precision holds."""

    def constant_outputs(self):
        """Return which outputs need not be learned: none."""
        return np.zeros(1, dtype=bool)

    def standardized(self, y):
        """Return encoded y as the network learns it."""
        return y

    def restored(self, Z):
        """Return answers of the network in the units of y, here logits."""
        return Z

    def merge(self, W, b):
        """Return a last layer that answers in the units of y."""
        return W, b

    def unmerge(self, W, b):
        """Return the last layer as the network has it."""
        return W, b


def announced_classes(classes, known):
    """Return the TwoClasses of rows that come in parts, of which none need show both.

    Parameters
    ----------
    classes : array-like of shape (2,) or None
        As the user names them.
    known : array of shape (2,) or None
        Those of earlier rows.

    Raises
    ------
    ValueError
        If neither is there, or they are not the same.
    """
    if classes is None and known is None:
        raise ValueError("classes must be given in the first call of partial_fit, got None.")
    if classes is None:
        return TwoClasses(known)
    classes = column_or_1d(normalized_labels(classes, "classes"))
    if known is None:
        return TwoClasses.learn(classes)
    if not np.array_equal(np.unique(classes), known):
        raise ValueError(f"classes must be those of the first call, {known}, got {classes}.")
    return TwoClasses(known)


def _shown_by_all(y, processes):
    """Return labels of all processes, at least two where there are more than one."""
    if processes.size == 1:
        return y
    shown = [labels for labels in processes.allgather(np.unique(y)[:_SHOWN]) if len(labels)]
    return np.concatenate(shown) if shown else y


def _check_two(classes, where=""):
    if len(classes) < 2:
        raise ValueError(f"y must hold two classes{where}, got one class: {classes.tolist()}.")


def both_classes(function, Z):
    """Return a function of the logits of both classes, of shape (n_samples, 2).

    Parameters
    ----------
    function : ufunc
    Z : array of n_samples numbers
        The logit of the second class; that of the first is -Z.
    """
    Z = Z.reshape(-1)
    both = np.empty((len(Z), 2), Z.dtype)
    function(-Z, out=both[:, 0])
    function(Z, out=both[:, 1])
    return both
