"""L-BFGS: full-batch training by SciPy's quasi-Newton minimiser.

The minimiser chooses its own steps and evaluates cost and gradient where it likes, so it runs the
training itself and reports each of its iterations as an epoch.

References
----------
.. [1] R. H. Byrd, P. Lu, J. Nocedal, C. Zhu, "A limited memory algorithm for bound constrained
       optimization", SIAM J. Scientific Computing 16, 1995.
"""

from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import minimize

from ._optimizer import Objective, Optimizer

# Relative decrease of the cost at which the minimiser has converged, as in scikit-learn.
_FTOL = 64 * np.finfo(np.float64).eps


class _StoppedError(Exception):
    """Leaves the minimiser from its callback, in any version of SciPy."""


class LBFGS(Optimizer):
    """Minimise ``J + λ/2 Σ W²`` over the theta of one network, not of a stack, in place."""

    def minimize(
        self,
        objective: Objective,
        end_of_epoch: Callable[[], bool],
        *,
        max_iter: int,
        tol: float,
    ) -> str:
        """Run the minimiser.

        Parameters
        ----------
        objective : Objective
            Of the full batch.
        end_of_epoch : callable
            Called after each iteration, with theta in place; it returns whether to stop.
        max_iter : int
            Iterations at the most.
        tol : float
            The training has converged when no component of the gradient is larger.

        Returns
        -------
        str
            Why it ended, as in `TrainingResult`; "stopped" if `end_of_epoch` returned True.
        """

        def cost_and_gradient(theta: np.ndarray) -> tuple[float, np.ndarray]:
            self.theta.copy_(torch.from_numpy(np.array(theta)))
            objective.compute_gradient()
            self.penalty.add_to(self.gradient)
            cost = objective.cost() + self.penalty.value()
            return cost.item(), self.gradient.double().cpu().numpy().copy()

        def callback(theta: np.ndarray) -> None:
            self.theta.copy_(torch.from_numpy(np.array(theta)))
            if end_of_epoch():
                raise _StoppedError

        try:
            result = minimize(
                cost_and_gradient,
                self.theta.double().cpu().numpy().copy(),
                jac=True,
                method="L-BFGS-B",
                callback=callback,
                options={"maxiter": max_iter, "maxfun": 20 * max_iter, "gtol": tol, "ftol": _FTOL},
            )
        except _StoppedError:
            return "stopped"
        if result.status == 0:
            return "gradient" if np.abs(result.jac).max(initial=0) <= tol else "cost"
        if result.status == 1:
            return "max_iter" if result.nit >= max_iter else "evaluations"
        return "line_search"
