"""L dense layers from n_x inputs to one logit, over one flat tensor of parameters.

The optimizer sees one tensor theta and one gradient; the layers see views of them, ``W[l]`` and
``b[l]``. A stack of M networks of the same shape is the same thing with a first axis of M.
"""

from itertools import pairwise

import numpy as np
import torch

from ._activations import ACTIVATIONS
from ._cost import LOSSES
from ._propagation import backward_propagation, compute_logits, forward_propagation, make_cache


class Network:
    """A dense network with a sigmoid output, or a stack of such networks.

    Parameters
    ----------
    layer_sizes : sequence of int
        n^[0], …, n^[L], the last of them 1.
    activations : sequence of Activation
        One for each hidden layer.
    n_networks : int or None, default=None
        M for a stack, whose tensors have a first axis of M; None for one network, without it.
    dropout : sequence of float or None, default=None
        Rate of each hidden layer in training; None for none.
    dtype : torch.dtype, default=torch.float64
    device : torch.device or str, default="cpu"

    Attributes
    ----------
    theta, gradient : tensors of shape (P,) or (M, P)
        All parameters, layer by layer, W[l] before b[l]; and the gradient of the cost.
    W, dW : lists of views of shape (..., n^[l-1], n^[l]), index 0 is None
    b, db : lists of views of shape (..., 1, n^[l]), index 0 is None
    activations : list, index 0 is None, index L the identity: the sigmoid is in the cost

    Examples
    --------
    >>> import torch
    >>> from skdnn.network import ACTIVATIONS, Network
    >>> network = Network((2, 3, 1), [ACTIVATIONS["relu"]])
    >>> network.theta.shape  # 2 * 3 + 3 and 3 * 1 + 1
    torch.Size([13])
    >>> _ = network.W[1].fill_(1.0), network.W[2].fill_(1.0)
    >>> network.logits(torch.tensor([[1.0, 2.0]], dtype=torch.float64))
    tensor([[9.]], dtype=torch.float64)
    """

    def __init__(
        self,
        layer_sizes,
        activations,
        *,
        n_networks=None,
        dropout=None,
        dtype=torch.float64,
        device="cpu",
    ):
        self.layer_sizes = tuple(layer_sizes)
        self.n_layers = len(self.layer_sizes) - 1
        self.activations = [None, *activations, ACTIVATIONS["identity"]]
        self.dropout = [0.0, *(dropout or [0.0] * len(activations)), 0.0]
        self.n_networks = n_networks
        stack = () if n_networks is None else (n_networks,)
        self.theta = torch.zeros((*stack, self.n_parameters), dtype=dtype, device=device)
        self.gradient = torch.zeros_like(self.theta)
        self.W, self.b = self.views(self.theta)
        self.dW, self.db = self.views(self.gradient)
        self._caches = {}

    @property
    def n_parameters(self):
        """Number of weights and biases of one network."""
        return sum((n_in + 1) * n_out for n_in, n_out in pairwise(self.layer_sizes))

    def views(self, flat):
        """Return the lists W and b of views of a tensor of the shape of `theta`."""
        W, b, start = [None], [None], 0
        for n_in, n_out in pairwise(self.layer_sizes):
            middle, stop = start + n_in * n_out, start + (n_in + 1) * n_out
            W.append(flat[..., start:middle].unflatten(-1, (n_in, n_out)))
            b.append(flat[..., middle:stop].unsqueeze(-2))
            start = stop
        return W, b

    def members(self, tensor):
        """Return a list of the parts of a tensor that belong to each network."""
        return [tensor] if self.n_networks is None else list(tensor.unbind())

    def load(self, coefs, intercepts):
        """Copy arrays W[1], …, W[L] and b[1], …, b[L] into the parameters.

        Of shape (n^[l-1], n^[l]) and (n^[l],), for a stack with a first axis of M.
        """
        for views, arrays in ((self.W[1:], coefs), (self.b[1:], intercepts)):
            for view, array in zip(views, arrays, strict=True):
                view.copy_(torch.from_numpy(np.array(array)).view_as(view))

    def arrays(self, member=None):
        """Return lists of arrays W[1], …, W[L] and b[1], …, b[L], as `load` takes them.

        Of the whole stack, or of one member.
        """
        W, b = self.W[1:], self.b[1:]
        if member is not None:
            W, b = ([self.members(view)[member] for view in views] for views in (W, b))
        coefs = [view.cpu().numpy().copy() for view in W]
        return coefs, [view.squeeze(-2).cpu().numpy().copy() for view in b]

    def new_column(self, rows):
        """Return an empty tensor of shape (..., rows, 1), for logits."""
        return self.theta.new_empty((*self.theta.shape[:-1], rows, 1))

    def weight_mask(self):
        """Return a tensor like `theta`: 1 for weights, 0 for biases, which no penalty touches."""
        mask = torch.zeros_like(self.theta)
        for W in self.views(mask)[0][1:]:
            W.fill_(1)
        return mask

    def propagate(self, X, y, weight, loss, generators=()):
        """Propagate forward, then backward: fill `gradient` with that of ``Σ weight * loss``.

        Parameters
        ----------
        X : tensor of shape (..., m, n_x)
        y, weight : tensors of shape (..., m, 1)
        loss : {"log_loss", "squared_error"}
        generators : sequence of torch.Generator
            One for each network: the source of its dropout masks.

        Returns
        -------
        tensor of shape (..., m, 1)
            The logits, in a buffer that the next call overwrites.
        """
        cache = self._cache(X.shape[-2])
        self._draw_dropout(cache, generators)
        Z = forward_propagation(X, self.W, self.b, self.activations, cache)
        LOSSES[loss].derivative(Z, y, cache.dZ[-1]).mul_(weight)
        backward_propagation(self.W, self.activations, cache, self.dW, self.db)
        return Z

    def logits(self, X):
        """Return the logits for X of shape (..., m, n_x), without dropout, shape (..., m, 1)."""
        return compute_logits(X, self.W, self.b, self.activations)

    def to_module(self):
        """Return a torch.nn.Sequential from X to P(y = 1), of a stack the mean, of shape (m,)."""
        members = [self._member_to_module(member) for member in range(self.n_networks or 1)]
        return members[0] if len(members) == 1 else torch.nn.Sequential(MeanOfNetworks(members))

    def _member_to_module(self, member):
        layers = []
        for W, b, activation in zip(self.W[1:], self.b[1:], self.activations[1:], strict=True):
            # torch.nn.Linear would draw weights from the global random state, only to lose them.
            linear = torch.nn.utils.skip_init(
                torch.nn.Linear, *W.shape[-2:], dtype=W.dtype, device=W.device
            )
            linear.weight.data.copy_(self.members(W)[member].mT)
            linear.bias.data.copy_(self.members(b)[member][0])
            layers += [linear, activation.module()]
        return torch.nn.Sequential(*layers[:-1], torch.nn.Sigmoid(), torch.nn.Flatten(0))

    def _cache(self, rows):
        if rows not in self._caches:
            self._caches[rows] = make_cache(self.layer_sizes, rows, self.dropout, self.theta)
        return self._caches[rows]

    def _draw_dropout(self, cache, generators):
        for D, rate in zip(cache.D, self.dropout, strict=True):
            if D is not None:
                for mask, generator in zip(self.members(D), generators, strict=True):
                    mask.bernoulli_(1 - rate, generator=generator).div_(1 - rate)


class MeanOfNetworks(torch.nn.Module):
    """The mean of the probabilities of several networks."""

    def __init__(self, networks):
        super().__init__()
        self.networks = torch.nn.ModuleList(networks)

    def forward(self, X):
        """Return the mean for X of shape (m, n_x), of shape (m,)."""
        return torch.stack([network(X) for network in self.networks]).mean(dim=0)
