"""Early stopping: whether a network is trained further, and which of its weights are kept.

The criterion is the cost on the validation set if there is one (or a score, negated), otherwise the
training cost. A network stops when it has not improved by more than `tol` for `n_iter_no_change`
epochs in a row. With a validation set it keeps the weights of its best epoch, otherwise those of
its last.
"""

import math
from typing import TypeAlias

import numpy as np

# One for all networks, or an array of shape (M,).
Numbers: TypeAlias = float | np.ndarray


class EarlyStopping:
    """The state of early stopping for M networks.

    Parameters
    ----------
    n_networks : int
    tol : float or array of shape (M,)
        An epoch improves if it lowers the best cost by more than this.
    n_iter_no_change : int or array of shape (M,)
        A network stops after so many epochs in a row without improvement.
    keep_best : bool
        Keep the weights of the best epoch rather than of the last.
    max_iter : int or array of int of shape (M,), default=math.inf
        No network is trained for more epochs, whether it still improves or not.
    first_kept : int or array of int of shape (M,), default=1
        With `keep_best`, the first epoch whose weights may be kept.

    Attributes
    ----------
    best : array of shape (M,)
        Lowest cost so far.
    best_iter : array of int of shape (M,)
        The epoch whose weights are kept, counted from 1; 0 before the first.
    n_iter : array of int of shape (M,)
        Epochs trained.
    running : array of bool of shape (M,)
        The networks that have not stopped, without regard to `max_iter`.
    without_improvement : array of int of shape (M,)
        Epochs in a row without improvement.
    """

    def __init__(
        self,
        n_networks: int,
        *,
        tol: Numbers,
        n_iter_no_change: Numbers,
        keep_best: bool,
        max_iter: Numbers = math.inf,
        first_kept: Numbers = 1,
    ) -> None:
        self.tol, self.n_iter_no_change, self.keep_best = tol, n_iter_no_change, keep_best
        self.max_iter, self.first_kept = max_iter, first_kept
        self.best = np.full(n_networks, np.inf)
        self.best_iter = np.zeros(n_networks, dtype=int)
        self.n_iter = np.zeros(n_networks, dtype=int)
        self.running = np.ones(n_networks, dtype=bool)
        self.without_improvement = np.zeros(n_networks, dtype=int)

    def is_active(self, epoch: int) -> np.ndarray:
        """Return which networks are trained in an epoch, counted from 1, as bools."""
        return self.running & (epoch <= self.max_iter)

    def update(self, epoch: int, cost: np.ndarray) -> np.ndarray:
        """Record the costs after an epoch, of shape (M,).

        Returns
        -------
        array of bool of shape (M,)
            The networks whose present weights replace those kept before.

        Examples
        --------
        >>> import numpy as np
        >>> from skdnn.training import EarlyStopping
        >>> stopping = EarlyStopping(1, tol=0.1, n_iter_no_change=2, keep_best=True)
        >>> [bool(stopping.update(epoch, np.array([J]))[0])
        ...  for epoch, J in enumerate((1.0, 0.5, 0.45, 0.6), start=1)]
        [True, True, True, False]
        >>> bool(stopping.running.any()), stopping.best_iter.item()
        (False, 3)
        """
        trained = self.is_active(epoch)
        improved = trained & (cost < self.best - self.tol)
        lower = trained & (cost < self.best) & (epoch >= self.first_kept)
        self.without_improvement = np.where(
            trained, np.where(improved, 0, self.without_improvement + 1), self.without_improvement
        )
        self.best = np.where(lower, cost, self.best)
        keep = lower if self.keep_best else trained
        self.best_iter = np.where(keep, epoch, self.best_iter)
        self.n_iter = np.where(trained, epoch, self.n_iter)
        self.running &= self.without_improvement < self.n_iter_no_change
        return keep
