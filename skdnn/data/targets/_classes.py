"""Labels as targets: labels become indices of the sorted classes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from skdnn.data.encoding import WeightedColumns

from ._arrays import normalized_labels

Self = TypeVar("Self", bound="Classes")


@dataclass(frozen=True)
class Classes:
    """The classes of y, with the interface of `RealNumbers`; abstract.

    A subclass says how many classes there may be, and how a network outputs them. It has the
    attributes `most_labels` and `n_outputs`, the method `standardized`, and for the methods of a
    classifier the functions `probabilities`, `log_probabilities` and `most_probable` of Z[L], an
    array of shape (n_samples,), or (n_samples, n_outputs) for several outputs.

    Attributes
    ----------
    classes : array of shape (n_classes,)
        Sorted.
    most_labels : int
        With more labels, reading y stops, and `learn` refuses them.
    n_outputs : int
        The number of outputs of the network.
    is_constant : array of bool of shape (n_outputs,)
        Whether an output is the same in all rows.
    takes_several : bool
        Whether a row of y may hold several numbers.
    """

    classes: np.ndarray
    takes_several: ClassVar[bool] = False
    most_labels: ClassVar[int]
    n_outputs: ClassVar[int]

    @property
    def is_constant(self) -> np.ndarray:
        """Whether an output is the same in all rows: not so, since all classes have rows."""
        return np.zeros(self.n_outputs, dtype=bool)

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
    def distinct(cls, y: np.ndarray) -> np.ndarray:
        """Return the labels of y, from which `learn` learns what it learns from y."""
        return np.unique(y)[: cls.most_labels + 1]

    @classmethod
    def learn(cls: type[Self], y: ArrayLike) -> Self:
        """Return the classes of y of shape (n_samples,).

        Raises
        ------
        ValueError
            If y is continuous.
        """
        check_classification_targets(y)
        return cls(np.unique(y))

    @classmethod
    def for_partial_fit(
        cls: type[Self], classes: ArrayLike | None, known: np.ndarray | None
    ) -> Self:
        """Return the classes for a call of partial_fit, whose rows need not hold all of them.

        Parameters
        ----------
        classes : array-like of shape (n_classes,) or None
            As passed by the user.
        known : array of shape (n_classes,) or None
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
                raise ValueError(
                    "classes must be given in the first call of partial_fit, got None."
                )
            return cls.learn(classes)
        if classes is not None and not np.array_equal(np.unique(classes), known):
            raise ValueError(f"classes must be those of the first call, {known}, got {classes}.")
        return cls(known)

    @staticmethod
    def by_label(y: np.ndarray) -> list[tuple[Any, np.ndarray]]:
        """Return pairs of each label of y and the indices of its rows."""
        labels, position = np.unique(y, return_inverse=True)
        return [(label, np.flatnonzero(position == k)) for k, label in enumerate(labels)]

    @classmethod
    def from_attributes(cls: type[Self], attributes: Mapping[str, Any]) -> Self:
        """Return the target of a fitted estimator, from what `attributes` returned."""
        return cls(attributes["classes_"])

    def attributes(self) -> dict[str, Any]:
        """Return the attributes of a fitted estimator that hold the target."""
        return {"classes_": self.classes}

    def frozen(self) -> dict[str, object]:
        """Return what later fits cannot change, by a name for error messages."""
        return {"classes": self.classes.tolist()}

    def encode(self, y: ArrayLike, name: str = "y") -> np.ndarray:
        """Return y as indices into the classes.

        Raises
        ------
        ValueError
            If y holds a label that is not among the classes.
        """
        y, known = np.asarray(y), self.classes.tolist()
        unknown = [label for label in dict.fromkeys(y.tolist()) if label not in known]
        if unknown:
            raise ValueError(f"{name} must hold only the classes {known}, got {unknown[:10]}.")
        index = np.zeros(len(y), dtype=np.intp)
        for k, label in enumerate(self.classes[1:], start=1):
            index[y == label] = k
        return index

    def decode(self, y: np.ndarray) -> np.ndarray:
        """Return encoded y as the user passed it: the labels."""
        return self.classes[y]

    def total_weights(self, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Return the weight of the rows of each class, of shape (n_classes,)."""
        return np.bincount(y, weights=weight, minlength=len(self.classes))

    def check(self, totals: np.ndarray) -> None:
        """Raise a ValueError unless the `total_weights` of all rows are positive."""
        if not totals.all():
            found = self.classes[totals > 0].tolist()
            raise ValueError(
                f"y must hold {len(totals)} classes with a weight above zero (sample_weight times "
                f"class_weight), got {len(found)}: {found}."
            )

    def strata(self, y: np.ndarray) -> np.ndarray | None:
        """Return encoded y, the class of each row for stratified splits."""
        return y

    # Classes have no unit: a network learns and predicts them as they are.

    def updated(
        self: Self,
        rows: WeightedColumns,
        dtype: DTypeLike = np.float64,
        bounded: bool = False,
        summary: object = None,
    ) -> Self:
        """Return itself, since these rows change nothing."""
        return self

    @property
    def needs_float64(self) -> bool:
        """Return whether predictions in float32 would be too coarse: they are not."""
        return False

    def standardized(self, y: np.ndarray) -> np.ndarray:
        """Return the outputs to learn of encoded y, of shape (m,) or (m, n_outputs)."""
        raise NotImplementedError

    def restored(self, Z: np.ndarray) -> np.ndarray:
        """Return outputs of the network as they are."""
        return Z

    def merge(self, W: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the weights and biases of the last layer as they are."""
        return W, b

    def unmerge(self, W: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the weights and biases of the last layer as they are."""
        return W, b
