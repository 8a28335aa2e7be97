"""L-BFGS: full-batch training by SciPy's quasi-Newton minimiser.

Not an update rule, since the minimiser chooses its own steps and asks for cost and gradient where
it likes; so it drives, and reports each iteration as an epoch.

References
----------
.. [1] R. H. Byrd, P. Lu, J. Nocedal, C. Zhu, "A limited memory algorithm for bound constrained
       optimization", SIAM J. Scientific Computing 16, 1995.
"""

import numpy as np
import torch
from scipy.optimize import minimize

from ._penalty import Penalty

# Relative decrease of the cost at which nothing is left to gain, as in scikit-learn.
_FTOL = 64 * np.finfo(np.float64).eps


class _Stopped(Exception):
    """Leaves the minimiser from its callback, in any version of SciPy."""


class LBFGS:
    """Minimise ``J + λ/2 Σ W²`` over the theta of one network, in place.

    Parameters
    ----------
    network : Network
        Not a stack.
    weight_decay : float, default=0.0
        λ.
    """

    def __init__(self, network, *, weight_decay=0.0):
        self.network, self.penalty = network, Penalty(network, weight_decay)

    def minimize(self, objective, end_of_epoch, *, max_iter, tol):
        """Run the minimiser.

        Parameters
        ----------
        objective : Objective
            Of the full batch.
        end_of_epoch : callable
            Called after each iteration, theta in place; a true answer ends the training.
        max_iter : int
            Iterations at the most.
        tol : float
            Converged where no component of the gradient is larger.

        Returns
        -------
        str
            Why it ended, as in `TrainingResult`; "stopped" where `end_of_epoch` ended it.
        """

        def cost_and_gradient(theta):
            self._set(theta)
            objective.compute_gradient()
            self.penalty.add_to(self.network.gradient)
            cost = objective.cost() + self.penalty.value()
            return cost.item(), _to_float64(self.network.gradient)

        def callback(theta):
            self._set(theta)
            if end_of_epoch():
                raise _Stopped

        options = {"maxiter": max_iter, "maxfun": 20 * max_iter, "gtol": tol, "ftol": _FTOL}
        start = _to_float64(self.network.theta)
        try:
            result = minimize(
                cost_and_gradient,
                start,
                jac=True,
                method="L-BFGS-B",
                callback=callback,
                options=options,
            )
        except _Stopped:
            return "stopped"
        if result.status == 0:
            return "gradient" if np.abs(result.jac).max(initial=0) <= tol else "cost"
        if result.status == 1:
            return "max_iter" if result.nit >= max_iter else "evaluations"
        return "line_search"

    def _set(self, theta):
        self.network.theta.copy_(torch.from_numpy(np.array(theta)))


def _to_float64(tensor):
    return tensor.double().cpu().numpy().copy()
