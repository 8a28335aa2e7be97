"""The task: all that the estimators differ in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np

from skdnn.network import Loss, Output


class Constraint(Protocol):
    """What a parameter must be; ``str(constraint)`` completes "must be ...".

    The value has types of Python: see `to_python`.
    """

    def accepts(self, value: Any) -> bool:
        """Return whether a value satisfies the constraint."""


@dataclass(frozen=True)
class Task:
    """What an estimator learns, such as binary classification or regression.

    Attributes
    ----------
    target : type
        A subclass of `Classes`, or `RealNumbers`: how y is read, encoded and stratified.
    output : Output
        The output unit, its losses and its score.
    constraints : dict of str to Constraint
        Of the parameters that other tasks do not have, or that have other values there.
    loss : callable
        From checked parameters to a Loss.
    weigh : callable
        From (parameters, target, encoded y, sample weights, the `total_weights` of all rows) to the
        weights of the rows.
    is_classification : bool
        For the values of "auto".
    out_of_fold : tuple of (str, callable)
        Name of the attribute with the out-of-fold predictions, and the function that computes them
        from raw predictions of shape (n_samples, n_outputs).
    """

    target: type[Any]
    output: Output
    constraints: Mapping[str, Constraint]
    loss: Callable[[SimpleNamespace], Loss]
    weigh: Callable[[SimpleNamespace, Any, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    is_classification: bool
    out_of_fold: tuple[str, Callable[[np.ndarray], np.ndarray]]
