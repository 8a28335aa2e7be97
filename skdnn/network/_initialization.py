"""The weights before training: zeros, small random numbers, or scaled to the layer's inputs.

Biases start at 0, the output bias at the best constant prediction (the log-odds of y = 1, or the
mean of y), which training with a small learning rate would take long to reach. Weights are drawn
from a normal distribution with mean 0 and standard deviation `init_scale`:

* 0.0: zeros, including the output bias. All units of a hidden layer compute the same, receive the
  same gradient and stay equal, which makes hidden layers useless. Logistic regression has no hidden
  layer and trains well;
* 0.01: small random numbers, which break that symmetry;
* 1000.0: saturates the sigmoid, where its gradient is zero;
* "auto": ``sqrt(gain / n^[l-1])``, which keeps the variance of Z from layer to layer; in the first
  layer n^[0] counts the inputs that a network uses.

An embedding draws its own parameters.

References
----------
.. [1] K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ._network import Network


def initialize(
    network: Network,
    init_scale: float | str,
    generators: Sequence[torch.Generator],
    constant: float | Tensor = 0.0,
) -> None:
    """Draw the weights of a network, or of each network of a stack, in place.

    Parameters
    ----------
    network : Network
    init_scale : float or "auto"
        Standard deviation of the weights.
    generators : list of torch.Generator
        One for each network of the stack. Those on the CPU give the same weights on any device.
    constant : float or tensor of shape (..., n^[L]), default=0.0
        The initial biases of the output: the best constant output.
    """
    network.theta.zero_()
    for l in range(1, network.n_layers + 1):
        scale = standard_deviation(network, l, init_scale)
        for W, generator in zip(network.members(network.W[l]), generators, strict=True):
            # In float64 for any dtype, because generators draw other numbers in other dtypes.
            draw = torch.empty(W.mT.shape, dtype=torch.float64, device=generator.device)
            W.copy_(draw.normal_(generator=generator).mul_(scale).mT)
    if network.embedding is not None:
        parameters = network.members(network.embedding_parameters)
        for own, generator in zip(parameters, generators, strict=True):
            own.copy_(network.embedding.draw(generator))
        if (mask := network.embedding.mask) is not None:
            network.W[1].mul_(mask)
            if init_scale == "auto":
                network.W[1].div_(mask.mean(dim=-1, keepdim=True) ** 0.5)
    if init_scale != 0:
        bias = network.b[network.n_layers]
        constant = torch.as_tensor(constant, dtype=bias.dtype, device=bias.device)
        bias.copy_(constant[..., None])


def standard_deviation(network: Network, l: int, init_scale: float | str) -> float:
    """Return the standard deviation of the weights of layer l."""
    if init_scale == "auto":
        return math.sqrt(network.activations[l].gain / network.layer_sizes[l - 1])
    return float(init_scale)


def is_symmetric(network: Network) -> bool:
    """Return whether all weights of some hidden layer of several units are equal.

    Its units then compute the same function and receive the same gradient in every step.
    """
    hidden = range(1, network.n_layers)
    return any(
        network.layer_sizes[l] > 1 and bool((network.W[l] == network.W[l].flatten()[0]).all())
        for l in hidden
    )


def is_saturated(network: Network, X: Tensor) -> bool:
    """Return whether most outputs for X lie where the gradient of the output unit is almost 0."""
    is_flat = network.raw_predict(X).abs() > network.output.flat_beyond
    return bool(is_flat.double().mean() > 0.5)
