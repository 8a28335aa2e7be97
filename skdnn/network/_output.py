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
        Name of the function from Z to the prediction.
    out_activation : str
        Its name in scikit-learn.
    losses : dict of str to Loss
        The losses for it by name, the default first.
    score : callable
        From Z, y of shape (..., k, m) and weights of shape (..., 1, m) to a score of shape (...),
        which is 1 for perfect predictions. Its name is scikit-learn's.
    mean : callable
        From Z of several networks, of shape (M, k, m), to the Z of their mean prediction.
    module : callable
        Returns a torch.nn.Module from Z of shape (m, k) to the prediction.
    is_flat : callable
        From Z to whether the prediction hardly changes there, a tensor of bool.
    """

    name: str
    out_activation: str
    losses: Mapping[str, Loss]
    score: Callable[[Tensor, Tensor, Tensor], Tensor]
    mean: Callable[[Tensor], Tensor]
    module: Callable[[], torch.nn.Module]
    is_flat: Callable[[Tensor], Tensor]


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


# For two classes.
SIGMOID = Output(
    name="sigmoid",
    out_activation="logistic",
    losses=LOSSES,
    score=accuracy,
    mean=logit_of_mean,
    module=torch.nn.Sigmoid,
    is_flat=lambda Z: Z.abs() > 20,  # the probability differs from 0 or 1 by less than 2e-9
)
# For real numbers.
LINEAR = Output(
    name="identity",
    out_activation="identity",
    losses=LINEAR_LOSSES,
    score=r2,
    mean=mean_of_numbers,
    module=torch.nn.Identity,
    is_flat=lambda Z: torch.zeros_like(Z, dtype=torch.bool),
)
