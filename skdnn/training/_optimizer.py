"""What all optimizers have in common: weight decay, state, and the split of a stack into parts."""

import copy
from collections.abc import Iterator
from typing import Any, ClassVar, Protocol, TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor

from skdnn.network import Network

# A number for all networks of a stack, or a tensor of shape (M, 1) with one for each.
Option: TypeAlias = float | Tensor
# Some networks of a stack, or one, which then loses the axis of the stack.
Members: TypeAlias = list[int] | int
Self = TypeVar("Self", bound="Optimizer")


def option_of(value: Option, members: Members) -> Option:
    """Return an option for some networks of a stack."""
    if not isinstance(value, Tensor):
        return value
    return value[members] if isinstance(members, list) else value[members].item()


class Objective(Protocol):
    """The cost of the batch of a step, as a function of a network's theta."""

    def compute_gradient(self) -> None:
        """Fill the network's gradient."""

    def cost(self) -> Tensor:
        """Return the cost at the last gradient, of shape (...)."""


class Penalty:
    """Weight decay: ``λ/2 Σ W²``, its gradient, and its decoupled form.

    Parameters
    ----------
    network : Network
    weight_decay : float or tensor of shape (M, 1)
        λ, at least 0.
    """

    def __init__(self, network: Network, weight_decay: Option) -> None:
        self.theta = network.theta
        self.decay: Tensor | None = None
        if isinstance(weight_decay, Tensor) or weight_decay != 0:
            mask = torch.zeros_like(network.theta)
            for W in network.views(mask)[1][1:]:
                W.fill_(1)  # biases are not penalised
            self.decay = weight_decay * mask

    def value(self) -> Tensor:
        """Return ``λ/2 Σ W²``, a tensor of shape (...)."""
        if self.decay is None:
            return self.theta.new_zeros(self.theta.shape[:-1])
        return (self.decay * self.theta.square()).sum(-1) / 2

    def add_to(self, gradient: Tensor) -> None:
        """``dW := dW + λ W``."""
        if self.decay is not None:
            gradient.addcmul_(self.decay, self.theta)

    def shrink(self, rate: Option) -> None:
        """``W := W - α λ W``."""
        if self.decay is not None:
            self.theta.addcmul_(self.decay * rate, self.theta, value=-1)


class Optimizer:
    """The state of an optimizer: tensors of the shape of theta, and counters.

    Parameters
    ----------
    network : Network
        The optimizer updates its theta in place.
    weight_decay : float or tensor of shape (M, 1), default=0.0
    """

    tensors: ClassVar[tuple[str, ...]] = ()
    nonnegative: ClassVar[tuple[str, ...]] = ()  # tensors without a number below 0
    counters: ClassVar[tuple[str, ...]] = ()
    options: ClassVar[tuple[str, ...]] = ()  # attributes that may differ in a stack

    def __init__(self, network: Network, weight_decay: Option = 0.0) -> None:
        self.theta, self.gradient = network.theta, network.gradient
        self.penalty = Penalty(network, weight_decay)
        for name in self.tensors:
            setattr(self, name, torch.zeros_like(self.theta))

    def step(self, objective: Objective, rate: Option) -> None:
        """Compute the gradient of the objective, then update theta at the learning rate `rate`."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """Return what the next step depends on, besides theta: arrays and numbers."""
        arrays = {name: getattr(self, name).cpu().numpy() for name in self.tensors}
        return arrays | {name: getattr(self, name) for name in self.counters}

    def restore(self, state: dict[str, Any]) -> None:
        """Set the state to one that `state` returned."""
        for name in self.tensors:
            getattr(self, name).copy_(torch.from_numpy(state[name]))
        for name in self.counters:
            setattr(self, name, state[name])

    def contradictions(
        self, state: dict[str, Any], n_steps: int, is_running: np.ndarray
    ) -> Iterator[str]:
        """Yield what is impossible in a state after so many steps, for an error message.

        Parameters
        ----------
        state : dict
            As `state` returns it, of the right names, shapes and dtypes.
        n_steps : int
        is_running : array of bool of shape (M,)
            The networks that have not stopped. The values of the others are no longer used.
        """
        for name in self.counters:
            if state[name] != n_steps:
                yield f"{name} {state[name]} after {n_steps} steps"
        for name in self.tensors:
            numbers = state[name].reshape(len(is_running), -1)[is_running]
            if not np.isfinite(numbers).all():
                yield f"{name} that is not finite"
            if name in self.nonnegative and (numbers < 0).any():
                yield f"{name} with numbers below 0"

    def part(self: Self, network: Network, members: Members) -> Self:
        """Return an optimizer for some networks of the stack, which `network` holds."""
        part = copy.copy(self)
        part.theta, part.gradient = network.theta, network.gradient
        part.penalty = copy.copy(self.penalty)
        part.penalty.theta = network.theta
        part.penalty.decay = None if self.penalty.decay is None else self.penalty.decay[members]
        for name in self.tensors:
            setattr(part, name, getattr(self, name)[members].clone())
        for name in self.options:
            setattr(part, name, option_of(getattr(self, name), members))
        return part

    def merge(self: Self, part: Self, members: list[int]) -> None:
        """Copy the state of a part back into that of the whole stack."""
        for name in self.tensors:
            getattr(self, name)[members] = getattr(part, name)
        for name in self.counters:
            setattr(self, name, getattr(part, name))
