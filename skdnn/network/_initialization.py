"""The weights before training: zeros, small random numbers, or scaled by the layer's inputs.

The biases of hidden layers start at zero, that of the output at the log-odds of y = 1: the answer
that fits without looking at X, to which a small learning rate would take long to walk. Weights are
normal with mean zero and the standard deviation `init_scale`:

* 0.0: the lecture's zeros, the output's bias among them. All units of a hidden layer compute the
  same, receive the same gradient and stay equal for ever (logistic regression, which has no hidden
  layer, does not mind);
* 0.01: the lecture's small random numbers, which break that symmetry;
* 1000.0: saturates the sigmoid, whose gradient there is zero;
* "auto": ``sqrt(gain / n^[l-1])``, so that Z keeps its variance from layer to layer.

References
----------
.. [1] K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015.
"""

import math

import torch


def initialize(network, init_scale, generators, log_odds=0.0):
    """Draw the weights of a network, or of each network of a stack, in place.

    Parameters
    ----------
    network : Network
    init_scale : float or "auto"
        Standard deviation of the weights.
    generators : list of torch.Generator
        One for each network of the stack; on the CPU, it starts a network the same on any device.
    log_odds : float or tensor of shape (...), default=0.0
        Where the output's bias starts.
    """
    network.theta.zero_()
    for l in range(1, network.n_layers + 1):
        scale = standard_deviation(network, l, init_scale)
        for W, generator in zip(network.members(network.W[l]), generators, strict=True):
            # In one dtype, since others draw other numbers.
            draw = torch.empty(W.mT.shape, dtype=torch.float64, device=generator.device)
            W.copy_(draw.normal_(generator=generator).mul_(scale).mT)
    if init_scale != 0:
        bias = network.b[network.n_layers]
        log_odds = torch.as_tensor(log_odds, dtype=bias.dtype, device=bias.device)
        bias.copy_(log_odds[..., None, None])


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
