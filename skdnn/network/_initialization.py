"""The weights before training: zeros, small random numbers, or scaled by the layer's inputs.

Biases start at zero. Weights are normal with mean zero and the standard deviation `init_scale`:

* 0.0: all units of a hidden layer compute the same, receive the same gradient and stay equal for
  ever (logistic regression, which has no hidden layer, does not mind);
* 0.01: the lecture's small random numbers, which break that symmetry;
* 1000.0: saturates the sigmoid, whose gradient there is zero;
* "auto": ``sqrt(gain / n^[l-1])``, so that Z keeps its variance from layer to layer.

References
----------
.. [1] K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015.
"""

import math

import torch


def initialize(network, init_scale, generators):
    """Draw the weights of a network, or of each network of a stack, in place.

    Parameters
    ----------
    network : Network
    init_scale : float or "auto"
        Standard deviation of the weights.
    generators : list of torch.Generator
        One for each network of the stack; on the CPU, it starts a network the same on any device.
    """
    network.theta.zero_()
    for l in range(1, network.n_layers + 1):
        scale = standard_deviation(network, l, init_scale)
        for W, generator in zip(network.members(network.W[l]), generators, strict=True):
            draw = torch.empty(W.shape, dtype=W.dtype, device=generator.device)
            W.copy_(draw.normal_(generator=generator).mul_(scale))


def standard_deviation(network, l, init_scale):
    """Return the standard deviation of the weights of layer l."""
    if init_scale == "auto":
        return math.sqrt(network.activations[l].gain / network.layer_sizes[l - 1])
    return init_scale


def is_symmetric(network):
    """Tell whether some hidden layer of several units starts with all of its weights equal.

    Its units then compute the same function and receive the same gradient, step after step.
    """
    hidden = range(1, network.n_layers)
    return any(
        network.layer_sizes[l] > 1 and bool((network.W[l] == network.W[l].flatten()[0]).all())
        for l in hidden
    )


def is_saturated(network, X):
    """Tell whether most logits for X are so large that the sigmoid is flat there.

    Beyond 20 a probability differs from 0 or 1 by less than 2e-9.
    """
    return bool((network.logits(X).abs() > 20).double().mean() > 0.5)
