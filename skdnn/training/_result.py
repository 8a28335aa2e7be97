"""The result of a training: weights, curves and how it ended."""

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

# Endings after which more epochs would not lower the cost.
CONVERGED = ("no_improvement", "stopped", "gradient", "cost")


@dataclass(frozen=True)
class TrainingResult:
    """The result of training M networks, named after SciPy's OptimizeResult.

    Attributes
    ----------
    theta : tensor of shape (P,) or (M, P)
        The kept weights.
    n_iter : array of int of shape (M,)
        Epochs trained.
    best_iter : array of int of shape (M,)
        The epoch whose weights were kept, counted from 1; 0: the initial weights.
    cost_curve : array of shape (epochs, M)
        Training cost in each epoch, without penalty. All curves are NaN after a network has
        stopped.
    validation_cost_curve, validation_score_curve : arrays of shape (epochs, M) or None
        On the validation set, after each epoch; the score is that of the output unit unless another
        one is given.
    endings : array of str of shape (M,)
        Why the training of a network ended: "no_improvement", "max_iter", "stopped" by an observer
        or "interrupted"; for L-BFGS also "gradient" and "cost", which converged, and "evaluations"
        and "line_search", which did not.
    interrupted : bool
        Whether Ctrl-C ended the training.
    failed : dict of int to ValueError
        Networks that diverged and were removed from the stack.
    """

    theta: Tensor
    n_iter: np.ndarray
    best_iter: np.ndarray
    cost_curve: np.ndarray
    validation_cost_curve: np.ndarray | None
    validation_score_curve: np.ndarray | None
    endings: np.ndarray
    interrupted: bool
    failed: dict[int, ValueError] = field(default_factory=dict)

    @property
    def converged(self) -> np.ndarray:
        """Whether each network stopped improving before `max_iter`, an array of bool."""
        return np.isin(self.endings, CONVERGED)
