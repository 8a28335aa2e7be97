"""Weight decay: a penalty on large weights, beside the cost."""

import copy

import torch


def option_of(value, members):
    """Return what some networks of a stack have of a number or a tensor of shape (M, 1)."""
    if not isinstance(value, torch.Tensor):
        return value
    return value[members] if isinstance(members, list) else value[members].item()


class Penalty:
    """Weight decay: ``λ/2 Σ W²``, its gradient, and its decoupled form.

    Parameters
    ----------
    network : Network
    weight_decay : float or tensor of shape (M, 1)
        λ, at least 0.
    """

    def __init__(self, network, weight_decay):
        self.theta = network.theta
        is_zero = not isinstance(weight_decay, torch.Tensor) and weight_decay == 0
        self.decay = None if is_zero else weight_decay * network.weight_mask()

    def part(self, network, members):
        """Return the penalty of some networks of a stack, which are `network` now."""
        part = copy.copy(self)
        part.theta = network.theta
        part.decay = None if self.decay is None else self.decay[members]
        return part

    def value(self):
        """Return ``λ/2 Σ W²``, a tensor of shape (...)."""
        if self.decay is None:
            return self.theta.new_zeros(self.theta.shape[:-1])
        return (self.decay * self.theta.square()).sum(-1) / 2

    def add_to(self, gradient):
        """``dW := dW + λ W``."""
        if self.decay is not None:
            gradient.addcmul_(self.decay, self.theta)

    def shrink(self, rate):
        """``W := W - α λ W``."""
        if self.decay is not None:
            self.theta.addcmul_(self.decay * rate, self.theta, value=-1)
