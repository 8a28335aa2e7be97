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

from ._optimizers import Penalty


class _Stopped(Exception):
    """Leaves the minimiser from its callback, in any version of SciPy."""


def minimize_lbfgs(network, objective, end_of_epoch, *, weight_decay, max_iter, tol):
    """Minimise ``J + λ/2 Σ W²`` over theta, in place.

    Parameters
    ----------
    network : Network
        One network, not a stack.
    objective : Objective
        Of the full batch.
    end_of_epoch : callable
        Called after each iteration, theta in place; a true answer ends the training.
    weight_decay : float
    max_iter : int
    tol : float
        Converged where no component of the gradient is larger.

    Returns
    -------
    bool
        Whether the minimiser converged (or was told to stop) before `max_iter`.
    """
    penalty = Penalty(network, weight_decay)

    def cost_and_gradient(theta):
        network.theta.copy_(torch.from_numpy(theta))
        objective.compute_gradient()
        penalty.add_to(network.gradient)
        cost = objective.cost() + penalty.value()
        return cost.item(), network.gradient.double().cpu().numpy().copy()

    def callback(theta):
        network.theta.copy_(torch.from_numpy(np.array(theta)))
        if end_of_epoch():
            raise _Stopped

    try:
        result = minimize(
            cost_and_gradient,
            network.theta.double().cpu().numpy().copy(),
            jac=True,
            method="L-BFGS-B",
            callback=callback,
            options={
                "maxiter": max_iter,
                "maxfun": 20 * max_iter,
                "gtol": tol,
                "ftol": 64 * np.finfo(float).eps,
            },
        )
    except _Stopped:
        return True
    return result.status == 0
