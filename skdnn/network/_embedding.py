"""The periodic embedding of numbers: a first stage of a network, before its first layer.

With an embedding the first layer takes ``A[0]``, the outputs of the embedding, in place of X. Its
parameters are trained with those of the layers, which they follow in the network's theta. As in the
layers, an example is a column, and the tensors of a stack of M networks have a first axis of M.

References
----------
.. [1] Y. Gorishniy, I. Rubachev, A. Babenko, "On embeddings for numerical features in tabular
       deep learning", NeurIPS 2022.
.. [2] D. Holzmüller, L. Grinsztajn, I. Steinwart, "Better by default: strong pre-tuned MLPs and
       boosted trees on tabular data", NeurIPS 2024.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import pad

# The standard deviation of the first frequencies, for inputs of standard deviation 1.
_FREQUENCY_SCALE = 0.3


@dataclass(frozen=True)
class PeriodicEmbedding:
    """Replace some of the inputs by trained cosines of others: ``a cos(2π (w x + b))`` [1]_ [2]_.

    Each cosine has parameters w, b and a of its own. They start as w ~ N(0, 0.3²), b = 0 and a = 0:
    the network begins without cosines, and takes up those that lower its cost. Some networks of a
    stack may keep the inputs instead. The parameters are no part of the embedding, and embeddings
    are equal if their networks can be in one stack.

    Attributes
    ----------
    inputs : tuple of int
        The input x of each of the p cosines.
    start, stop : int
        The inputs from `start` to ``stop - 1`` are replaced, by the cosines and then by zeros.
    is_user : tensor of shape (M, 1, 1) or float, default=1.0
        For each network of a stack whether it has the cosines, 0 or 1.
    mask : tensor of shape (M, 1, n^[0]) or None, default=None
        For each network of a stack 0 for the zeros, whose weights in the first layer are and stay
        0, and 1 for all other outputs; None if there are no zeros.
    """

    inputs: tuple[int, ...]
    start: int
    stop: int
    is_user: Tensor | float = field(default=1.0, compare=False)
    mask: Tensor | None = field(default=None, compare=False)

    @property
    def place(self) -> slice:
        """The outputs that are cosines."""
        return slice(self.start, self.start + len(self.inputs))

    @property
    def n_parameters(self) -> int:
        """The number of parameters of one network: w, then b, then a."""
        return 3 * len(self.inputs)

    def draw(self, generator: torch.Generator) -> Tensor:
        """Return the initial parameters of one network, of shape (n_parameters,), in float64."""
        parameters = torch.zeros(self.n_parameters, dtype=torch.float64, device=generator.device)
        parameters[: len(self.inputs)].normal_(0, _FREQUENCY_SCALE, generator=generator)
        return parameters

    def buffers(self, like: Tensor, m: int) -> list[Tensor]:
        """Return empty tensors for x, the angles and the cosines, of shape (..., p, m).

        Parameters
        ----------
        like : tensor of shape (..., P)
            Defines the number of networks, dtype and device.
        m : int
        """
        return [self.new_cosines(like, m) for _ in range(3)]

    def new_cosines(self, like: Tensor, m: int) -> Tensor:
        """Return an empty tensor of shape (..., p, m), the numbers of an example adjacent."""
        return like.new_empty((*like.shape[:-1], m, len(self.inputs))).mT

    def forward(
        self, X: Tensor, parameters: Tensor, buffers: Sequence[Tensor], out: Tensor
    ) -> Tensor:
        """Write the outputs for X into `out`.

        Parameters
        ----------
        X : tensor of shape (..., n^[0], m)
            For a stack it may be 2-D: all its networks get the same examples.
        parameters : tensor of shape (..., n_parameters)
        buffers : list of tensors
            From `buffers`; x, the angles and the cosines are written to them.
        out : tensor of shape (..., n^[0], m)
        """
        x, angle, cosine = buffers
        w, b, a = self._views(parameters)
        x.copy_(self._x(X))
        torch.addcmul(b, x, w, out=angle).mul_(2 * math.pi)
        torch.cos(angle, out=cosine)
        out.copy_(X)
        out[..., self.start : self.stop, :].mul_(1 - self.is_user)
        out[..., self.place, :].addcmul_(a, cosine)  # a stays 0 in networks without cosines
        return out

    def outputs(self, X: Tensor, parameters: Tensor) -> Tensor:
        """Return the outputs for X in a new tensor."""
        out = X.new_empty((*parameters.shape[:-1], *X.shape[-2:]))
        return self.forward(X, parameters, self.buffers(parameters, X.shape[-1]), out)

    def cosines(self, X: Tensor, parameters: Tensor) -> Tensor:
        """Return the cosines alone, of shape (..., p, m)."""
        w, b, a = self._views(parameters)
        return torch.addcmul(b, self._x(X), w).mul_(2 * math.pi).cos_().mul_(a)

    def backward(
        self,
        dA: Tensor,
        parameters: Tensor,
        buffers: Sequence[Tensor],
        gradient: Tensor,
    ) -> None:
        """Write the gradient with respect to the parameters.

        ``da = Σ dA cos θ``, ``dw = 2π Σ dθ x`` and ``db = 2π Σ dθ`` with ``dθ = -dA a sin θ``.

        Parameters
        ----------
        dA : tensor of shape (..., p, m)
            The derivative of the cost with respect to the cosines; is overwritten.
        parameters, buffers : as for `forward`
            The buffers as `forward` has left them; they are overwritten.
        gradient : tensor of the shape of `parameters`
        """
        x, angle, cosine = buffers
        *_, a = self._views(parameters)
        dw, db, da = self._views(gradient)
        dA = dA.mul_(self.is_user)
        torch.sum(cosine.mul_(dA), dim=-1, keepdim=True, out=da)
        d_angle = angle.sin_().mul_(dA).mul_(-2 * math.pi * a)
        torch.sum(d_angle, dim=-1, keepdim=True, out=db)
        torch.sum(d_angle.mul_(x), dim=-1, keepdim=True, out=dw)

    def module(self, parameters: Tensor) -> torch.nn.Module:
        """Return a module from X of shape (m, n^[0]) to the outputs, of the same shape.

        Parameters
        ----------
        parameters : tensor of shape (n_parameters,)
        """
        return PeriodicLayer(self, parameters) if self.is_user else torch.nn.Identity()

    def part(self, members: list[int] | int) -> "PeriodicEmbedding":
        """Return the embedding of some networks of a stack, or of one."""
        if not isinstance(self.is_user, Tensor):
            return self
        is_user, mask = self.is_user[members], None if self.mask is None else self.mask[members]
        return replace(self, is_user=is_user if is_user.ndim == 3 else is_user.item(), mask=mask)

    def for_predictions(self, device: torch.device | str) -> "PeriodicEmbedding":
        """Return the embedding without the mask, on a device."""
        is_user = self.is_user
        return replace(
            self, is_user=is_user.to(device) if isinstance(is_user, Tensor) else is_user, mask=None
        )

    def concatenated(self, embeddings: Sequence["PeriodicEmbedding"]) -> "PeriodicEmbedding":
        """Return the embedding of a stack made of networks with these embeddings, all equal."""
        parts = [(e.is_user, e.mask) for e in embeddings if isinstance(e.is_user, Tensor)]
        if not parts:
            return self
        is_user, mask = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        return replace(self, is_user=is_user, mask=mask)

    def _x(self, X: Tensor) -> Tensor:
        """Return the input of each cosine, of shape (..., p, m)."""
        return X.mT.index_select(-1, _index(self.inputs, X.device)).mT

    def _views(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return w, b and a, of shape (..., p, 1)."""
        w, b, a = parameters.unflatten(-1, (3, len(self.inputs), 1)).unbind(-3)
        return w, b, a


@cache
def _index(inputs: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.tensor(inputs, dtype=torch.int64, device=device)


class PeriodicLayer(torch.nn.Module):
    """A PeriodicEmbedding as a layer of a torch.nn.Sequential."""

    inputs: Tensor

    def __init__(self, embedding: PeriodicEmbedding, parameters: Tensor) -> None:
        super().__init__()
        parts = parameters.unflatten(0, (3, len(embedding.inputs)))
        self.w, self.b, self.a = (torch.nn.Parameter(part.clone()) for part in parts)
        self.start, self.stop = embedding.start, embedding.stop
        self.register_buffer("inputs", _index(embedding.inputs, parameters.device).clone())

    def forward(self, X: Tensor) -> Tensor:
        """Return X of shape (m, n_x) with the cosines in place of some columns."""
        cosines = self.a * torch.cos(2 * math.pi * (X[:, self.inputs] * self.w + self.b))
        zeros = (0, self.stop - self.start - len(self.inputs))
        return torch.cat([X[:, : self.start], pad(cosines, zeros), X[:, self.stop :]], dim=1)
