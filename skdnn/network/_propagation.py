"""Forward and backward propagation through L layers, as the lecture writes them.

Lists are indexed by the layer: ``W[l]`` and ``b[l]`` for l = 1 … L, ``A[0] = X``. Lists without a
layer 0 start with None. All formulas use the last two axes, ``(units, examples)``, so the same
lines work for one network, with tensors of two axes, and for a stack of M networks, with a first
axis of M.

Weights and bias of a layer are one matrix, ``Wb[l] = [W[l] b[l]]``, and the activations have a last
row of ones, ``A1[l] = [A[l]; 1]``. So one product includes the bias, and one its gradient.

Results are written to the buffers of a `Cache`, because allocating them takes as long as computing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ._embedding import InputEmbedding

# A tensor or an activation for each layer, None where a layer has none.
Layers: TypeAlias = list[Any]

# Predictions are computed in chunks of examples with about this many numbers in the widest layer.
# They stay in the CPU's cache, and freed memory is used again. Chunks of four times the size take
# twice as long.
_CHUNK_SIZE = 2**17


@dataclass
class Cache:
    """The results of forward propagation that backward propagation needs, for batches of one size.

    All lists but the last have one entry for each layer, of shape ``(..., n^[l], m)``. Results that
    are not needed at the same time share memory. With an embedding there is A[0], its outputs; if
    it has parameters, also dZ[0], the derivative of the cost with respect to A[0].
    """

    A1: Layers  # [A[l]; 1], of shape (..., n^[l] + 1, m); A1[0] = [A[0]; 1] or [X; 1]
    A1_T: Layers  # the same transposed
    A: Layers  # G[l], with dropout G[l] * D[l]; a view of A1
    G: Layers  # G[l] = g(Z[l]); without dropout A[l] itself
    Z: Layers  # Z[l]; overwritten by G[l] if g' is computed from g
    D: Layers  # dropout masks of 0 and 1 / (1 - rate); None without
    dZ: Layers  # the derivative of the cost; first that with respect to A[l]
    of_embedding: list[Any]  # the buffers that the embedding asks for


def make_cache(
    layer_sizes: tuple[int, ...],
    activations: Layers,
    m: int,
    dropout: Sequence[float],
    embedding: InputEmbedding | None,
    like: Tensor,
) -> Cache:
    """Allocate the buffers for batches of m examples.

    Parameters
    ----------
    layer_sizes : tuple of int
        n^[0], …, n^[L].
    activations : list of Activation
    m : int
    dropout : sequence of float
        Rate of each layer, indexed by the layer.
    embedding : InputEmbedding or None
    like : tensor of shape (..., P)
        Defines the number of networks, dtype and device.
    """
    L = len(layer_sizes) - 1
    lists: list[Layers] = [[None] * (L + 1) for _ in range(7)]
    lists.append([] if embedding is None else embedding.buffers(like, m))
    cache = Cache(*lists)
    for l in range(1, L):
        n = layer_sizes[l]
        cache.A1[l] = _buffer(like, n, m, n_ones=1).fill_(1)
        cache.A1_T[l], cache.A[l] = cache.A1[l].mT, cache.A1[l][..., :-1, :]
        cache.D[l] = _buffer(like, n, m) if dropout[l] > 0 else None
        cache.G[l] = cache.A[l] if cache.D[l] is None else _buffer(like, n, m)
        cache.Z[l] = _buffer(like, n, m) if activations[l].reads_Z else cache.G[l]
        cache.dZ[l] = _buffer(like, n, m)
    cache.Z[L], cache.dZ[L] = (_buffer(like, layer_sizes[L], m) for _ in range(2))
    if embedding is not None:
        # The numbers of an example are adjacent, as in X.
        cache.A1[0] = like.new_ones((*like.shape[:-1], m, layer_sizes[0] + 1)).mT
        cache.A[0] = cache.A1[0][..., :-1, :]
        cache.dZ[0] = torch.empty_like(cache.A[0].mT).mT if embedding.n_parameters else None
    return cache


def _buffer(like: Tensor, n: int, m: int, n_ones: int = 0) -> Tensor:
    """Return an empty tensor of shape (..., n + n_ones, m).

    In float64, products with fewer examples than units take up to twice as long unless the numbers
    of an example are adjacent in memory.
    """
    stack, n_rows = like.shape[:-1], n + n_ones
    if n > m and like.dtype == torch.float64:
        return like.new_empty((*stack, m, n_rows)).mT
    return like.new_empty((*stack, n_rows, m))


def narrowed(cache: Cache, m: int) -> Cache:
    """Return a Cache for fewer examples, whose buffers are the first columns of another one's."""
    lists = {
        name: [None if buffer is None else buffer[..., :m] for buffer in buffers]
        for name, buffers in vars(cache).items()
    }
    if cache.A[0] is None:
        lists["A1"][0] = None  # X, an argument of each call
    lists["A1_T"] = [None if A1 is None else A1.mT for A1 in lists["A1"]]
    return Cache(**lists)


def forward_propagation(
    X: Tensor, Wb: Layers, activations: Layers, cache: Cache, out: Tensor | None = None
) -> Tensor:
    """Compute ``Z[l] = W[l] A[l-1] + b[l]``, ``A[l] = g(Z[l])`` up to Z[L].

    Parameters
    ----------
    X : tensor of shape (..., n^[0] + 1, m)
        With a last row of ones. For a stack it may be 2-D: all its networks get the same examples.
    Wb : list of tensors of shape (..., n^[l], n^[l-1] + 1)
    activations : list of Activation
    cache : Cache
        A, G and Z are written to it. With a dropout mask ``D[l]``, ``A[l] = G[l] * D[l]``.
    out : tensor of shape (..., n^[L], m) or None, default=None
        Where to write Z[L]; None is a buffer of the cache, which the next call overwrites.

    Returns
    -------
    tensor of shape (..., n^[L], m)
        ``Z[L]``, the logits of a classifier.
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


def backward_propagation(W_T: Layers, activations: Layers, cache: Cache, dWb: Layers) -> None:
    """Compute the gradients dW[l], db[l] from ``dZ[L]``, the derivative of the cost.

    ``dW[l] = dZ[l] A[l-1]ᵀ``, ``db[l] = Σ dZ[l]``, ``dA[l-1] = W[l]ᵀ dZ[l]``,
    ``dZ[l-1] = dA[l-1] * g'(Z[l-1])``. dZ[L] includes the factor 1/m.

    Parameters
    ----------
    W_T : list of tensors of shape (..., n^[l-1], n^[l])
        The transposed weights, without the biases.
    activations : list of Activation
    cache : Cache
        From `forward_propagation`, with ``dZ[L]`` filled.
    dWb : list of tensors of shape (..., n^[l], n^[l-1] + 1)
        The gradients are written to them.
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
    if dZ[0] is not None:
        product(W_T[1], dZ[1], out=dZ[0])  # dA[0]


def compute_raw_predictions(
    X: Tensor,
    W: Layers,
    b: Layers,
    activations: Layers,
    embed: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Return Z[L] for any number of examples, computed in chunks, without dropout or a cache.

    For predictions, allocating the results of a layer is cheaper than making a `Cache` for one
    example.

    Parameters
    ----------
    X : tensor of shape (..., n_x, m)
    W, b : lists of tensors of shape (..., n^[l], n^[l-1]) and (..., n^[l], 1)
    activations : list of Activation
    embed : callable or None, default=None
        From X to A[0], the outputs of an embedding.

    Returns
    -------
    tensor of shape (..., n^[L], m)
    """
    L, is_stack = len(W) - 1, W[1].ndim > 2
    affine = torch.baddbmm if is_stack else torch.addmm
    predictions = []
    chunks: Sequence[Tensor] = [X]
    if X.shape[-1] > 1:
        chunks = X.split(max(1, _CHUNK_SIZE // max(w.shape[-2] for w in W[1:])), dim=-1)
    for A in chunks:
        A = A if embed is None else embed(A)
        A = A.expand(len(W[1]), *A.shape[-2:]) if is_stack else A
        for l in range(1, L):
            Z = affine(b[l], W[l], A)
            A = activations[l].forward(Z, torch.empty_like(Z) if activations[l].reads_Z else Z)
        predictions.append(affine(b[L], W[L], A))
    return predictions[0] if len(predictions) == 1 else torch.cat(predictions, dim=-1)
