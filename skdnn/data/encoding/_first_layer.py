"""The first layer of a network by tables: ``Z[1] = W[1] A[0] + b[1]`` for X that is not encoded.

Most inputs of the piecewise-linear and of the one-hot encoding are 0 or 1. What they add to Z[1] is
looked up in a table: a category has a row, and a number the two rows of the edges of its bin,
between which the sum is linear. That is faster than encoding X and multiplying by all weights.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from skdnn.data.frames import Table

from ._encoder import Encoder
from ._piecewise_linear import PiecewiseLinear
from ._statistics import Matrix


class FirstLayer:
    """The first layer of a network, or those of a stack of networks, together with an Encoder.

    Parameters
    ----------
    encoder : Encoder
        With `blocks_with_lookup`.
    W : tensor of shape (..., n^[1], n^[0])
    b : tensor of shape (..., n^[1], 1)

    Examples
    --------
    >>> import numpy as np, torch
    >>> from skdnn.data.encoding import FirstLayer, WeightedColumns, fit_encoder
    >>> X = np.arange(12.0)[:, None] ** 2
    >>> encoder = fit_encoder(WeightedColumns(X, np.ones(12)), True, "piecewise_linear")
    >>> W, b = torch.ones(3, encoder.n_outputs), torch.ones(3, 1)
    >>> Z = W @ encoder.apply(X, torch.float32).mT + b
    >>> torch.allclose(FirstLayer(encoder, W, b).raw_predict(X), Z)
    True
    """

    def __init__(self, encoder: Encoder, W: Tensor, b: Tensor) -> None:
        self.encoder, self.shape, self.dtype = encoder, W.shape[:-1], W.dtype
        # The units of all networks are adjacent, so that one lookup serves them all.
        W_T, self.b = W.flatten(0, -2).mT, b.flatten()
        self.others = encoder.without(*map(type, encoder.blocks_with_lookup))
        self.W_T_of_others = torch.cat(
            [W_T[encoder.outputs_of(type(block))] for block in self.others.blocks]
        )
        self.lookups: list[Any] = []
        tables = [W_T[:0].double()]
        for block in encoder.blocks_with_lookup:
            lookup = block.lookup(block, first_row=sum(map(len, tables)))
            tables.append(lookup.table(W_T[encoder.outputs_of(type(block))].double()))
            self.lookups.append(lookup)
        self.table = torch.cat(tables).to(self.dtype)

    def raw_predict(self, X: Table | Matrix) -> Tensor:
        """Return Z[1] of shape (..., n^[1], n_samples) for X as `Encoder.apply` takes it."""
        numbers, codes = self.encoder.read(X)
        Z = torch.addmm(self.b, self.others.encode(numbers, codes, self.dtype), self.W_T_of_others)
        sizes = [lookup.n_rows for lookup in self.lookups]
        rows = torch.empty((len(numbers), sum(sizes)), dtype=torch.int32)
        weights = torch.empty_like(rows, dtype=self.dtype)
        parts = rows.split(sizes, dim=1), weights.split(sizes, dim=1)
        for lookup, its_rows, its_weights in zip(self.lookups, *parts, strict=True):
            lookup.find(numbers, codes, its_rows, its_weights)
        Z += embedding_bag(rows, self.table, mode="sum", per_sample_weights=weights)
        return Z.unflatten(1, self.shape).movedim(0, -1)


class FirstLayerOfTwoKinds:
    """The first layer of a stack in which some networks have bins, and the others cosines.

    Parameters
    ----------
    encoder : Encoder
    W, b : tensors of shape (M, n^[1], n^[0]) and (M, n^[1], 1)
    embedding : PeriodicEmbedding
    parameters : tensor of shape (M, n_parameters)
    """

    def __init__(
        self, encoder: Encoder, W: Tensor, b: Tensor, embedding: Any, parameters: Tensor
    ) -> None:
        self.is_user = embedding.is_user.flatten().bool()
        self.of_bins = FirstLayer(encoder, W[~self.is_user], b[~self.is_user])
        self.encoder, bins = encoder.without(PiecewiseLinear), encoder.outputs_of(PiecewiseLinear)
        self.embedding, self.parameters = embedding, parameters[self.is_user]
        W, self.b = W[self.is_user], b[self.is_user]
        self.W = torch.cat([W[..., : bins.start], W[..., bins.stop :]], dim=-1)
        self.W_of_cosines = W[..., embedding.place]

    def raw_predict(self, X: Table | Matrix) -> Tensor:
        """Return Z[1] of shape (M, n^[1], n_samples) for X as `Encoder.apply` takes it."""
        of_bins, A = self.of_bins.raw_predict(X), self.encoder.apply(X, self.W.dtype).mT
        Z = of_bins.new_empty((len(self.is_user), *of_bins.shape[1:]))
        Z[~self.is_user] = of_bins
        A = A.expand(len(self.W), *A.shape)
        Z[self.is_user] = torch.baddbmm(self.b, self.W, A).baddbmm_(
            self.W_of_cosines, self.embedding.cosines(A, self.parameters)
        )
        return Z
