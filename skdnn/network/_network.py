"""L dense layers from n_x inputs to the output, with all parameters in one flat tensor.

Optimizers update one tensor theta by one gradient; the layers are views of them, ``W[l]`` and
``b[l]``. A stack of M networks of the same shape has a first axis of M.
"""

import copy
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from ._activations import ACTIVATIONS, Activation, CustomActivation
from ._cost import Loss
from ._embedding import PeriodicEmbedding
from ._output import SIGMOID, Output
from ._products import operand
from ._propagation import (
    Cache,
    Layers,
    backward_propagation,
    compute_raw_predictions,
    forward_propagation,
    make_cache,
    narrowed,
)


def layer_views(flat: Tensor, layer_sizes: Sequence[int]) -> list[Tensor]:
    """Return views of a flat tensor of parameters: a matrix ``[W[l] b[l]]`` for each layer.

    Parameters
    ----------
    flat : tensor of shape (..., P)
    layer_sizes : sequence of int
        n^[0], …, n^[L].

    Returns
    -------
    list of views of shape (..., n^[l], n^[l-1] + 1)
    """
    views, start = [], 0
    for n_in, n_out in pairwise(layer_sizes):
        stop = start + n_out * (n_in + 1)
        part = flat[..., start:stop]
        # The longer side is contiguous: for 7200 inputs that halves the time of the products.
        if n_in + 1 >= n_out:
            views.append(part.unflatten(-1, (n_out, n_in + 1)))
        else:
            views.append(part.unflatten(-1, (n_in + 1, n_out)).mT)
        start = stop
    return views


class Network:
    """A dense network, or a stack of such networks.

    Parameters
    ----------
    layer_sizes : sequence of int
        n^[0], …, n^[L]; n^[0] is the number of inputs, with an embedding or without, n^[L] is
        the number of outputs, 1 for two classes.
    activations : sequence of Activation
        One for each hidden layer.
    output : Output, default=SIGMOID
    embedding : PeriodicEmbedding or None, default=None
        A first stage, whose outputs the first layer takes in place of X.
    n_networks : int or None, default=None
        M for a stack, whose tensors have a first axis of M; None for one network, without it.
    dropout : sequence of float or None, default=None
        Rate of each hidden layer in training; None for no dropout.
    dtype : torch.dtype, default=torch.float64
    device : torch.device or str, default="cpu"

    Attributes
    ----------
    n_parameters : int
        P, the number of parameters of one network.
    theta, gradient : tensors of shape (P,) or (M, P)
        All parameters, layer by layer, then those of the embedding; and the gradient of the cost.
    Wb, dWb : lists of views of shape (..., n^[l], n^[l-1] + 1), index 0 is None
        ``[W[l] b[l]]``, and their gradients.
    W, dW : lists of views of shape (..., n^[l], n^[l-1]), index 0 is None
    b, db : lists of views of shape (..., n^[l], 1), index 0 is None
    embedding_parameters, embedding_gradient : views of theta and gradient
        Of shape (..., k); k is 0 without an embedding.
    activations : list, index 0 is None, index L the identity, since the rest is in `output`
    drops : bool
        Whether there is dropout.

    Examples
    --------
    >>> import torch
    >>> from skdnn.network import ACTIVATIONS, Network
    >>> network = Network((2, 3, 1), [ACTIVATIONS["relu"]])
    >>> network.theta.shape  # 2 * 3 + 3 and 3 * 1 + 1
    torch.Size([13])
    >>> _ = network.W[1].fill_(1.0), network.W[2].fill_(1.0)
    >>> network.raw_predict(torch.tensor([[1.0], [2.0], [1.0]], dtype=torch.float64))
    tensor([[9.]], dtype=torch.float64)
    """

    def __init__(
        self,
        layer_sizes: Sequence[int],
        activations: Sequence[Activation | CustomActivation],
        *,
        output: Output = SIGMOID,
        embedding: PeriodicEmbedding | None = None,
        n_networks: int | None = None,
        dropout: Sequence[float] | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> None:
        self.layer_sizes = tuple(layer_sizes)
        self.n_layers = len(self.layer_sizes) - 1
        self.n_parameters = sum((n_in + 1) * n_out for n_in, n_out in pairwise(self.layer_sizes))
        self.embedding = embedding
        if embedding is not None:
            self.n_parameters += embedding.n_parameters
        self.activations: Layers = [None, *activations, ACTIVATIONS["identity"]]
        self.output = output
        self.dropout = [0.0, *(dropout or [0.0] * len(activations)), 0.0]
        self.drops = any(self.dropout)
        self.n_networks = n_networks
        stack = () if n_networks is None else (n_networks,)
        self.theta = torch.zeros((*stack, self.n_parameters), dtype=dtype, device=device)
        self.Wb, self.W, self.b, self.embedding_parameters = self.views(self.theta)
        self._Wb_operand = list(map(operand, self.Wb))
        W_T = [None, *[W.mT for W in self.W[1:]]]
        if embedding is not None:
            W_T[1] = W_T[1][..., embedding.place, :]
        self._W_T_operand = list(map(operand, W_T))
        self._allocate_gradient()

    def _allocate_gradient(self) -> None:
        self.gradient = torch.zeros_like(self.theta)
        self.dWb, self.dW, self.db, self.embedding_gradient = self.views(self.gradient)
        self._dWb_operand = list(map(operand, self.dWb))
        self._caches: dict[int, Cache] = {}

    def twin(self) -> "Network":
        """Return a network with the same theta, but a gradient and buffers of its own."""
        twin = copy.copy(self)
        twin._allocate_gradient()
        return twin

    def new_stack(self, n_networks: int | None) -> "Network":
        """Return a stack of `n_networks` of the same shape with zero weights; None is no stack.

        An embedding that differs between networks must then be set.
        """
        return Network(
            self.layer_sizes,
            self.activations[1:-1],
            output=self.output,
            embedding=self.embedding,
            n_networks=n_networks,
            dropout=self.dropout[1:-1],
            dtype=self.theta.dtype,
            device=self.theta.device,
        )

    def part(self, members: list[int] | int) -> "Network":
        """Return some networks of a stack, with a theta of their own.

        Parameters
        ----------
        members : list of int, or int for one network without a first axis
        """
        part = self.new_stack(len(members) if isinstance(members, list) else None)
        part.theta.copy_(self.theta[members])
        part.embedding = None if self.embedding is None else self.embedding.part(members)
        return part

    def views(self, flat: Tensor) -> tuple[Layers, Layers, Layers, Tensor]:
        """Return views of a tensor of the shape of `theta`: Wb, W, b and those of the embedding."""
        Wb = layer_views(flat, self.layer_sizes)
        W, b = [matrix[..., :-1] for matrix in Wb], [matrix[..., -1:] for matrix in Wb]
        n_of_layers = sum(matrix.shape[-2:].numel() for matrix in Wb)
        return [None, *Wb], [None, *W], [None, *b], flat[..., n_of_layers:]

    def members(self, tensor: Tensor) -> list[Tensor]:
        """Return the part of a tensor for each network."""
        return [tensor] if self.n_networks is None else list(tensor.unbind())

    def load(self, coefs: Sequence[np.ndarray], intercepts: Sequence[np.ndarray]) -> None:
        """Set weights and biases from arrays in scikit-learn's layout.

        Parameters
        ----------
        coefs : sequence of arrays of shape (..., n^[l-1], n^[l])
            The weights, transposed.
        intercepts : sequence of arrays of shape (..., n^[l])
        """
        for W, coef in zip(self.W[1:], coefs, strict=True):
            W.copy_(torch.from_numpy(np.array(coef)).mT)
        for b, intercept in zip(self.b[1:], intercepts, strict=True):
            b.copy_(torch.from_numpy(np.array(intercept)).unsqueeze(-1))

    def arrays(self, member: int | None = None) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return the lists of arrays that `load` takes, of the whole stack or of one network."""
        W, b = self.W[1:], self.b[1:]
        if member is not None:
            W, b = ([self.members(view)[member] for view in views] for views in (W, b))
        coefs = [view.mT.clone(memory_format=torch.contiguous_format) for view in W]
        intercepts = [view.squeeze(-1).clone() for view in b]
        return [coef.cpu().numpy() for coef in coefs], [b.cpu().numpy() for b in intercepts]

    def new_output(self, m: int) -> Tensor:
        """Return an empty tensor of shape (..., n^[L], m), for Z[L]."""
        return self.theta.new_empty((*self.theta.shape[:-1], self.layer_sizes[-1], m))

    def propagate(
        self,
        X: Tensor,
        y: Tensor,
        weight: Tensor,
        loss: Loss,
        generators: Sequence[torch.Generator] = (),
        out: Tensor | None = None,
    ) -> Tensor:
        """Propagate forward, then backward: fill `gradient` with that of ``Σ weight * loss``.

        Parameters
        ----------
        X : tensor of shape (..., n_x + 1, m)
            With a last row of ones; n_x is n^[0].
        y : tensor of shape (..., n^[L], m)
        weight : tensor of shape (..., 1, m)
        loss : Loss
        generators : sequence of torch.Generator
            One for each network, from which its dropout masks are drawn.
        out : tensor of shape (..., n^[L], m) or None, default=None
            Where to write Z[L]; None is a buffer that the next call overwrites.

        Returns
        -------
        tensor of shape (..., n^[L], m)
            Z[L].
        """
        cache = self._cache(X.shape[-1])
        if self.drops:
            for D, rate in zip(cache.D, self.dropout, strict=True):
                if D is not None:
                    for mask, generator in zip(self.members(D), generators, strict=True):
                        mask.bernoulli_(1 - rate, generator=generator).div_(1 - rate)
        if self.embedding is not None:
            of_embedding = self.embedding_parameters, cache.of_embedding
            self.embedding.forward(X[..., :-1, :], *of_embedding, cache.A[0])
        Z = forward_propagation(X, self._Wb_operand, self.activations, cache, out)
        loss.derivative(Z, y, cache.dZ[-1]).mul_(weight)
        backward_propagation(self._W_T_operand, self.activations, cache, self._dWb_operand)
        if self.embedding is not None:
            self.embedding.backward(cache.dZ[0], *of_embedding, self.embedding_gradient)
        return Z

    def raw_predict(self, X: Tensor) -> Tensor:
        """Return Z[L] of shape (..., n^[L], m) by forward propagation without dropout.

        Parameters
        ----------
        X : tensor of shape (..., n_x + 1, m)
            With a last row of ones, as for `propagate`.
        """
        embed = None
        if self.embedding is not None:
            embed = partial(self.embedding.outputs, parameters=self.embedding_parameters)
        return compute_raw_predictions(X[..., :-1, :], self.W, self.b, self.activations, embed)

    def to_module(self) -> torch.nn.Sequential:
        """Return a torch.nn.Sequential from X to the predictions, for a stack to their mean.

        The predictions have shape (m,), or (m, n^[L]) with several outputs.
        """
        modules = []
        for member in range(self.n_networks or 1):
            layers: list[torch.nn.Module] = []
            if self.embedding is not None:
                own = self.embedding if self.n_networks is None else self.embedding.part(member)
                layers.append(own.module(self.members(self.embedding_parameters)[member]))
            for W, b, activation in zip(self.W[1:], self.b[1:], self.activations[1:], strict=True):
                # torch.nn.Linear would draw weights from the global random state.
                linear = torch.nn.utils.skip_init(
                    torch.nn.Linear, *W.mT.shape[-2:], dtype=W.dtype, device=W.device
                )
                linear.weight.data.copy_(self.members(W)[member])
                linear.bias.data.copy_(self.members(b)[member][:, 0])
                layers += [linear, activation.module()]
            layers[-1] = self.output.module()
            if self.layer_sizes[-1] == 1:
                layers.append(torch.nn.Flatten(0))
            modules.append(torch.nn.Sequential(*layers))
        return modules[0] if len(modules) == 1 else torch.nn.Sequential(MeanOfNetworks(modules))

    def _cache(self, m: int) -> Cache:
        """Return the buffers for m examples, in the memory of those for the most examples."""
        if m not in self._caches:
            most = max(self._caches, default=0)
            if m < most:
                self._caches[m] = narrowed(self._caches[most], m)
            else:
                shapes = self.layer_sizes, self.activations, m, self.dropout, self.embedding
                cache = make_cache(*shapes, self.theta)
                self._caches = {m: cache}
        return self._caches[m]


class MeanOfNetworks(torch.nn.Module):
    """The mean prediction of several networks."""

    def __init__(self, networks: Sequence[torch.nn.Module]) -> None:
        super().__init__()
        self.networks = torch.nn.ModuleList(networks)

    def forward(self, X: Tensor) -> Tensor:
        """Return the mean prediction for X of shape (m, n_x)."""
        return torch.stack([network(X) for network in self.networks]).mean(dim=0)
