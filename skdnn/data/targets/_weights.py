"""Weights of the rows: numbers of at least 0, times those of their classes."""

import numpy as np

from skdnn.data.frames import check_not_lazy, shown
from skdnn.processes import SINGLE_PROCESS

from ._targets import as_array


def check_weights(sample_weight, n_samples, name="sample_weight", processes=SINGLE_PROCESS):
    """Return the weights of the rows as float64, ones for None.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,) or None
    n_samples : int
    name : str, default="sample_weight"
        Of the argument, for errors.
    processes : SingleProcess or Communicator, default=SINGLE_PROCESS
        Of those that have the other rows.

    Raises
    ------
    ValueError
        If the weights are not one finite number of at least 0 for each row, or are all 0.
    """
    if sample_weight is None:
        sample_weight = np.ones(n_samples)
        if processes.size == 1:
            return sample_weight
    weight = normalized_weights(sample_weight, n_samples, name)
    if not processes.allreduce(np.array(np.count_nonzero(weight))):
        raise ValueError(f"{name} must hold a weight above zero, got all zero.")
    return _with_finite_sum(weight, name, processes)


def normalized_weights(sample_weight, n_samples, name="sample_weight"):
    """Return weights of some rows as float64, of which all may be 0; else as `check_weights`."""
    check_not_lazy(sample_weight, name)
    try:
        is_masked = np.ma.isMaskedArray(sample_weight)
        weight = sample_weight if is_masked else as_array(sample_weight)
        if weight.dtype.kind in "cmM":
            raise TypeError(f"an array of {weight.dtype}")
        weight = np.ma.filled(weight.astype(np.float64), np.nan)
    except Exception as error:  # whatever a container says of itself
        raise ValueError(f"{name} must be numbers, got {shown(sample_weight)}.") from error
    if weight.ndim == 0:
        weight = np.full(n_samples, weight)
    if weight.shape != (n_samples,):
        raise ValueError(f"{name} must have shape ({n_samples},), got {weight.shape}.")
    if not np.isfinite(weight).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity.")
    if (weight < 0).any():
        raise ValueError(f"{name} must not be negative, got {weight.min():g}.")
    return weight


def _with_finite_sum(weight, name, processes):
    if not np.finfo(np.float64).tiny < processes.allreduce(weight.sum()) < np.inf:
        raise ValueError(
            f"{name} must have a sum that is neither 0 nor infinite, got weights of up to "
            f"{weight.max(initial=0):g}."
        )
    return weight


def apply_class_weight(weight, y, classes, class_weight, processes=SINGLE_PROCESS):
    """Return the weights of the rows times the weight of their class.

    Parameters
    ----------
    weight : array of shape (n_samples,)
    y : array of int of shape (n_samples,)
        Indices into `classes`.
    classes : array of shape (2,)
    class_weight : None, "balanced" or dict
        "balanced" gives both classes the same total weight and leaves the sum as it is; a dict
        gives each label its weight, 1 where it is missing.
    processes : SingleProcess or Communicator, default=SINGLE_PROCESS
        Of those that have the other rows.

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
    if isinstance(class_weight, str):
        totals = processes.allreduce(np.bincount(y, weights=weight, minlength=2))
        balanced = weight * (totals.sum() / (2 * totals))[y]
        return _with_finite_sum(balanced, "class_weight times sample_weight", processes)
    known = set(classes.tolist())
    unknown = [label for label in class_weight if label not in known]
    if unknown:
        raise ValueError(
            f"class_weight must have labels of y as keys, {classes.tolist()}, got {unknown}."
        )
    weight = weight * np.array([class_weight.get(label, 1.0) for label in classes.tolist()])[y]
    if not processes.allreduce(np.array(np.count_nonzero(weight))):
        raise ValueError("class_weight and sample_weight must leave a weight above zero.")
    return _with_finite_sum(weight, "class_weight times sample_weight", processes)
