"""Sample weights and class weights."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from skdnn.data.frames import check_not_lazy, short_repr

from ._arrays import as_array


def check_weights(sample_weight: Any, n_samples: int) -> np.ndarray:
    """Return `normalized_weights` after checking that they are not all 0."""
    weight = normalized_weights(sample_weight, n_samples)
    check_total_weight(weight.sum())
    return weight


def check_total_weight(total: float, name: str = "sample_weight") -> None:
    """Raise a ValueError unless a sum of weights is a number above zero."""
    if total == 0:
        raise ValueError(f"{name} must hold a weight above zero, got all zero.")
    if not np.finfo(np.float64).tiny < total < np.inf:
        raise ValueError(
            f"{name} must have a sum that is neither 0 nor infinite, got a sum of {total:g}."
        )


def normalized_weights(
    sample_weight: Any, n_samples: int, name: str = "sample_weight"
) -> np.ndarray:
    """Return sample weights as an array of float64, ones for None.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,), float or None
    n_samples : int
    name : str, default="sample_weight"
        Of the argument, for error messages.

    Raises
    ------
    ValueError
        If the weights are not finite and non-negative, one for each row.
    """
    if sample_weight is None:
        return np.ones(n_samples)
    check_not_lazy(sample_weight, name)
    try:
        is_masked = np.ma.isMaskedArray(sample_weight)
        weight = sample_weight if is_masked else as_array(sample_weight)
        if weight.dtype.kind in "cmM":
            raise TypeError(f"an array of {weight.dtype}")
        weight = np.ma.filled(weight.astype(np.float64), np.nan)
    except Exception as error:  # other libraries' containers may raise anything
        raise ValueError(f"{name} must be numbers, got {short_repr(sample_weight)}.") from error
    if weight.ndim == 0:
        weight = np.full(n_samples, weight)
    if weight.shape != (n_samples,):
        raise ValueError(f"{name} must have shape ({n_samples},), got {weight.shape}.")
    if not np.isfinite(weight).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity.")
    if (weight < 0).any():
        raise ValueError(f"{name} must not be negative, got {weight.min():g}.")
    return weight


def apply_class_weight(
    weight: np.ndarray,
    y: np.ndarray,
    totals: np.ndarray,
    classes: np.ndarray,
    class_weight: str | Mapping[Any, float] | None,
) -> np.ndarray:
    """Return the sample weights multiplied by the weights of the rows' classes.

    Parameters
    ----------
    weight : array of shape (n_samples,)
    y : array of int of shape (n_samples,)
        Indices into `classes`.
    totals : array of shape (n_classes,)
        The weight of all rows of each class, of which these may be a part.
    classes : array of shape (n_classes,)
    class_weight : None, "balanced" or dict
        "balanced" gives all classes the same total weight without changing the sum. A dict maps
        labels to weights; the default weight is 1.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data.targets import apply_class_weight
    >>> weight, y, totals = np.ones(4), np.array([0, 0, 0, 1]), np.array([3, 1])
    >>> apply_class_weight(weight, y, totals, np.array(["a", "b"]), "balanced").round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    """
    if class_weight is None:
        return weight
    labels = classes.tolist()
    if isinstance(class_weight, str):
        factors = totals.sum() / (len(labels) * totals)
    else:
        unknown = [label for label in class_weight if label not in set(labels)]
        if unknown:
            raise ValueError(
                f"class_weight must have labels of y as keys, {labels}, got {unknown}."
            )
        factors = np.array([class_weight.get(label, 1.0) for label in labels])
    name = "class_weight times sample_weight"
    weight = normalized_weights(weight * factors[y], len(weight), name)
    has_rows = totals > 0  # the factor of a class without rows may be infinite
    check_total_weight(factors[has_rows] @ totals[has_rows], name)
    return weight
