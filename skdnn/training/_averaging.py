"""Averaging the weights over time: an update rule around another.

The noise of mini-batches moves the weights around the minimum; their mean lies closer to it.

References
----------
.. [1] B. T. Polyak, A. B. Juditsky, "Acceleration of stochastic approximation by averaging", SIAM
       J. Control and Optimization 30, 1992.
"""

import copy
from contextlib import contextmanager

import torch

from ._penalty import option_of

# What of its state is weights, and no statistics of gradients.
WEIGHTS = ("live", "average")


class WeightAverage:
    """The mean of theta over the steps, those of long ago discounted.

    After t steps it is ``Σ β^(t-s) theta_s / Σ β^(t-s)``, a plain mean at first, with a memory of
    about ``1 / (1 - β)`` steps later.

    Parameters
    ----------
    optimizer : update rule
        What moves theta.
    theta : tensor of shape (P,) or (M, P)
        The same tensor that the rule updates in place.
    decay : float or tensor of shape (M, 1)
        β, below 1.
    """

    def __init__(self, optimizer, theta, decay):
        self.optimizer, self.theta, self.decay = optimizer, theta, decay
        self.average, self.live = theta.clone(), theta.clone()
        self.n_steps = 0

    def state(self):
        """Return what the next step depends on at the end of an epoch: arrays and numbers."""
        return {
            "rule": self.optimizer.state(),
            "live": self.live.cpu().numpy(),
            "average": self.average.cpu().numpy(),
            "n_steps": self.n_steps,
        }

    def restore(self, state):
        """Go on from a state, theta included."""
        self.optimizer.restore(state["rule"])
        self.live.copy_(torch.from_numpy(state["live"]))
        self.theta.copy_(self.live)
        self.average.copy_(torch.from_numpy(state["average"]))
        self.n_steps = state["n_steps"]

    def part(self, network, members):
        """Return the rule for some networks of a stack, which are `network` now."""
        part = copy.copy(self)
        part.optimizer, part.theta = self.optimizer.part(network, members), network.theta
        part.decay = option_of(self.decay, members)
        part.average, part.live = self.average[members].clone(), self.live[members].clone()
        part.theta.copy_(part.live)  # where it was the average that was seen last
        return part

    def merge(self, part, members):
        """Take over what has become of the state of a part."""
        self.optimizer.merge(part.optimizer, members)
        self.average[members], self.live[members] = part.average, part.live
        self.n_steps = part.n_steps

    def step(self, objective, rate):
        """Let the rule update theta, then the average follow."""
        self.optimizer.step(objective, rate)
        self.n_steps += 1
        self.average.lerp_(self.theta, (1 - self.decay) / (1 - self.decay**self.n_steps))

    @contextmanager
    def in_place(self):
        """Let theta be the average for a while, such as at the end of an epoch."""
        self.live.copy_(self.theta)
        self.theta.copy_(self.average)
        try:
            yield
        finally:
            self.theta.copy_(self.live)
