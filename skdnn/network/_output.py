"""The output unit: a probability by the sigmoid, or the number Z[L] itself.

The lecture's remark on activations: a hidden layer must not be linear, since linear layers on top
of each other are one linear layer; the last one may be, where the answer is a real number of either
sign.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ._cost import LINEAR_LOSSES, LOSSES, Loss


@dataclass(frozen=True)
class Output:
    """A row of the table of output units.

    Attributes
    ----------
    name : str
        As scikit-learn has it.
    losses : dict of str to Loss
        Those that suit it, by name; the first one is what it is made for.
    score : callable
        From Z, y of shape (..., k, m) and weights of shape (..., 1, m) to how right the answers
        are, of shape (...), 1 for all. Its name is scikit-learn's.
    mean : callable
        From Z of several networks, of shape (M, k, m), to that of their mean answer.
    module : torch.nn.Module class
        From Z to the answer.
    flat_beyond : float
        From which Z on the answer hardly changes any more.
    """

    name: str
    losses: Mapping[str, Loss]
    score: Callable[[Tensor, Tensor, Tensor], Tensor]
    mean: Callable[[Tensor], Tensor]
    module: type[torch.nn.Module]
    flat_beyond: float


def accuracy(Z, y, weight):
    """Return the weighted share of examples whose more probable answer is y."""
    is_right = ((Z > 0) == (y > 0)) * weight
    return is_right.sum((-2, -1)) / weight.sum((-2, -1))


def r2(Z, y, weight):
    """Return ``1 - Σ w (y - ŷ)² / Σ w (y - ȳ)²``, of several outputs the mean.

    Where y is constant, 1 for the right answer and 0 for any other, as in scikit-learn.
    """
    # Distances from one that counts: those of a constant are 0, not the rounding of its mean.
    one = y.take_along_dim(weight.expand_as(y).argmax(-1, keepdim=True), dim=-1)
    y, Z = y - one, Z - one
    mean = (weight * y).sum(-1, keepdim=True) / weight.sum(-1, keepdim=True)
    left = (weight * (y - Z).square()).sum(-1)
    total = (weight * (y - mean).square()).sum(-1)
    return torch.where(total > 0, 1 - left / total, (left == 0).to(Z.dtype)).mean(-1)


def logit_of_mean(Z):
    """Return ``log(p / (1 - p))``, p being the mean of σ(Z) over the first axis."""
    return logsigmoid(Z).logsumexp(dim=0) - logsigmoid(-Z).logsumexp(dim=0)


def mean_of_numbers(Z):
    """Return the mean of Z over the first axis, exact where all are equal."""
    return Z[0] + (Z - Z[0]).mean(dim=0)


# Beyond 20 a probability differs from 0 or 1 by less than 2e-9.
SIGMOID = Output("logistic", LOSSES, accuracy, logit_of_mean, torch.nn.Sigmoid, 20.0)
LINEAR = Output("identity", LINEAR_LOSSES, r2, mean_of_numbers, torch.nn.Identity, float("inf"))
