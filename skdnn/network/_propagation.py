"""Forward and backward propagation through L layers, as the lecture writes them.

Lists are indexed by the layer: ``W[l]`` and ``b[l]`` for l = 1 … L, ``A[0] = X``; index 0 of a list
that has no layer 0 is None. All formulas speak of the last two axes, ``(units, examples)``, so that
the same lines serve one network, with tensors of two axes, and a stack of M networks, with a first
axis of M.

Weights and bias of a layer are one matrix, ``Wb[l] = [W[l] b[l]]``, and below the last unit of a
layer stands a row of ones, ``A1[l] = [A[l]; 1]``: so the bias comes with the product, and its
gradient with that of the weights.

Results go to the buffers of a `Cache`, since at these sizes allocating costs as much as computing.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

# Without a gradient to follow, examples pass in chunks of about this many numbers of the widest
# layer: they stay in a processor's cache, and what they free is used again. Four times as many
# take twice as long.
_CHUNK_SIZE = 2**17


@dataclass
class Cache:
    """What forward propagation leaves for backward propagation, for one number of examples.

    All lists have one entry a layer, of shape ``(..., n^[l], m)``. What the formulas do not need at
    the same time shares memory.
    """

    A1: list[Tensor | None]  # [A[l]; 1], of shape (..., n^[l] + 1, m); A1[0] = [X; 1]
    A1_T: list[Tensor | None]  # the same transposed
    A: list[Tensor | None]  # G[l], or what dropout leaves of it: A1 but for its ones
    G: list[Tensor | None]  # G[l] = g(Z[l]); without dropout A[l] itself
    Z: list[Tensor | None]  # Z[l]; where g' is known from g, G[l] takes its place
    D: list[Tensor | None]  # dropout: 0 or 1 / (1 - rate); None without
    dZ: list[Tensor | None]  # the derivative of the cost; that by A[l] first, until g' is in it


def make_cache(layer_sizes, activations, m, dropout, like):
    """Allocate the buffers for batches of m examples.

    Parameters
    ----------
    layer_sizes : tuple of int
        n^[0], …, n^[L].
    activations : list of Activation
        Indexed by the layer.
    m : int
    dropout : sequence of float
        Rate of each layer, indexed by the layer.
    like : tensor of shape (..., P)
        Gives the number of networks, dtype and device.
    """
    L = len(layer_sizes) - 1
    cache = Cache(*([None] * (L + 1) for _ in range(7)))
    for l in range(1, L):
        n = layer_sizes[l]
        cache.A1[l] = _buffer(like, n, m, n_ones=1).fill_(1)
        cache.A1_T[l], cache.A[l] = cache.A1[l].mT, cache.A1[l][..., :-1, :]
        cache.D[l] = _buffer(like, n, m) if dropout[l] > 0 else None
        cache.G[l] = cache.A[l] if cache.D[l] is None else _buffer(like, n, m)
        cache.Z[l] = _buffer(like, n, m) if activations[l].reads_Z else cache.G[l]
        cache.dZ[l] = _buffer(like, n, m)
    cache.Z[L], cache.dZ[L] = (_buffer(like, layer_sizes[L], m) for _ in range(2))
    return cache


def _buffer(like, n, m, n_ones=0):
    """Return an empty tensor of shape (..., n + n_ones, m).

    In float64, products with fewer examples than units take up to twice as long unless the numbers
    of an example lie side by side.
    """
    stack, n_rows = like.shape[:-1], n + n_ones
    if n > m and like.dtype == torch.float64:
        return like.new_empty((*stack, m, n_rows)).mT
    return like.new_empty((*stack, n_rows, m))


def narrowed(cache, m):
    """Return the buffers for fewer examples that are the first columns of those of a Cache."""
    lists = {
        field.name: [None if part is None else part[..., :m] for part in getattr(cache, field.name)]
        for field in fields(cache)
    }
    lists["A1"][0] = lists["A1_T"][0] = None  # X, which each call brings
    lists["A1_T"] = [None if A1 is None else A1.mT for A1 in lists["A1"]]
    return Cache(**lists)


def forward_propagation(X, Wb, activations, cache, out=None):
    """Compute ``Z[l] = W[l] A[l-1] + b[l]``, ``A[l] = g(Z[l])`` up to Z[L].

    Parameters
    ----------
    X : tensor of shape (..., n^[0] + 1, m)
        With a last row of ones. May be 2-D for a stack too, whose networks then see the same.
    Wb : list of tensors of shape (..., n^[l], n^[l-1] + 1)
    activations : list of Activation
    cache : Cache
        Receives A, G and Z. Where ``cache.D[l]`` holds a dropout mask, ``A[l] = G[l] * D[l]``.
    out : tensor of shape (..., n^[L], m) or None, default=None
        Receives Z[L]; None is a buffer of the cache, which the next call overwrites.

    Returns
    -------
    tensor of shape (..., n^[L], m)
        ``Z[L]``, for a yes or no the logits.
    """
    L = len(Wb) - 1
    product = torch.mm if Wb[L].ndim == 2 else torch.bmm
    A1, A, G, Z, D = cache.A1, cache.A, cache.G, cache.Z, cache.D
    A1[0] = X if X.ndim == Wb[L].ndim else X.expand(len(Wb[L]), *X.shape)
    for l in range(1, L):
        product(Wb[l], A1[l - 1], out=Z[l])  # [W b] [A; 1] = W A + b
        activations[l].forward(Z[l], G[l])
        if D[l] is not None:
            torch.mul(G[l], D[l], out=A[l])
    return product(Wb[L], A1[L - 1], out=Z[L] if out is None else out)


def backward_propagation(W_T, activations, cache, dWb):
    """Compute the gradients dW[l], db[l] from ``dZ[L]``, which the cost has left in the cache.

    ``dW[l] = dZ[l] A[l-1]ᵀ``, ``db[l] = Σ dZ[l]``, ``dA[l-1] = W[l]ᵀ dZ[l]``,
    ``dZ[l-1] = dA[l-1] * g'(Z[l-1])``. The lecture's 1/m is already in dZ[L].

    Parameters
    ----------
    W_T : list of tensors of shape (..., n^[l-1], n^[l])
        The weights transposed, without the biases.
    activations : list of Activation
    cache : Cache
        As `forward_propagation` left it, with ``dZ[L]`` filled.
    dWb : list of tensors of shape (..., n^[l], n^[l-1] + 1)
        Receive the gradients.
    """
    L = len(W_T) - 1
    product = torch.mm if W_T[L].ndim == 2 else torch.bmm
    A1_T, G, Z, D, dZ = cache.A1_T, cache.G, cache.Z, cache.D, cache.dZ
    A1_T[0] = cache.A1[0].mT
    for l in range(L, 0, -1):
        product(dZ[l], A1_T[l - 1], out=dWb[l])  # dZ [Aᵀ 1] = [dW db]
        if l > 1:
            dA = product(W_T[l], dZ[l], out=dZ[l - 1])
            if D[l - 1] is not None:
                dA.mul_(D[l - 1])
            activations[l - 1].backward(dA, Z[l - 1], G[l - 1], dZ[l - 1])


def _chunk_length(W):
    return max(1, _CHUNK_SIZE // max(w.shape[-2] for w in W[1:]))


def compute_raw_predictions(X, W, b, activations):
    """Propagate any number of examples forward, in chunks, without dropout and without a cache.

    For predictions: with nothing to keep for backward propagation, allocating the results of a
    layer is cheaper than making a `Cache` for one example.

    Parameters
    ----------
    X : tensor of shape (..., n^[0], m)
    W, b : lists of tensors of shape (..., n^[l], n^[l-1]) and (..., n^[l], 1)
    activations : list of Activation

    Returns
    -------
    tensor of shape (..., n^[L], m)
    """
    L, is_stack = len(W) - 1, W[1].ndim > 2
    affine = torch.baddbmm if is_stack else torch.addmm
    predictions = []
    for A in (X,) if X.shape[-1] == 1 else X.split(_chunk_length(W), dim=-1):
        A = A.expand(len(W[1]), *A.shape[-2:]) if is_stack else A
        for l in range(1, L):
            Z = affine(b[l], W[l], A)
            A = activations[l].forward(Z, torch.empty_like(Z) if activations[l].reads_Z else Z)
        predictions.append(affine(b[L], W[L], A))
    return predictions[0] if len(predictions) == 1 else torch.cat(predictions, dim=-1)
