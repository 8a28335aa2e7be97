"""Forward and backward propagation through L layers, as the lecture writes them.

Lists are indexed by the layer: ``W[l]`` and ``b[l]`` for l = 1 … L, ``A[0] = X``; index 0 of a list
that has no layer 0 is None. All formulas speak of the last two axes, ``(rows, units)``, so that
the same lines serve one network, with tensors of two axes, and a stack of M networks, with a first
axis of M.

Results go to the buffers of a `Cache`, since at these sizes allocating costs as much as computing.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

# Without a gradient to follow, rows pass in chunks of about this many numbers of the widest layer:
# a few MB, which stay in a processor's cache.
_CHUNK_SIZE = 2**19


@dataclass
class Cache:
    """What forward propagation leaves for backward propagation, for one number of rows.

    All lists have one entry a layer, of shape ``(..., rows, n^[l])``.
    """

    Z: list[Tensor | None]  # Z[l] = A[l-1] W[l] + b[l]
    G: list[Tensor | None]  # G[l] = g(Z[l])
    A: list[Tensor | None]  # A[l] = G[l], or what dropout leaves of it; A[0] = X
    D: list[Tensor | None]  # dropout: 0 or 1 / (1 - rate); None without
    dZ: list[Tensor | None]  # derivatives of the cost
    dA: list[Tensor | None]
    A_T: list[Tensor | None]  # transposed views of A, made once
    ones: Tensor  # (..., 1, rows): ones @ dZ is the sum over the rows, faster than sum()


def make_cache(layer_sizes, rows, dropout, like):
    """Allocate the buffers for batches of `rows` rows.

    Parameters
    ----------
    layer_sizes : tuple of int
        n^[0], …, n^[L].
    rows : int
    dropout : sequence of float
        Rate of each layer, indexed by the layer.
    like : tensor of shape (..., P)
        Gives the number of networks, dtype and device.
    """
    stack = like.shape[:-1]
    L = len(layer_sizes) - 1

    def buffers(wanted):
        return [
            like.new_empty((*stack, rows, layer_sizes[l])) if l in wanted else None
            for l in range(L + 1)
        ]

    hidden = range(1, L)
    dropped = [l for l in hidden if dropout[l] > 0]
    G, A = buffers(hidden), buffers(dropped)
    A = [G[l] if A[l] is None else A[l] for l in range(L + 1)]
    return Cache(
        Z=buffers(range(1, L + 1)),
        G=G,
        A=A,
        D=buffers(dropped),
        dZ=buffers(range(1, L + 1)),
        dA=buffers(hidden),
        A_T=[None if a is None else a.mT for a in A],
        ones=like.new_ones((*stack, 1, rows)),
    )


def forward_propagation(X, W, b, activations, cache):
    """Compute ``Z[l] = A[l-1] W[l] + b[l]``, ``A[l] = g(Z[l])`` up to the logit Z[L].

    Parameters
    ----------
    X : tensor of shape (..., m, n^[0])
        May be 2-D for a stack too, whose networks then see the same rows.
    W, b : lists of tensors of shape (..., n^[l-1], n^[l]) and (..., 1, n^[l])
    activations : list of Activation
    cache : Cache
        Receives Z, G and A. Where ``cache.D[l]`` holds a dropout mask, ``A[l] = G[l] * D[l]``.

    Returns
    -------
    tensor of shape (..., m, 1)
        The logits ``Z[L]``, a buffer of the cache: the next call overwrites it.
    """
    L = len(W) - 1
    affine = torch.addmm if W[L].ndim == 2 else torch.baddbmm
    Z, G, A, D = cache.Z, cache.G, cache.A, cache.D
    A[0] = X if X.ndim == W[L].ndim else X.expand(len(W[L]), *X.shape)
    for l in range(1, L + 1):
        affine(b[l], A[l - 1], W[l], out=Z[l])
        if l < L:
            activations[l].forward(Z[l], G[l])
            if D[l] is not None:
                torch.mul(G[l], D[l], out=A[l])
    return Z[L]


def compute_logits(X, W, b, activations):
    """Propagate any number of rows forward, in chunks, without dropout and without a cache.

    For predictions: with nothing to keep for backward propagation, allocating the results of a
    layer is cheaper than making a `Cache` for one row.

    Parameters
    ----------
    X : tensor of shape (..., m, n^[0])
    W, b, activations : lists
        As for `forward_propagation`.

    Returns
    -------
    tensor of shape (..., m, 1)
    """
    L, is_stack = len(W) - 1, W[1].ndim > 2
    affine = torch.baddbmm if is_stack else torch.addmm
    rows = max(1, _CHUNK_SIZE // max(w.shape[-1] for w in W[1:]))
    logits = []
    for A in X.split(rows, dim=-2) if X.shape[-2] > rows else (X,):
        A = A.expand(len(W[1]), *A.shape[-2:]) if is_stack else A
        for l in range(1, L):
            Z = affine(b[l], A, W[l])
            A = activations[l].forward(Z, torch.empty_like(Z))
        logits.append(affine(b[L], A, W[L]))
    return logits[0] if len(logits) == 1 else torch.cat(logits, dim=-2)


def backward_propagation(W, activations, cache, dW, db):
    """Compute the gradients dW[l], db[l] from ``dZ[L]``, which the cost has left in the cache.

    ``dW[l] = A[l-1]ᵀ dZ[l]``, ``db[l] = Σ dZ[l]``, ``dA[l-1] = dZ[l] W[l]ᵀ``,
    ``dZ[l-1] = dA[l-1] * g'(Z[l-1])``. The lecture's 1/m is already in dZ[L].

    Parameters
    ----------
    W : list of tensors of shape (..., n^[l-1], n^[l])
    activations : list of Activation
    cache : Cache
        As `forward_propagation` left it, with ``dZ[L]`` filled.
    dW, db : lists of tensors of the shapes of W and b
        Receive the gradients.
    """
    Z, G, D, dZ, dA = cache.Z, cache.G, cache.D, cache.dZ, cache.dA
    for l in range(len(W) - 1, 0, -1):
        torch.matmul(cache.A[0].mT if l == 1 else cache.A_T[l - 1], dZ[l], out=dW[l])
        torch.matmul(cache.ones, dZ[l], out=db[l])
        if l > 1:
            torch.matmul(dZ[l], W[l].mT, out=dA[l - 1])
            if D[l - 1] is not None:
                dA[l - 1].mul_(D[l - 1])
            activations[l - 1].backward(dA[l - 1], Z[l - 1], G[l - 1], dZ[l - 1])
