"""Activation functions g and their derivatives g', by name.

The table has each of them twice: as formulas, from ``Z`` to ``g(Z)`` and ``g'(Z)``, and as the
kernels that training calls. ``forward(Z, out)`` writes ``A = g(Z)``, ``backward(dA, Z, A, out)``
writes ``dZ = dA * g'(Z)``, each in one pass over the numbers. Tests compare the two.

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
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

LEAKY_SLOPE = 0.01
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


@dataclass(frozen=True)
class Activation:
    """A built-in activation: its formulas, its kernels and the gain of its initial weights."""

    name: str
    function: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor], Tensor]
    forward: Callable[[Tensor, Tensor], Tensor]
    backward: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
    reads_Z: bool  # whether `backward` reads Z; if it reads only A, A may overwrite Z
    gain: float  # 1 / E[g(z)²] for z ~ N(0, 1), or the square of torch.nn.init.calculate_gain
    module: Callable[[], torch.nn.Module]  # the same g in a torch.nn.Sequential


@dataclass(frozen=True)
class CustomActivation:
    """A user's function on tensors, with its derivative by automatic differentiation.

    The function may use all units of an example, so it gets an example in each row.
    """

    name: str
    function: Callable[[Tensor], Tensor]
    module: Callable[[], torch.nn.Module]
    gain: float = 1.0
    reads_Z = True

    def derivative(self, Z: Tensor) -> Tensor:
        """Return ``g'(Z)``; for a function of several units the sum of its derivatives."""
        return _pull_back(self.function, Z, torch.ones_like(Z))

    def forward(self, Z: Tensor, out: Tensor) -> Tensor:
        """Write ``A = g(Z)`` into `out`."""
        return out.copy_(self.function(Z.mT.contiguous()).mT)

    def backward(self, dA: Tensor, Z: Tensor, A: Tensor, out: Tensor) -> Tensor:
        """Write the product of `dA` with the Jacobian of g at `Z` into `out`."""
        return out.copy_(_pull_back(self.function, Z.mT.contiguous(), dA.mT).mT)


def _pull_back(function: Callable[[Tensor], Tensor], Z: Tensor, dA: Tensor) -> Tensor:
    """Return the product of `dA` with the Jacobian of a function at `Z`."""
    with torch.enable_grad():
        at = Z.detach().requires_grad_()
        # The gradient of a sum: torch imports a large package to check gradients it is given.
        return torch.autograd.grad((dA * function(at)).sum(), at)[0]


class Elementwise(torch.nn.Module):
    """A function on tensors as a layer of a torch.nn.Sequential."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, Z: Tensor) -> Tensor:
        """Return ``g(Z)``, of the shape of `Z`."""
        return self.function(Z)


# torch's own backward kernels, in the overloads that write to a given tensor.
_aten = torch.ops.aten

ACTIVATIONS: dict[str, Activation] = {
    a.name: a
    for a in (
        Activation(
            "sigmoid",
            function=lambda Z: torch.sigmoid(Z),  # 1 / (1 + exp(-Z))
            # A (1 - A); 1 - σ(Z) is computed as σ(-Z), which does not lose digits
            derivative=lambda Z: torch.sigmoid(Z) * torch.sigmoid(-Z),
            forward=lambda Z, out: torch.sigmoid(Z, out=out),
            backward=lambda dA, Z, A, out: _aten.sigmoid_backward.grad_input(dA, A, grad_input=out),
            reads_Z=False,
            gain=1.0,
            module=torch.nn.Sigmoid,
        ),
        Activation(
            "tanh",
            function=lambda Z: torch.tanh(Z),  # (exp(Z) - exp(-Z)) / (exp(Z) + exp(-Z))
            derivative=lambda Z: 1 - torch.tanh(Z) ** 2,  # 1 - A²
            forward=lambda Z, out: torch.tanh(Z, out=out),
            backward=lambda dA, Z, A, out: _aten.tanh_backward.grad_input(dA, A, grad_input=out),
            reads_Z=False,
            gain=(5 / 3) ** 2,
            module=torch.nn.Tanh,
        ),
        Activation(
            "relu",
            function=lambda Z: torch.clamp_min(Z, 0),  # max(0, Z)
            derivative=lambda Z: torch.where(Z > 0, torch.ones_like(Z), 0),  # 1 if Z > 0, else 0
            forward=lambda Z, out: torch.clamp_min(Z, 0, out=out),
            backward=lambda dA, Z, A, out: _aten.threshold_backward.grad_input(
                dA, A, 0, grad_input=out
            ),
            reads_Z=False,
            gain=2.0,
            module=torch.nn.ReLU,
        ),
        Activation(
            "leaky_relu",
            function=lambda Z: torch.maximum(LEAKY_SLOPE * Z, Z),  # max(slope Z, Z)
            derivative=lambda Z: torch.where(Z > 0, torch.ones_like(Z), LEAKY_SLOPE),
            forward=lambda Z, out: _aten.leaky_relu.out(Z, LEAKY_SLOPE, out=out),
            backward=lambda dA, Z, A, out: _aten.leaky_relu_backward.grad_input(
                dA, A, LEAKY_SLOPE, True, grad_input=out
            ),
            reads_Z=False,
            gain=2 / (1 + LEAKY_SLOPE**2),
            module=lambda: torch.nn.LeakyReLU(LEAKY_SLOPE),
        ),
        Activation(
            "identity",
            function=lambda Z: Z,
            derivative=lambda Z: torch.ones_like(Z),
            forward=lambda Z, out: out.copy_(Z),
            backward=lambda dA, Z, A, out: out.copy_(dA),
            reads_Z=False,
            gain=1.0,
            module=torch.nn.Identity,
        ),
        Activation(
            "elu",
            # Z if Z > 0, else exp(Z) - 1
            function=lambda Z: torch.where(Z > 0, Z, torch.expm1(Z.clamp_max(0))),
            derivative=lambda Z: torch.exp(Z.clamp_max(0)),  # 1 if Z > 0, else exp(Z)
            forward=lambda Z, out: _aten.elu.out(Z, out=out),
            backward=lambda dA, Z, A, out: _aten.elu_backward.grad_input(
                dA, 1, 1, 1, True, A, grad_input=out
            ),
            reads_Z=False,
            gain=1.55,
            module=torch.nn.ELU,
        ),
        Activation(
            "selu",
            # scale Z if Z > 0, else scale alpha (exp(Z) - 1)
            function=lambda Z: (
                SELU_SCALE * torch.where(Z > 0, Z, SELU_ALPHA * torch.expm1(Z.clamp_max(0)))
            ),
            derivative=lambda Z: (
                SELU_SCALE
                * torch.where(Z > 0, torch.ones_like(Z), SELU_ALPHA * torch.exp(Z.clamp_max(0)))
            ),
            forward=lambda Z, out: _aten.elu.out(Z, SELU_ALPHA, SELU_SCALE, out=out),
            backward=lambda dA, Z, A, out: _aten.elu_backward.grad_input(
                dA, SELU_ALPHA, SELU_SCALE, 1, True, A, grad_input=out
            ),
            reads_Z=False,
            gain=1.0,
            module=torch.nn.SELU,
        ),
        Activation(
            "gelu",
            # Z Φ(Z) and Φ(Z) + Z φ(Z), Φ the normal distribution function, φ its density
            function=lambda Z: Z * torch.special.ndtr(Z),
            derivative=lambda Z: (
                torch.special.ndtr(Z) + Z * torch.exp(-Z * Z / 2) / math.sqrt(2 * math.pi)
            ),
            forward=lambda Z, out: _aten.gelu.out(Z, out=out),
            backward=lambda dA, Z, A, out: _aten.gelu_backward.grad_input(dA, Z, grad_input=out),
            reads_Z=True,
            gain=2.35,
            module=torch.nn.GELU,
        ),
        Activation(
            "silu",
            function=lambda Z: Z * torch.sigmoid(Z),  # Z σ(Z)
            # σ(Z) + Z σ(Z) σ(-Z)
            derivative=lambda Z: torch.sigmoid(Z) * (1 + Z * torch.sigmoid(-Z)),
            forward=lambda Z, out: _aten.silu.out(Z, out=out),
            backward=lambda dA, Z, A, out: _aten.silu_backward.grad_input(dA, Z, grad_input=out),
            reads_Z=True,
            gain=2.81,
            module=torch.nn.SiLU,
        ),
        Activation(
            "mish",
            # Z t and t + Z (1 - t²) σ(Z), t = tanh(log(1 + exp(Z)))
            function=lambda Z: Z * torch.tanh(softplus(Z)),
            derivative=lambda Z: (
                torch.tanh(softplus(Z)) + Z * (1 - torch.tanh(softplus(Z)) ** 2) * torch.sigmoid(Z)
            ),
            forward=lambda Z, out: _aten.mish.out(Z, out=out),
            backward=lambda dA, Z, A, out: out.copy_(_aten.mish_backward.default(dA, Z)),
            reads_Z=True,
            gain=2.21,
            module=torch.nn.Mish,
        ),
    )
}
ACTIVATIONS["logistic"] = ACTIVATIONS["sigmoid"]  # scikit-learn's name
ACTIVATIONS["linear"] = ACTIVATIONS["identity"]


def get_activation(activation: Any) -> Activation | CustomActivation:
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
        If the name is unknown; if a module has parameters, which would not be trained; if the
        function fails on a small tensor or changes its shape or dtype.

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
    function = activation
    if inspect.isclass(activation) and issubclass(activation, torch.nn.Module):
        try:
            function = activation().eval()
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
    _check_on_tensors(function, name)
    return CustomActivation(name, function, lambda: Elementwise(function))


def _check_on_tensors(function: Callable[[Tensor], Tensor], name: str) -> None:
    """Raise a ValueError if a function fails on small tensors, or changes their shape or dtype."""
    for dtype, shape in ((torch.float64, (2, 3)), (torch.float32, (5, 2, 4))):  # the latter a stack
        # Inference mode of the caller would allow no derivative; autocast changes dtypes.
        with torch.inference_mode(False), torch.autocast("cpu", enabled=False):
            Z = torch.linspace(-2, 2, math.prod(shape), dtype=dtype, device="cpu").reshape(shape)
            try:
                A = function(Z)
                _pull_back(function, Z, torch.ones_like(A))
            except Exception as error:
                raise ValueError(
                    "activation must be a differentiable function of a tensor, but "
                    f"{name} raised: {error}"
                ) from error
        if A.shape != Z.shape or A.dtype != Z.dtype:
            raise ValueError(
                f"activation must return a tensor of the shape and dtype of its input, "
                f"{tuple(Z.shape)} {Z.dtype}, but {name} returned {tuple(A.shape)} {A.dtype}."
            )
