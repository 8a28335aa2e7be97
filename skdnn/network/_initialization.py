"""The weights before training: zeros, small random numbers, or scaled by the layer's inputs.

The biases of hidden layers start at zero, those of the output at the answer that fits without
looking at X (the log-odds of y = 1; the mean of numbers), to which a small learning rate would take
long to walk. Weights are normal with mean zero and the standard deviation `init_scale`:

* 0.0: the lecture's zeros, the output's bias among them. All units of a hidden layer compute the
  same, receive the same gradient and stay equal for ever (logistic regression, which has no hidden
  layer, does not mind);
* 0.01: the lecture's small random numbers, which break that symmetry;
* 1000.0: saturates the sigmoid, whose gradient there is zero;
* "auto": ``sqrt(gain / n^[l-1])``, so that Z keeps its variance from layer to layer; in the first
  layer n^[0] counts the inputs that a network sees.

References
----------
.. [1] K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015.
"""

import math

import torch


def initialize(network, init_scale, generators, constant=0.0):
    """Draw the weights of a network, or of each network of a stack, in place.

    Parameters
    ----------
    network : Network
    init_scale : float or "auto"
        Standard deviation of the weights.
    generators : list of torch.Generator
        One for each network of the stack; on the CPU, it starts a network the same on any device.
    constant : float or tensor of shape (..., n^[L]), default=0.0
        Where the output's biases start.
    """
    network.theta.zero_()
    for l in range(1, network.n_layers + 1):
        scale = standard_deviation(network, l, init_scale)
        for W, generator in zip(network.members(network.W[l]), generators, strict=True):
            # In one dtype, since others draw other numbers.
            draw = torch.empty(W.mT.shape, dtype=torch.float64, device=generator.device)
            W.copy_(draw.normal_(generator=generator).mul_(scale).mT)
    if network.input_mask is not None:
        weight = network.input_mask.mean(dim=-1, keepdim=True) if init_scale == "auto" else 1.0
        network.W[1].mul_(network.input_mask).div_(weight**0.5)
    if init_scale != 0:
        bias = network.b[network.n_layers]
        constant = torch.as_tensor(constant, dtype=bias.dtype, device=bias.device)
        bias.copy_(constant[..., None])


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
    """Tell whether most answers for X lie where the output unit is flat."""
    is_flat = network.raw_predict(X).abs() > network.output.flat_beyond
    return bool(is_flat.double().mean() > 0.5)
