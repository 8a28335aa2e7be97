"""The cost J of a network's answers: a mean of losses, computed from the logit Z[L].

A probability that was rounded to 0 or 1 has lost its distance to the truth, and its logarithm is
infinite; the logit has not. So every loss here, and its derivative, is a function of
``Z = log(ŷ / (1 - ŷ))``, finite for any finite logit.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def cross_entropy(Z, y):
    """Return ``-(y log ŷ + (1 - y) log(1 - ŷ))`` with ``ŷ = σ(Z)``, for each example."""
    # One of the two terms is 0, and 1 - σ(Z) = σ(-Z), of which the logarithm keeps its digits.
    return -logsigmoid((2 * y - 1) * Z)


def cross_entropy_derivative(Z, y, out):
    """Write ``dL/dZ = ŷ - y`` into `out`: the sigmoid's own derivative has cancelled."""
    return torch.sigmoid(Z, out=out).sub_(y)


def squared_error(Z, y):
    """Return ``(ŷ - y)² / 2`` with ``ŷ = σ(Z)``, for each example; not convex in Z."""
    return (torch.sigmoid(Z) - y).square_().mul_(0.5)


def squared_error_derivative(Z, y, out):
    """Write ``dL/dZ = (ŷ - y) ŷ (1 - ŷ)`` into `out`: it vanishes where ŷ is surely wrong, too."""
    A = torch.sigmoid(Z)
    return torch.sub(A, y, out=out).mul_(A).mul_(torch.sigmoid(-Z))


@dataclass(frozen=True)
class Loss:
    """The loss of one example, and its derivative with respect to the logit."""

    value: Callable[[Tensor, Tensor], Tensor]
    derivative: Callable[[Tensor, Tensor, Tensor], Tensor]


LOSSES = {
    "log_loss": Loss(cross_entropy, cross_entropy_derivative),
    "squared_error": Loss(squared_error, squared_error_derivative),
}


def cost(loss, Z, y, weight):
    """Return ``J = Σ weight * loss / Σ weight``.

    Parameters
    ----------
    loss : {"log_loss", "squared_error"}
    Z : tensor of shape (..., 1, m)
        Logits, any finite number.
    y : tensor of shape (..., 1, m)
        Labels, 0 or 1.
    weight : tensor of shape (..., 1, m)
        Weights of the examples, at least 0 and not all 0.

    Returns
    -------
    tensor of shape (...)

    Examples
    --------
    >>> import torch
    >>> from skdnn.network import cost
    >>> Z, y = torch.tensor([[0.0, 1000.0]]), torch.tensor([[1.0, 0.0]])
    >>> float(cost("log_loss", Z, y, torch.ones(1, 2)))  # (log 2 + 1000) / 2
    500.3466
    """
    losses = LOSSES[loss].value(Z, y)
    return (weight * losses).sum((-2, -1)) / weight.sum((-2, -1))
