"""Input embeddings: a first stage of a network, before its first layer.

With an embedding the first layer takes ``A[0]``, the outputs of the embedding, in place of X. Its
parameters are trained with those of the layers, which they follow in the network's theta. As in the
layers, an example is a column, and the tensors of a stack of M networks have a first axis of M.

References
----------
.. [1] Y. Gorishniy, I. Rubachev, A. Babenko, "On embeddings for numerical features in tabular
       deep learning", NeurIPS 2022.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


class InputEmbedding:
    """The base class of embeddings, which hold no parameters themselves.

    Subclasses are frozen dataclasses. Equal ones can be in one stack, so a field in which the
    networks of a stack may differ is a ``field(compare=False)``.

    Attributes
    ----------
    mask : tensor of shape (M, 1, n^[0]) or None
        For each network of a stack 1 for the outputs that it uses, and 0 for those that are 0 for
        every X, whose weights in the first layer are and stay 0; None if all networks use all.
    """

    mask: Tensor | None = None

    @property
    def n_parameters(self) -> int:
        """The number of parameters of one network."""
        return 0

    def n_outputs(self, n_inputs: int) -> int:
        """Return n^[0], the number of inputs of the first layer."""
        return n_inputs

    def draw(self, generator: torch.Generator) -> Tensor:
        """Return the initial parameters of one network, of shape (n_parameters,), in float64."""
        return torch.empty(self.n_parameters, dtype=torch.float64, device=generator.device)

    def buffers(self, like: Tensor, m: int) -> list[Tensor]:
        """Return empty tensors of m examples, in the last axis, for what `backward` needs.

        Parameters
        ----------
        like : tensor of shape (..., P)
            Defines the number of networks, dtype and device.
        m : int
        """
        return []

    def forward(
        self, X: Tensor, parameters: Tensor, buffers: Sequence[Tensor], out: Tensor
    ) -> Tensor:
        """Write the outputs for X into `out`.

        Parameters
        ----------
        X : tensor of shape (..., n_x, m)
            For a stack it may be 2-D: all its networks get the same examples.
        parameters : tensor of shape (..., n_parameters)
        buffers : list of tensors
            From `buffers`.
        out : tensor of shape (..., n^[0], m)
        """
        raise NotImplementedError

    def outputs(self, X: Tensor, parameters: Tensor) -> Tensor:
        """Return the outputs for X in a new tensor."""
        shape = *parameters.shape[:-1], self.n_outputs(X.shape[-2]), X.shape[-1]
        buffers = self.buffers(parameters, X.shape[-1])
        return self.forward(X, parameters, buffers, X.new_empty(shape))

    def backward(
        self,
        dA: Tensor,
        X: Tensor,
        parameters: Tensor,
        buffers: Sequence[Tensor],
        gradient: Tensor,
    ) -> None:
        """Write the gradient with respect to the parameters; not called if there are none.

        Parameters
        ----------
        dA : tensor of shape (..., n^[0], m)
            The derivative of the cost with respect to the outputs; may be overwritten.
        X, parameters, buffers : as for `forward`
            With the buffers as `forward` has left them.
        gradient : tensor of the shape of `parameters`
        """
        raise NotImplementedError

    def module(self, parameters: Tensor) -> torch.nn.Module:
        """Return a module from X of shape (m, n_x) to the outputs, of shape (m, n^[0]).

        Parameters
        ----------
        parameters : tensor of shape (n_parameters,)
        """
        raise NotImplementedError

    def part(self, members: list[int] | int) -> "InputEmbedding":
        """Return the embedding of some networks of a stack, or of one."""
        return self

    def concatenated(self, embeddings: Sequence[Any]) -> "InputEmbedding":
        """Return the embedding of a stack made of networks with these embeddings, all equal."""
        return self


@dataclass(frozen=True)
class InputMask(InputEmbedding):
    """Hide some of the inputs from some networks of a stack: ``A[0] = X * mask``."""

    mask: Tensor = field(compare=False)

    def forward(
        self, X: Tensor, parameters: Tensor, buffers: Sequence[Tensor], out: Tensor
    ) -> Tensor:
        """Write X, with 0 for the hidden inputs, into `out`."""
        return torch.mul(X, self.mask.mT, out=out)

    def outputs(self, X: Tensor, parameters: Tensor) -> Tensor:
        """Return X itself, which predicts the same: the weights of hidden inputs are 0."""
        return X

    def module(self, parameters: Tensor) -> torch.nn.Module:
        """Return the identity: the weights of hidden inputs are 0."""
        return torch.nn.Identity()

    def part(self, members: list[int] | int) -> "InputMask":
        """Return the mask of some networks of the stack."""
        return InputMask(self.mask[members])

    def concatenated(self, embeddings: Sequence["InputMask"]) -> "InputMask":
        """Return the mask of a larger stack."""
        return InputMask(torch.cat([embedding.mask for embedding in embeddings]))


@dataclass(frozen=True)
class LinearEmbedding(InputEmbedding):
    """Turn each of the first p inputs, a number x_j, into the d numbers ``x_j v_j + c_j`` [1]_.

    Other inputs follow unchanged. The parameters are V, then C, each of shape (p, d).
    """

    n_numbers: int  # p
    n_units: int  # d

    @property
    def n_parameters(self) -> int:
        """The number of parameters of one network."""
        return 2 * self.n_numbers * self.n_units

    def n_outputs(self, n_inputs: int) -> int:
        """Return n^[0]."""
        return n_inputs + self.n_numbers * (self.n_units - 1)

    def draw(self, generator: torch.Generator) -> Tensor:
        """Return uniform numbers between ±1 / √d."""
        bound = self.n_units**-0.5
        return super().draw(generator).uniform_(-bound, bound, generator=generator)

    def forward(
        self, X: Tensor, parameters: Tensor, buffers: Sequence[Tensor], out: Tensor
    ) -> Tensor:
        """Write ``x_j v_j + c_j`` and the other inputs into `out`."""
        V, C = self._views(parameters)
        embedded, others = self._split(out)
        torch.addcmul(C, X[..., : self.n_numbers, None, :], V, out=embedded)
        others.copy_(X[..., self.n_numbers :, :])
        return out

    def backward(
        self,
        dA: Tensor,
        X: Tensor,
        parameters: Tensor,
        buffers: Sequence[Tensor],
        gradient: Tensor,
    ) -> None:
        """Write ``dv_j = Σ dA_j x_j`` and ``dc_j = Σ dA_j``, sums over the examples."""
        dV, dC = self._views(gradient)
        embedded, _ = self._split(dA)
        torch.sum(embedded, dim=-1, keepdim=True, out=dC)
        embedded.mul_(X[..., : self.n_numbers, None, :])
        torch.sum(embedded, dim=-1, keepdim=True, out=dV)

    def module(self, parameters: Tensor) -> torch.nn.Module:
        """Return a LinearEmbeddingLayer."""
        return LinearEmbeddingLayer(*self._views(parameters))

    def _views(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Return V and C, of shape (..., p, d, 1)."""
        V, C = parameters.unflatten(-1, (2, self.n_numbers, self.n_units, 1)).unbind(-4)
        return V, C

    def _split(self, A: Tensor) -> tuple[Tensor, Tensor]:
        """Return the embedded numbers, of shape (..., p, d, m), and the other inputs."""
        n = self.n_numbers * self.n_units
        return A[..., :n, :].unflatten(-2, (self.n_numbers, self.n_units)), A[..., n:, :]


class LinearEmbeddingLayer(torch.nn.Module):
    """A LinearEmbedding as a layer of a torch.nn.Sequential."""

    def __init__(self, V: Tensor, C: Tensor) -> None:
        super().__init__()
        self.V, self.C = (torch.nn.Parameter(tensor[..., 0].clone()) for tensor in (V, C))

    def forward(self, X: Tensor) -> Tensor:
        """Return X of shape (m, n_x) embedded, of shape (m, n^[0])."""
        p = len(self.V)
        return torch.cat([(X[:, :p, None] * self.V + self.C).flatten(1), X[:, p:]], dim=1)
