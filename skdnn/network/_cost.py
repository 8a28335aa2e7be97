"""The cost J of a network's answers: a mean of losses, computed from Z[L].

A yes or no is a probability, ``ŷ = σ(Z)``. One that was rounded to 0 or 1 has lost its distance to
the truth, and its logarithm is infinite; the logit has not. So every loss of it here, and its
derivative, is a function of ``Z = log(ŷ / (1 - ŷ))``, finite for any finite logit. A number has no
such bounds: ``ŷ = Z``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

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


def squared_error_of_sigmoid(Z, y):
    """Return ``(ŷ - y)² / 2`` with ``ŷ = σ(Z)``, for each example; not convex in Z."""
    return (torch.sigmoid(Z) - y).square_().mul_(0.5)


def squared_error_of_sigmoid_derivative(Z, y, out):
    """Write ``dL/dZ = (ŷ - y) ŷ (1 - ŷ)`` into `out`: it vanishes where ŷ is surely wrong, too."""
    A = torch.sigmoid(Z)
    return torch.sub(A, y, out=out).mul_(A).mul_(torch.sigmoid(-Z))


def log_odds(y, weight):
    """Return the logit that fits without looking at X, 0 where one of the two has no example."""
    positive, negative = (weight * y).sum(-1), (weight * (1 - y)).sum(-1)
    return torch.where((positive > 0) & (negative > 0), (positive / negative).log(), 0.0)


def squared_error(Z, y):
    """Return ``(ŷ - y)² / 2`` with ``ŷ = Z``, for each example."""
    return (Z - y).square_().mul_(0.5)


def squared_error_derivative(Z, y, out):
    """Write ``dL/dZ = ŷ - y`` into `out`."""
    return torch.sub(Z, y, out=out)


def mean(y, weight):
    """Return the number of the lowest squared error to all y, their mean."""
    return (weight * y).sum(-1) / weight.sum(-1)


def absolute_error(Z, y):
    """Return ``|ŷ - y|`` with ``ŷ = Z``, for each example."""
    return (Z - y).abs_()


def absolute_error_derivative(Z, y, out):
    """Write ``dL/dZ = sign(ŷ - y)`` into `out`."""
    return torch.sub(Z, y, out=out).sign_()


def quantile_error(q, Z, y):
    """Return ``q (y - ŷ)`` where ``ŷ = Z`` is too low, ``(1 - q) (ŷ - y)`` where it is too high."""
    error = Z - y
    return torch.maximum(-q * error, (1 - q) * error)


def quantile_error_derivative(q, Z, y, out):
    """Write ``dL/dZ``, -q below y and 1 - q above, into `out`."""
    sign = torch.sub(Z, y, out=out).sign_()
    return sign.add_(sign.abs(), alpha=1 - 2 * q).mul_(0.5)


def quantile(q, y, weight):
    """Return the number with a share q of the weight of all y below, of the lowest error."""
    y, weight = torch.broadcast_tensors(y, weight)
    ordered, order = y.sort(dim=-1)
    up_to = weight.take_along_dim(order, dim=-1).cumsum(dim=-1)
    # Rounding must not push the quantile behind a number that reaches it exactly.
    place = torch.searchsorted(up_to, q * (1 - 1e-12) * up_to[..., -1:])
    return ordered.take_along_dim(place.clamp_(max=y.shape[-1] - 1), dim=-1)[..., 0]


@dataclass(frozen=True)
class Loss:
    """The loss of one example, its derivative with respect to Z[L], and the best answer to all.

    Attributes
    ----------
    value : callable
        From Z and y of one shape to the loss of each.
    derivative : callable
        From Z, y and a tensor to write to.
    constant : callable
        From y of shape (..., k, m) and weights of shape (..., 1, m) to the Z that costs least
        without looking at X, of shape (..., k).
    is_robust : bool
        Whether a few wild y hardly move what costs least.
    """

    value: Callable[[Tensor, Tensor], Tensor]
    derivative: Callable[[Tensor, Tensor, Tensor], Tensor]
    constant: Callable[[Tensor, Tensor], Tensor]
    is_robust: bool = False


@cache
def quantile_loss(q):
    """Return the Loss whose lowest mean is at the quantile q of y, 0 < q < 1 [1]_.

    References
    ----------
    .. [1] R. Koenker, G. Bassett, "Regression quantiles", Econometrica 46, 1978.
    """
    functions = quantile_error, quantile_error_derivative, quantile
    return Loss(*(partial(function, q) for function in functions), is_robust=True)


# Of a yes or no.
LOSSES = {
    "log_loss": Loss(cross_entropy, cross_entropy_derivative, log_odds),
    "squared_error": Loss(squared_error_of_sigmoid, squared_error_of_sigmoid_derivative, log_odds),
}
# Of numbers.
LINEAR_LOSSES = {
    "squared_error": Loss(squared_error, squared_error_derivative, mean),
    "absolute_error": Loss(
        absolute_error, absolute_error_derivative, partial(quantile, 0.5), is_robust=True
    ),
    "quantile": quantile_loss(0.5),
}


def cost(loss, Z, y, weight):
    """Return ``J = Σ weight * loss / Σ weight``, of several outputs the mean.

    Parameters
    ----------
    loss : Loss
    Z : tensor of shape (..., k, m)
        Any finite numbers.
    y : tensor of shape (..., k, m)
        0 or 1, or numbers.
    weight : tensor of shape (..., 1, m)
        Weights of the examples, at least 0 and not all 0.

    Returns
    -------
    tensor of shape (...)

    Examples
    --------
    >>> import torch
    >>> from skdnn.network import LOSSES, cost
    >>> Z, y = torch.tensor([[0.0, 1000.0]]), torch.tensor([[1.0, 0.0]])
    >>> float(cost(LOSSES["log_loss"], Z, y, torch.ones(1, 2)))  # (log 2 + 1000) / 2
    500.3466
    """
    losses, total = cost_sums(loss, Z, y, weight)
    return losses / total


def cost_sums(loss, Z, y, weight):
    """Return ``Σ weight * loss`` and ``Σ weight``, which add up over parts of the examples.

    For what `cost` takes, as a tensor of shape (2, ...).
    """
    losses = (weight * loss.value(Z, y)).sum(-1).mean(-1)
    return torch.stack([losses, weight.sum((-2, -1)).expand_as(losses)])
