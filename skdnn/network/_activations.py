"""Activation functions g and their derivatives g', by name.

A function writes ``A = g(Z)`` into `out`; its derivative writes ``g'(Z)`` into `out` and may read
``A``, which is often cheaper than starting again from ``Z``. Neither changes ``Z`` or ``A``.

References
----------
.. [1] K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015.
.. [2] D.-A. Clevert, T. Unterthiner, S. Hochreiter, "Fast and accurate deep network learning by
       exponential linear units", ICLR 2016.
.. [3] G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter, "Self-normalizing neural networks",
       NeurIPS 2017.
.. [4] D. Hendrycks, K. Gimpel, "Gaussian error linear units", arXiv:1606.08415.
.. [5] D. Misra, "Mish: a self regularized non-monotonic activation function", BMVC 2020.
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

LEAKY_SLOPE = 0.01
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def sigmoid(Z, out):  # 1 / (1 + exp(-Z))
    return torch.sigmoid(Z, out=out)


def sigmoid_derivative(Z, A, out):  # A (1 - A)
    return torch.addcmul(A, A, A, value=-1, out=out)


def tanh(Z, out):
    return torch.tanh(Z, out=out)


def tanh_derivative(Z, A, out):  # 1 - A²
    return torch.mul(A, A, out=out).neg_().add_(1)


def relu(Z, out):  # max(0, Z)
    return torch.clamp_min(Z, 0, out=out)


def relu_derivative(Z, A, out):  # 1 where Z > 0, else 0; A is never negative
    return torch.sign(A, out=out)


def leaky_relu(Z, out):  # max(slope Z, Z)
    return torch.maximum(torch.mul(Z, LEAKY_SLOPE, out=out), Z, out=out)


def leaky_relu_derivative(Z, A, out):  # 1 where Z > 0, else the slope
    return torch.sign(Z, out=out).clamp_min_(LEAKY_SLOPE)


def identity(Z, out):
    return out.copy_(Z)


def identity_derivative(Z, A, out):
    return out.fill_(1)


def elu(Z, out):  # Z where Z > 0, else exp(Z) - 1
    return torch.where(Z > 0, Z, torch.expm1(Z.clamp_max(0)), out=out)


def elu_derivative(Z, A, out):  # 1 where Z > 0, else exp(Z)
    return torch.add(A, 1, out=out).clamp_max_(1)


def selu(Z, out):  # scale * (Z where Z > 0, else alpha (exp(Z) - 1))
    negative = torch.expm1(Z.clamp_max(0)).mul_(SELU_ALPHA)
    return torch.where(Z > 0, Z, negative, out=out).mul_(SELU_SCALE)


def selu_derivative(Z, A, out):  # scale * (1 where Z > 0, else alpha exp(Z))
    return torch.add(A, SELU_SCALE * SELU_ALPHA, out=out).masked_fill_(Z > 0, SELU_SCALE)


def gelu(Z, out):  # Z Φ(Z), Φ the normal distribution function
    return torch.mul(Z, torch.special.ndtr(Z), out=out)


def gelu_derivative(Z, A, out):  # Φ(Z) + Z φ(Z)
    density = torch.exp(Z * Z / -2).mul_(1 / math.sqrt(2 * math.pi))
    return torch.addcmul(torch.special.ndtr(Z), Z, density, out=out)


def silu(Z, out):  # Z σ(Z)
    return torch.mul(Z, torch.sigmoid(Z), out=out)


def silu_derivative(Z, A, out):  # σ + Z σ (1 - σ) = σ + A (1 - σ)
    s = torch.sigmoid(Z)
    return torch.addcmul(s, A, 1 - s, out=out)


def mish(Z, out):  # Z tanh(softplus(Z))
    return torch.mul(Z, torch.tanh(torch.nn.functional.softplus(Z)), out=out)


def mish_derivative(Z, A, out):  # t + Z (1 - t²) σ(Z) with t = tanh(softplus(Z))
    t = torch.tanh(torch.nn.functional.softplus(Z))
    return torch.addcmul(t, Z * torch.sigmoid(Z), 1 - t * t, out=out)


@dataclass(frozen=True)
class Activation:
    """A built-in activation: g, g', and the gain of its fan-in scaled initialisation."""

    name: str
    function: Callable[[Tensor, Tensor], Tensor]
    derivative: Callable[[Tensor, Tensor, Tensor], Tensor]
    gain: float  # 1 / E[g(z)²] for z ~ N(0, 1), or the customary number near it
    module: Callable[[], torch.nn.Module]  # the same g in a torch.nn.Sequential

    def forward(self, Z, out):
        """Write ``A = g(Z)`` into `out`."""
        return self.function(Z, out)

    def backward(self, dA, Z, A, out):
        """Write ``dZ = dA * g'(Z)`` into `out`."""
        return self.derivative(Z, A, out).mul_(dA)


@dataclass(frozen=True)
class CustomActivation:
    """A user's function on tensors; its derivative is torch's, by automatic differentiation."""

    name: str
    function: Callable[[Tensor], Tensor]
    module: Callable[[], torch.nn.Module]
    gain: float = 1.0

    def forward(self, Z, out):
        """Write ``A = g(Z)`` into `out`."""
        return out.copy_(self.function(Z))

    def backward(self, dA, Z, A, out):
        """Write the product of `dA` with the Jacobian of g at `Z` into `out`."""
        return out.copy_(_pull_back(self.function, Z, dA))


def _pull_back(function, Z, dA):
    """Return the product of `dA` with the Jacobian of a function at `Z`."""
    with torch.enable_grad():
        at = Z.detach().requires_grad_()
        # Of a sum: given the gradients dA, torch would import a large package to check them.
        return torch.autograd.grad((dA * function(at)).sum(), at)[0]


class Elementwise(torch.nn.Module):
    """A function on tensors as a layer of a torch.nn.Sequential."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, Z):
        """Return ``g(Z)``, of the shape of `Z`."""
        return self.function(Z)


ACTIVATIONS = {
    a.name: a
    for a in (
        Activation("sigmoid", sigmoid, sigmoid_derivative, 1.0, torch.nn.Sigmoid),
        Activation("tanh", tanh, tanh_derivative, (5 / 3) ** 2, torch.nn.Tanh),
        Activation("relu", relu, relu_derivative, 2.0, torch.nn.ReLU),
        Activation(
            "leaky_relu",
            leaky_relu,
            leaky_relu_derivative,
            2 / (1 + LEAKY_SLOPE**2),
            lambda: torch.nn.LeakyReLU(LEAKY_SLOPE),
        ),
        Activation("identity", identity, identity_derivative, 1.0, torch.nn.Identity),
        Activation("elu", elu, elu_derivative, 1.55, torch.nn.ELU),
        Activation("selu", selu, selu_derivative, 1.0, torch.nn.SELU),
        Activation("gelu", gelu, gelu_derivative, 2.35, torch.nn.GELU),
        Activation("silu", silu, silu_derivative, 2.81, torch.nn.SiLU),
        Activation("mish", mish, mish_derivative, 2.23, torch.nn.Mish),
    )
}
ACTIVATIONS["logistic"] = ACTIVATIONS["sigmoid"]  # scikit-learn's name
ACTIVATIONS["linear"] = ACTIVATIONS["identity"]


def get_activation(activation):
    """Return the activation for a name, a function on tensors or a torch.nn.Module class.

    Parameters
    ----------
    activation : str, callable, torch.nn.Module class or instance
        A key of ``ACTIVATIONS``; or a function from a tensor ``Z`` of shape ``(..., m, n)`` to
        one of the same shape and dtype.

    Returns
    -------
    Activation or CustomActivation

    Raises
    ------
    ValueError
        If the name is unknown; if a module has parameters of its own, which would stay untrained;
        if the function fails on a small tensor or changes its shape or dtype.

    Examples
    --------
    >>> import torch
    >>> from skdnn.network import get_activation
    >>> Z = torch.tensor([-1.0, 0.0, 2.0])
    >>> get_activation("leaky_relu").forward(Z, torch.empty(3)).tolist()
    [-0.01, 0.0, 2.0]
    """
    if isinstance(activation, str):
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"activation must be one of {sorted(ACTIVATIONS)}, got {activation!r}."
            )
        return ACTIVATIONS[activation]
    name = getattr(activation, "__name__", type(activation).__name__)
    function = _without_parameters(activation, name)
    _check_on_small_tensors(function, name)
    return CustomActivation(name, function, lambda: Elementwise(function))


def _without_parameters(activation, name):
    is_module_class = inspect.isclass(activation) and issubclass(activation, torch.nn.Module)
    try:
        function = activation().eval() if is_module_class else activation
    except TypeError as error:
        raise ValueError(
            "activation must be a torch.nn.Module class that needs no arguments, or a function "
            f"made of it, got {name}: {error}"
        ) from error
    if isinstance(function, torch.nn.Module) and any(True for _ in function.parameters()):
        raise ValueError(
            f"activation must have no parameters of its own, since they would not be trained, "
            f"got {name}."
        )
    return function


def _check_on_small_tensors(function, name):
    _check_on_a_tensor(function, name, torch.float64, (2, 3))
    _check_on_a_tensor(function, name, torch.float32, (5, 2, 4))  # of a stack


def _check_on_a_tensor(function, name, dtype, shape):
    Z = torch.linspace(-2, 2, math.prod(shape), dtype=dtype, device="cpu").reshape(shape)
    try:
        A = function(Z)
        _pull_back(function, Z, torch.ones_like(A))
    except Exception as error:
        raise ValueError(
            f"activation must be a differentiable function of a tensor, but {name} raised: {error}"
        ) from error
    if A.shape != Z.shape or A.dtype != Z.dtype:
        raise ValueError(
            f"activation must return a tensor of the shape and dtype of its input, "
            f"{tuple(Z.shape)} {Z.dtype}, but {name} returned {tuple(A.shape)} {A.dtype}."
        )
