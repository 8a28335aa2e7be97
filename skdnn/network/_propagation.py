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
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ._embedding import PeriodicEmbedding
from ._products import affine, operand, product_of

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
    are not needed at the same time share memory. With an embedding there are A[0], its outputs, and
    dZ[0], the derivative of the cost with respect to its cosines.
    """

    A1: Layers  # [A[l]; 1], of shape (..., n^[l] + 1, m); A1[0] is None without an embedding
    A: Layers  # G[l], with dropout G[l] * D[l]; a view of A1
    G: Layers  # G[l] = g(Z[l]); without dropout A[l] itself
    Z: Layers  # Z[l]; overwritten by G[l] if g' is computed from g
    D: Layers  # dropout masks of 0 and 1 / (1 - rate); None without
    dZ: Layers  # the derivative of the cost; first that with respect to A[l]
    of_embedding: list[Any]  # the buffers that the embedding asks for

    def __post_init__(self) -> None:
        self.A1_T = [None if A1 is None else A1.swapaxes(-1, -2) for A1 in self.A1]
        self.Z_operand, self.dZ_operand = (list(map(operand, x)) for x in (self.Z, self.dZ))


def make_cache(
    layer_sizes: tuple[int, ...],
    activations: Layers,
    m: int,
    dropout: Sequence[float],
    embedding: PeriodicEmbedding | None,
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
    embedding : PeriodicEmbedding or None
    like : tensor of shape (..., P)
        Defines the number of networks, dtype and device.
    """
    L = len(layer_sizes) - 1
    lists: list[Layers] = [[None] * (L + 1) for _ in range(6)]
    A1, A, G, Z, D, dZ = lists
    for l in range(1, L):
        n = layer_sizes[l]
        with_ones = _buffer(like, n, m, n_ones=1).fill_(1)
        A1[l], A[l] = operand(with_ones), with_ones[..., :-1, :]
        D[l] = _buffer(like, n, m) if dropout[l] > 0 else None
        G[l] = A[l] if D[l] is None else _buffer(like, n, m)
        Z[l] = _buffer(like, n, m) if activations[l].reads_Z else G[l]
        dZ[l] = _buffer(like, n, m)
    Z[L], dZ[L] = (_buffer(like, layer_sizes[L], m) for _ in range(2))
    if embedding is None:
        return Cache(A1, A, G, Z, D, dZ, [])
    # The numbers of an example are adjacent, as in X.
    with_ones = like.new_ones((*like.shape[:-1], m, layer_sizes[0] + 1)).mT
    A1[0], A[0] = operand(with_ones), with_ones[..., :-1, :]
    dZ[0] = embedding.new_cosines(like, m)
    return Cache(A1, A, G, Z, D, dZ, embedding.buffers(like, m))


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
    lists = [getattr(cache, field.name) for field in fields(Cache)]
    return Cache(*([None if part is None else part[..., :m] for part in parts] for parts in lists))


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
    L, product = len(Wb) - 1, product_of(Wb[-1])
    A1, A, G, Z, D, Z_operand = cache.A1, cache.A, cache.G, cache.Z, cache.D, cache.Z_operand
    if A[0] is None:
        A1[0] = operand(X if X.ndim == Wb[L].ndim else X.expand(len(Wb[L]), *X.shape))
    for l in range(1, L):
        product(Wb[l], A1[l - 1], out=Z_operand[l])  # [W b] [A; 1] = W A + b
        activations[l].forward(Z[l], G[l])
        if D[l] is not None:
            torch.mul(G[l], D[l], out=A[l])
    out = Z[L] if out is None else out
    product(Wb[L], A1[L - 1], out=operand(out))
    return out


def backward_propagation(W_T: Layers, activations: Layers, cache: Cache, dWb: Layers) -> None:
    """Compute the gradients dW[l], db[l] from ``dZ[L]``, the derivative of the cost.

    ``dW[l] = dZ[l] A[l-1]ᵀ``, ``db[l] = Σ dZ[l]``, ``dA[l-1] = W[l]ᵀ dZ[l]``,
    ``dZ[l-1] = dA[l-1] * g'(Z[l-1])``. dZ[L] includes the factor 1/m.

    Parameters
    ----------
    W_T : list of tensors of shape (..., n^[l-1], n^[l])
        The transposed weights, without the biases. Of the first layer only the weights of cosines
        are used.
    activations : list of Activation
    cache : Cache
        From `forward_propagation`, with ``dZ[L]`` filled.
    dWb : list of tensors of shape (..., n^[l], n^[l-1] + 1)
        The gradients are written to them.
    """
    L, product = len(W_T) - 1, product_of(W_T[-1])
    A1_T, G, Z, D, dZ, dZ_operand = (
        cache.A1_T,
        cache.G,
        cache.Z,
        cache.D,
        cache.dZ,
        cache.dZ_operand,
    )
    A1_T[0] = cache.A1[0].swapaxes(-1, -2)
    for l in range(L, 0, -1):
        product(dZ_operand[l], A1_T[l - 1], out=dWb[l])  # dZ [Aᵀ 1] = [dW db]
        if dZ[l - 1] is not None:
            product(W_T[l], dZ_operand[l], out=dZ_operand[l - 1])
        if l > 1:
            dA = dZ[l - 1]
            if D[l - 1] is not None:
                dA.mul_(D[l - 1])
            activations[l - 1].backward(dA, Z[l - 1], G[l - 1], dZ[l - 1])


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
    is_stack, predictions = W[1].ndim > 2, []
    chunks: Sequence[Tensor] = [X]
    if X.shape[-1] > 1:
        chunks = X.split(max(1, _CHUNK_SIZE // max(w.shape[-2] for w in W[1:])), dim=-1)
    for A in chunks:
        A = A if embed is None else embed(A)
        A = A.expand(len(W[1]), *A.shape[-2:]) if is_stack else A
        predictions.append(propagate_from_Z1(affine(b[1], W[1], A), W, b, activations))
    return predictions[0] if len(predictions) == 1 else torch.cat(predictions, dim=-1)


def propagate_from_Z1(Z: Tensor, W: Layers, b: Layers, activations: Layers) -> Tensor:
    """Return Z[L] for Z[1] of shape (..., n^[1], m), which is overwritten."""
    for l in range(1, len(W) - 1):
        A = activations[l].forward(Z, torch.empty_like(Z) if activations[l].reads_Z else Z)
        Z = affine(b[l + 1], W[l + 1], A)
    return Z
