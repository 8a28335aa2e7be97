"""Sample weights and class weights."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from skdnn.data.frames import check_not_lazy, short_repr
from skdnn.processes import SINGLE_PROCESS, SingleProcess

from ._arrays import as_array


def check_weights(
    sample_weight: Any,
    n_samples: int,
    name: str = "sample_weight",
    processes: SingleProcess = SINGLE_PROCESS,
) -> np.ndarray:
    """Return sample weights as an array of float64, ones for None.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,), float or None
    n_samples : int
    name : str, default="sample_weight"
        Of the argument, for error messages.
    processes : SingleProcess or Communicator, default=SINGLE_PROCESS
        The processes among which the rows are distributed.

    Raises
    ------
    ValueError
        If the weights are not finite and non-negative, one for each row, or if all are 0.
    """
    if sample_weight is None:
        sample_weight = np.ones(n_samples)
        if processes.size == 1:
            return sample_weight
    weight = normalized_weights(sample_weight, n_samples, name)
    if not processes.allreduce(np.array(np.count_nonzero(weight))):
        raise ValueError(f"{name} must hold a weight above zero, got all zero.")
    if not np.finfo(np.float64).tiny < processes.allreduce(weight.sum()) < np.inf:
        raise ValueError(
            f"{name} must have a sum that is neither 0 nor infinite, got weights of up to "
            f"{weight.max(initial=0):g}."
        )
    return weight


def normalized_weights(
    sample_weight: Any, n_samples: int, name: str = "sample_weight"
) -> np.ndarray:
    """Return sample weights as float64; like `check_weights`, but all of them may be 0."""
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
    classes: np.ndarray,
    class_weight: str | Mapping[Any, float] | None,
    processes: SingleProcess = SINGLE_PROCESS,
) -> np.ndarray:
    """Return the sample weights multiplied by the weights of the rows' classes.

    Parameters
    ----------
    weight : array of shape (n_samples,)
    y : array of int of shape (n_samples,)
        Indices into `classes`.
    classes : array of shape (n_classes,)
    class_weight : None, "balanced" or dict
        "balanced" gives all classes the same total weight without changing the sum. A dict maps
        labels to weights; the default weight is 1.
    processes : SingleProcess or Communicator, default=SINGLE_PROCESS
        The processes among which the rows are distributed.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data.targets import apply_class_weight
    >>> weight, y = np.ones(4), np.array([0, 0, 0, 1])
    >>> apply_class_weight(weight, y, np.array(["a", "b"]), "balanced").round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    """
    if class_weight is None:
        return weight
    labels = classes.tolist()
    if isinstance(class_weight, str):
        totals = processes.allreduce(np.bincount(y, weights=weight, minlength=len(labels)))
        factors = totals.sum() / (len(labels) * totals)
    else:
        unknown = [label for label in class_weight if label not in set(labels)]
        if unknown:
            raise ValueError(
                f"class_weight must have labels of y as keys, {labels}, got {unknown}."
            )
        factors = np.array([class_weight.get(label, 1.0) for label in labels])
    weight = weight * factors[y]
    return check_weights(weight, len(weight), "class_weight times sample_weight", processes)
