"""The output unit: a probability by the sigmoid, or the real number Z[L] itself.

Hidden layers must not be linear, because linear layers in a row are one linear layer. The output
layer may be, for a target of real numbers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ._cost import LINEAR_LOSSES, LOSSES, Loss


@dataclass(frozen=True)
class Output:
    """An output unit, and what depends on it.

    Attributes
    ----------
    name : str
        scikit-learn's name, its ``out_activation_``.
    losses : dict of str to Loss
        The losses for it by name, the default first.
    score : callable
        From Z, y of shape (..., k, m) and weights of shape (..., 1, m) to a score of shape (...),
        which is 1 for perfect predictions. Its name is scikit-learn's.
    mean : callable
        From Z of several networks, of shape (M, k, m), to the Z of their mean prediction.
    module : torch.nn.Module class
        From Z to the prediction.
    flat_beyond : float
        The absolute value of Z beyond which the prediction hardly changes.
    """

    name: str
    losses: Mapping[str, Loss]
    score: Callable[[Tensor, Tensor, Tensor], Tensor]
    mean: Callable[[Tensor], Tensor]
    module: type[torch.nn.Module]
    flat_beyond: float


def accuracy(Z: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted fraction of examples whose predicted class is y."""
    is_right = ((Z > 0) == (y > 0)) * weight
    return is_right.sum((-2, -1)) / weight.sum((-2, -1))


def r2(Z: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """Return ``1 - Σ w (y - ŷ)² / Σ w (y - ȳ)²``, averaged over several outputs.

    If y is constant, it is 1 for the exact prediction and 0 for any other, as in scikit-learn.
    """
    # Subtract one of the numbers, so that a constant y becomes exactly 0 without rounding errors.
    one = y.take_along_dim(weight.expand_as(y).argmax(-1, keepdim=True), dim=-1)
    y, Z = y - one, Z - one
    mean = (weight * y).sum(-1, keepdim=True) / weight.sum(-1, keepdim=True)
    residual = (weight * (y - Z).square()).sum(-1)
    total = (weight * (y - mean).square()).sum(-1)
    return torch.where(total > 0, 1 - residual / total, (residual == 0).to(Z.dtype)).mean(-1)


def logit_of_mean(Z: Tensor) -> Tensor:
    """Return ``log(p / (1 - p))`` where p is the mean of σ(Z) over the first axis."""
    return logsigmoid(Z).logsumexp(dim=0) - logsigmoid(-Z).logsumexp(dim=0)


def mean_of_numbers(Z: Tensor) -> Tensor:
    """Return the mean of Z over the first axis, exact if all are equal."""
    return Z[0] + (Z - Z[0]).mean(dim=0)


# Beyond 20 a probability differs from 0 or 1 by less than 2e-9.
SIGMOID = Output("logistic", LOSSES, accuracy, logit_of_mean, torch.nn.Sigmoid, 20.0)
LINEAR = Output("identity", LINEAR_LOSSES, r2, mean_of_numbers, torch.nn.Identity, float("inf"))
