"""L-BFGS: full-batch training by SciPy's quasi-Newton minimiser.

The minimiser chooses its own steps and evaluates cost and gradient where it likes. Each of its
iterations is an epoch.

References
----------
.. [1] R. H. Byrd, P. Lu, J. Nocedal, C. Zhu, "A limited memory algorithm for bound constrained
       optimization", SIAM J. Scientific Computing 16, 1995.
"""

from typing import cast

import numpy as np
import torch
from scipy.optimize import minimize

from ._optimizer import Optimizer, Training

# Relative decrease of the cost at which the minimiser has converged, as in scikit-learn.
_FTOL = 64 * np.finfo(np.float64).eps


class _EndedError(Exception):
    """Leaves the minimiser from its callback, in any version of SciPy."""


class LBFGS(Optimizer):
    """Minimise ``J + λ/2 Σ W²`` over the theta of one network, not of a stack, in place."""

    has_criterion = True

    def run(self, training: Training) -> str:
        """Train iteration after iteration, and return why it ended, as in `TrainingResult`."""
        config, objective = training.config, training.full_batch()
        max_iter, tol = cast(int, config.max_iter), float(cast(float, config.tol))

        def cost_and_gradient(theta: np.ndarray) -> tuple[float, np.ndarray]:
            self.theta.copy_(torch.from_numpy(np.array(theta)))
            objective.compute_gradient()
            self.penalty.add_to(self.gradient)
            cost = objective.cost() + self.penalty.value()
            return cost.item(), self.gradient.double().cpu().numpy().copy()

        def callback(theta: np.ndarray) -> None:
            self.theta.copy_(torch.from_numpy(np.array(theta)))
            training.end_epoch([objective.cost()])
            if training.is_over():
                raise _EndedError

        try:
            result = minimize(
                cost_and_gradient,
                self.theta.double().cpu().numpy().copy(),
                jac=True,
                method="L-BFGS-B",
                callback=callback,
                options={"maxiter": max_iter, "maxfun": 20 * max_iter, "gtol": tol, "ftol": _FTOL},
            )
        except _EndedError:
            return "max_iter"
        if result.status == 0:
            return "gradient" if np.abs(result.jac).max(initial=0) <= tol else "cost"
        return "evaluations" if result.status == 1 else "line_search"
