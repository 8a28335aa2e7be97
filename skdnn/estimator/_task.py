"""What the two estimators differ in, as a row in a table of two."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from skdnn.network import Loss, Output


@dataclass(frozen=True)
class Task:
    """All that an estimator hands in; nothing else in this package asks which one it is.

    Attributes
    ----------
    target : type
        `TwoClasses` or `RealNumbers`: how y is read, what is learned of it, how rows are held out.
    output : Output
        The output unit, its losses and its score.
    constraints : dict of str to rule
        Those of the parameters that the other estimator has not, or has with other values.
    loss : callable
        From checked parameters to a Loss.
    weigh : callable
        From checked parameters, target, encoded y, the weights of the rows and the processes that
        have the others to what they count.
    penalty_fraction : float
        Of "auto" for `weight_decay` where held-out rows say when to stop, or columns are many.
    rows_worth_binning : int
        From so many rows on one network gets bins where `numeric_embedding` is "auto".
    alternates_bins : bool
        Whether there every other network of several does without.
    out_of_fold : tuple of (str, callable)
        The attribute that keeps what networks say of the rows that they held out, and what makes it
        of their answers of shape (n_samples, n_outputs).
    """

    target: Any
    output: Output
    constraints: Mapping[str, Any]
    loss: Callable[[Any], Loss]
    weigh: Callable[[Any, Any, np.ndarray, np.ndarray, Any], np.ndarray]
    penalty_fraction: float
    rows_worth_binning: int
    alternates_bins: bool
    out_of_fold: tuple[str, Callable[[np.ndarray], np.ndarray]]
