"""Labels and weights of the rows: from what the user has to 0/1 and positive numbers."""

from decimal import Decimal
from numbers import Real

import numpy as np
from scipy import sparse
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from ._columns import Column, is_missing, shown
from ._tensors import to_host


def plain_labels(y, name="y"):
    """Return labels, in whatever they come, as an array; objects that are numbers as numbers.

    Parameters
    ----------
    y : array-like or tensor of shape (n_samples,)
    name : str, default="y"
        Of the argument, for errors.

    Raises
    ------
    ValueError
        If a label is missing.

    Examples
    --------
    >>> from decimal import Decimal
    >>> from skdnn.data import plain_labels
    >>> plain_labels([Decimal(0), Decimal(1)])
    array([0., 1.])
    """
    if y is None or sparse.issparse(y):
        return y
    try:
        y = y if np.ma.isMaskedArray(y) else _as_array(y)
    except Exception as error:  # whatever a container says of itself
        raise ValueError(f"{name} must hold one label for each row: {error}") from error
    if y.dtype.kind == "V":
        raise ValueError(f"{name} must hold one label for each row, got records of {y.dtype}.")
    n_missing = _count_missing(y)
    if n_missing:
        raise ValueError(
            f"Input {name} contains NaN: {n_missing} of {y.size} labels are missing. Leave their "
            "rows out."
        )
    return _comparable(_with_plain_numbers(np.ma.getdata(y)), name)


def _as_array(values):
    """Return an array, list, tensor or a column of some library as an array."""
    values = to_host(values)
    is_column = hasattr(values, "dtype") and hasattr(type(values), "to_list")
    array = Column(None, values).array() if is_column else np.asarray(values)
    return array.astype(object) if array.dtype.kind == "T" else array


def _comparable(y, name):
    if y.dtype.kind == "O":
        try:
            sorted(set(y.ravel().tolist()))
        except Exception as error:  # whatever labels say of each other
            raise ValueError(
                f"{name} must hold labels that can be told apart and sorted, such as numbers or "
                f"texts: {error}"
            ) from error
    return y


def _count_missing(y):
    values = np.ma.getdata(y).ravel()
    if y.dtype.kind == "O":
        is_gap = np.array([is_missing(value) for value in values], dtype=bool)
    else:
        is_gap = values != values  # of NaN and NaT alone
    return np.count_nonzero(is_gap | np.ma.getmaskarray(y).ravel())


def _with_plain_numbers(y):
    labels = y.ravel().tolist() if y.dtype.kind == "O" else ()
    if not labels or not all(isinstance(label, Real | Decimal) for label in labels):
        return y
    numbers = [float(label) if isinstance(label, Decimal) else label for label in labels]
    return np.array(numbers).reshape(y.shape)


def encode_labels(y):
    """Return the two classes, sorted, and y as indices into them.

    Parameters
    ----------
    y : array of shape (n_samples,)
        Any two labels.

    Returns
    -------
    classes : array of shape (2,)
    indices : array of int of shape (n_samples,)
        0 or 1.

    Raises
    ------
    ValueError
        If y is continuous, or has more or fewer than two classes.

    Examples
    --------
    >>> from skdnn.data import encode_labels
    >>> classes, indices = encode_labels(["flower", "no flower", "flower"])
    >>> classes.tolist(), indices.tolist()
    (['flower', 'no flower'], [0, 1, 0])
    """
    check_classification_targets(y)
    kind = type_of_target(y, input_name="y")
    if kind != "binary":
        raise ValueError(
            "Only binary classification is supported. The type of the target is "
            f"{kind}; OneVsRestClassifier makes a classifier of many classes out of this one."
        )
    classes, indices = np.unique(y, return_inverse=True)
    check_two_classes(classes)
    return classes, indices


def encode_known_labels(y, classes, name):
    """Return y as indices into classes that are known already.

    Raises
    ------
    ValueError
        If y holds a label that is not among the classes.
    """
    y, known = np.asarray(y), classes.tolist()
    unknown = [label for label in dict.fromkeys(y.tolist()) if label not in known]
    if unknown:
        raise ValueError(f"{name} must hold only the classes {known}, got {unknown[:10]}.")
    return (y == classes[1]).astype(np.intp)


def encode_groups(groups):
    """Return groups, array-like of shape (n_samples,), as integers from 0."""
    groups = plain_labels(groups, "groups")
    if sparse.issparse(groups) or groups.ndim != 1:
        raise ValueError(f"groups must have one axis, got shape {groups.shape}.")
    position = {group: k for k, group in enumerate(dict.fromkeys(groups.tolist()))}
    return np.array([position[group] for group in groups.tolist()], dtype=np.intp)


def check_weights(sample_weight, n_samples, name="sample_weight"):
    """Return the weights of the rows as float64, ones for None.

    Raises
    ------
    ValueError
        If the weights are not one finite number of at least 0 for each row, or are all 0.
    """
    if sample_weight is None:
        return np.ones(n_samples)
    try:
        is_masked = np.ma.isMaskedArray(sample_weight)
        weight = sample_weight if is_masked else _as_array(sample_weight)
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
    if not weight.any():
        raise ValueError(f"{name} must hold a weight above zero, got all zero.")
    return _with_finite_sum(weight, name)


def _with_finite_sum(weight, name):
    if not np.finfo(np.float64).tiny < weight.sum() < np.inf:
        raise ValueError(
            f"{name} must have a sum that is neither 0 nor infinite, got weights of up to "
            f"{weight.max():g}."
        )
    return weight


def apply_class_weight(weight, y, classes, class_weight):
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

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data import apply_class_weight
    >>> weight, y = np.ones(4), np.array([0, 0, 0, 1])
    >>> apply_class_weight(weight, y, np.array(["a", "b"]), "balanced").round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    """
    if class_weight is None:
        return weight
    if isinstance(class_weight, str):
        totals = np.bincount(y, weights=weight, minlength=2)
        balanced = weight * (weight.sum() / (2 * totals))[y]
        return _with_finite_sum(balanced, "class_weight times sample_weight")
    known = set(classes.tolist())
    unknown = [label for label in class_weight if label not in known]
    if unknown:
        raise ValueError(
            f"class_weight must have labels of y as keys, {classes.tolist()}, got {unknown}."
        )
    weight = weight * np.array([class_weight.get(label, 1.0) for label in classes.tolist()])[y]
    if not weight.any():
        raise ValueError("class_weight and sample_weight must leave a weight above zero.")
    return _with_finite_sum(weight, "class_weight times sample_weight")


def check_two_classes(y, where=""):
    """Raise a ValueError unless labels y hold two classes."""
    classes = np.unique(y)
    if len(classes) < 2:
        raise ValueError(f"y must hold two classes{where}, got one class: {classes.tolist()}.")
