"""The cost J of a network's outputs: a weighted mean of losses, computed from Z[L].

For two classes ``ŷ = σ(Z)`` is a probability. If it has been rounded to 0 or 1, its logarithm may
be infinite, while the logit ``Z = log(ŷ / (1 - ŷ))`` is finite. So the losses and their derivatives
are functions of Z. For regression, ``ŷ = Z``.

A loss adds or averages over the outputs of an example, in its value and its derivative alike.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def cross_entropy(Z: Tensor, y: Tensor) -> Tensor:
    """Return ``-(y log ŷ + (1 - y) log(1 - ŷ))`` with ``ŷ = σ(Z)``, for each example."""
    # One of the two terms is 0. 1 - σ(Z) is σ(-Z), whose logarithm loses no digits.
    return -logsigmoid((2 * y - 1) * Z)


def cross_entropy_derivative(Z: Tensor, y: Tensor, out: Tensor) -> Tensor:
    """Write ``dL/dZ = ŷ - y`` into `out`; the derivative of the sigmoid cancels."""
    return torch.sigmoid(Z, out=out).sub_(y)


def squared_error_of_sigmoid(Z: Tensor, y: Tensor) -> Tensor:
    """Return ``(ŷ - y)² / 2`` with ``ŷ = σ(Z)``, for each example; not convex in Z."""
    return (torch.sigmoid(Z) - y).square_().mul_(0.5)


def squared_error_of_sigmoid_derivative(Z: Tensor, y: Tensor, out: Tensor) -> Tensor:
    """Write ``dL/dZ = (ŷ - y) ŷ (1 - ŷ)`` into `out`; it also vanishes where ŷ is wrong."""
    A = torch.sigmoid(Z)
    return torch.sub(A, y, out=out).mul_(A).mul_(torch.sigmoid(-Z))


def log_odds(y: Tensor, weight: Tensor) -> Tensor:
    """Return the logit of the mean of y, 0 if one of the classes has no example."""
    positive, negative = (weight * y).sum(-1), (weight * (1 - y)).sum(-1)
    return torch.where((positive > 0) & (negative > 0), (positive / negative).log(), 0.0)


def mean_over_outputs(losses: Tensor) -> Tensor:
    """Return the mean of losses of shape (..., k, m) over the k outputs, of shape (..., 1, m)."""
    return losses if losses.shape[-2] == 1 else losses.mean(-2, keepdim=True)


def divide_by_outputs(dZ: Tensor) -> Tensor:
    """Divide dL/dZ of shape (..., k, m) by k in place, for the mean over the k outputs."""
    return dZ if dZ.shape[-2] == 1 else dZ.div_(dZ.shape[-2])


def squared_error(Z: Tensor, y: Tensor) -> Tensor:
    """Return ``(ŷ - y)² / 2`` with ``ŷ = Z``, for each example."""
    return mean_over_outputs((Z - y).square_().mul_(0.5))


def squared_error_derivative(Z: Tensor, y: Tensor, out: Tensor) -> Tensor:
    """Write ``dL/dZ = ŷ - y`` into `out`."""
    return divide_by_outputs(torch.sub(Z, y, out=out))


def mean(y: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean of y, the constant of the lowest squared error."""
    return (weight * y).sum(-1) / weight.sum(-1)


def absolute_error(Z: Tensor, y: Tensor) -> Tensor:
    """Return ``|ŷ - y|`` with ``ŷ = Z``, for each example."""
    return mean_over_outputs((Z - y).abs_())


def absolute_error_derivative(Z: Tensor, y: Tensor, out: Tensor) -> Tensor:
    """Write ``dL/dZ = sign(ŷ - y)`` into `out`."""
    return divide_by_outputs(torch.sub(Z, y, out=out).sign_())


def quantile_error(q: float, Z: Tensor, y: Tensor) -> Tensor:
    """Return ``q (y - ŷ)`` where ``ŷ = Z`` is too low, ``(1 - q) (ŷ - y)`` where it is too high."""
    error = Z - y
    return mean_over_outputs(torch.maximum(-q * error, (1 - q) * error))


def quantile_error_derivative(q: float, Z: Tensor, y: Tensor, out: Tensor) -> Tensor:
    """Write ``dL/dZ``, -q below y and 1 - q above, into `out`."""
    sign = torch.sub(Z, y, out=out).sign_()
    return divide_by_outputs(sign.add_(sign.abs(), alpha=1 - 2 * q).mul_(0.5))


def quantile(q: float, y: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted quantile q of y, the constant of the lowest quantile error."""
    y, weight = torch.broadcast_tensors(y, weight)
    ordered, order = y.sort(dim=-1)
    up_to = weight.take_along_dim(order, dim=-1).cumsum(dim=-1)
    # Rounding errors must not skip a number at which the weights reach q exactly.
    place = torch.searchsorted(up_to, q * (1 - 1e-12) * up_to[..., -1:])
    return ordered.take_along_dim(place.clamp_(max=y.shape[-1] - 1), dim=-1)[..., 0]


@dataclass(frozen=True)
class Loss:
    """The loss of one example, its derivative with respect to Z[L], and the best constant output.

    Attributes
    ----------
    value : callable
        From Z and y of shape (..., k, m) to the loss of each example, of shape (..., 1, m), with
        the sum or the mean over several outputs.
    derivative : callable
        From Z, y and the tensor of the same shape to write the derivative of `value` to.
    constant : callable
        From y of shape (..., k, m) and weights of shape (..., 1, m) to the constant Z of the lowest
        cost, of shape (..., k).
    is_robust : bool
        Whether outliers in y hardly change the best constant output.
    """

    value: Callable[[Tensor, Tensor], Tensor]
    derivative: Callable[[Tensor, Tensor, Tensor], Tensor]
    constant: Callable[[Tensor, Tensor], Tensor]
    is_robust: bool = False


@cache
def quantile_loss(q: float) -> Loss:
    """Return the Loss that is lowest at the quantile q of y, 0 < q < 1 [1]_.

    References
    ----------
    .. [1] R. Koenker, G. Bassett, "Regression quantiles", Econometrica 46, 1978.
    """
    return Loss(
        partial(quantile_error, q),
        partial(quantile_error_derivative, q),
        partial(quantile, q),
        is_robust=True,
    )


# For two classes, with one output.
LOSSES: dict[str, Loss] = {
    "log_loss": Loss(cross_entropy, cross_entropy_derivative, log_odds),
    "squared_error": Loss(squared_error_of_sigmoid, squared_error_of_sigmoid_derivative, log_odds),
}
# For regression, the mean over several outputs.
LINEAR_LOSSES: dict[str, Loss] = {
    "squared_error": Loss(squared_error, squared_error_derivative, mean),
    "absolute_error": Loss(
        absolute_error, absolute_error_derivative, partial(quantile, 0.5), is_robust=True
    ),
    "quantile": quantile_loss(0.5),
}


def cost(loss: Loss, Z: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """Return ``J = Σ weight * loss / Σ weight``.

    Parameters
    ----------
    loss : Loss
    Z : tensor of shape (..., k, m)
        Any finite numbers.
    y : tensor of shape (..., k, m)
        Classes as 0 or 1, or numbers.
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
    sums = cost_sums(loss, Z, y, weight)
    return sums[0] / sums[1]


def cost_sums(loss: Loss, Z: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """Return ``Σ weight * loss`` and ``Σ weight`` as a tensor of shape (2, ...).

    The arguments are those of `cost`. The sums of parts of the examples can be added.
    """
    losses = (weight * loss.value(Z, y)).sum(-1).squeeze(-1)
    return torch.stack([losses, weight.sum((-2, -1)).expand_as(losses)])
