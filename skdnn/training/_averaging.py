"""Averages of the weights over the training steps, around another optimizer.

The noise of mini-batches moves the weights around the minimum; their mean lies closer to it.

References
----------
.. [1] B. T. Polyak, A. B. Juditsky, "Acceleration of stochastic approximation by averaging", SIAM
       J. Control and Optimization 30, 1992.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from skdnn.network import Network

from ._config import Members, Option
from ._optimizer import Objective, Optimizer

# The parts of its state that are weights, not statistics of gradients.
WEIGHTS = ("live", "average")


class WeightAverage(Optimizer):
    """The exponential moving average of theta over the steps, corrected for its start.

    After t steps it is ``Σ β^(t-s) theta_s / Σ β^(t-s)``: at first a plain mean, later one over
    about the last ``1 / (1 - β)`` steps.

    Parameters
    ----------
    optimizer : Optimizer
        Updates theta.
    theta : tensor of shape (P,) or (M, P)
        The tensor that this optimizer updates in place.
    decay : float or tensor of shape (M, 1)
        β, below 1.

    Attributes
    ----------
    average : tensor of the shape of theta
    live : tensor of the shape of theta
        The weights that the optimizer has reached, saved at the end of each epoch.
    """

    tensors, counters, options = WEIGHTS, ("n_steps",), ("decay",)

    def __init__(self, optimizer: Optimizer, theta: Tensor, decay: Option) -> None:
        self.optimizer, self.theta, self.decay = optimizer, theta, decay
        self.gradient, self.penalty = optimizer.gradient, optimizer.penalty
        self.nonnegative = optimizer.nonnegative
        self.average, self.live = theta.clone(), theta.clone()
        self.n_steps = 0

    def state(self) -> dict[str, Any]:
        """Return what the next step depends on at the end of an epoch: arrays and numbers."""
        return {"optimizer": self.optimizer.state(), **super().state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Set the state to one that `state` returned, and theta to the live weights."""
        self.optimizer.restore(state["optimizer"])
        super().restore(state)
        self.theta.copy_(self.live)

    def part(self, network: Network, members: Members) -> "WeightAverage":
        """Return an optimizer for some networks of the stack, which `network` holds."""
        part = super().part(network, members)
        part.optimizer = self.optimizer.part(network, members)
        part.theta.copy_(part.live)  # the network holds the averages after an epoch
        return part

    def merge(self, part: "WeightAverage", members: list[int]) -> None:
        """Copy the state of a part back into that of the whole stack."""
        super().merge(part, members)
        self.optimizer.merge(part.optimizer, members)

    def step(self, objective: Objective, rate: Option) -> None:
        """Let the optimizer update theta, then update the average."""
        self.optimizer.step(objective, rate)
        self.n_steps += 1
        self.average.lerp_(self.theta, (1 - self.decay) / (1 - self.decay**self.n_steps))

    @contextmanager
    def evaluated_weights(self) -> Iterator[None]:
        """Set theta to the average inside the block, and back to the live weights after it."""
        self.live.copy_(self.theta)
        self.theta.copy_(self.average)
        try:
            yield
        finally:
            self.theta.copy_(self.live)
