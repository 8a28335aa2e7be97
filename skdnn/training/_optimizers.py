"""Optimizers: from theta and the gradient of its cost to a better theta.

An optimizer is a few elementwise operations on tensors of shape (P,) for one network or (M, P) for
a stack, and its state is tensors of the same shape. Options in which the networks of a stack may
differ (learning rate, momentum, weight decay) are numbers or tensors of shape (M, 1). All
optimizers minimise ``J + λ/2 Σ W²``, where λ is the weight decay and biases are not penalised;
"adamw" shrinks the weights directly instead of through the gradient.

References
----------
.. [1] I. Sutskever, J. Martens, G. Dahl, G. Hinton, "On the importance of initialization and
       momentum in deep learning", ICML 2013.
.. [2] D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.
.. [3] I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR 2019.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from skdnn.network import Network

from ._averaging import WeightAverage
from ._lbfgs import LBFGS
from ._optimizer import Members, Objective, Optimizer, Option

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # of Adam


class GradientDescent(Optimizer):
    """``W := W - α dW``, as in the lecture; with momentum ``v := μ v + dW``, ``W := W - α v``.

    Nesterov's variant looks ahead along the velocity: ``W := W - α (dW + μ v)``.
    """

    tensors, options = ("velocity",), ("momentum",)
    velocity: Tensor

    def __init__(
        self,
        network: Network,
        *,
        momentum: Option = 0.0,
        nesterov: bool = False,
        weight_decay: Option = 0.0,
    ) -> None:
        super().__init__(network, weight_decay)
        self.momentum, self.nesterov = momentum, nesterov

    def step(self, objective: Objective, rate: Option) -> None:
        """Compute the gradient, then update theta at the learning rate `rate`."""
        objective.compute_gradient()
        self.penalty.add_to(self.gradient)
        direction = self.gradient
        if isinstance(self.momentum, Tensor) or self.momentum != 0:
            direction = self.velocity.mul_(self.momentum).add_(self.gradient)
            if self.nesterov:
                direction = self.gradient.add_(self.momentum * self.velocity)
        if isinstance(rate, Tensor):
            self.theta.sub_(rate * direction)
        else:
            self.theta.sub_(direction, alpha=rate)


class Adam(Optimizer):
    """A step along the running mean of the gradient over the root of its running mean square."""

    tensors, nonnegative, counters = ("mean", "square"), ("square",), ("n_steps",)
    mean: Tensor
    square: Tensor
    n_steps = 0
    decoupled = False

    def step(self, objective: Objective, rate: Option) -> None:
        """Compute the gradient, then update theta at the learning rate `rate`."""
        objective.compute_gradient()
        if self.decoupled:
            self.penalty.shrink(rate)
        else:
            self.penalty.add_to(self.gradient)
        self.n_steps += 1
        tensors = self.theta, self.gradient, self.mean, self.square
        if not isinstance(rate, Tensor):
            adam_step(*tensors, self.n_steps, rate)
            return
        # Neighbours of the same rate take one step together.
        start = 0
        for its_rate, networks in groupby(rate.flatten().tolist()):
            stop = start + len(list(networks))
            theta, gradient, mean, square = (tensor[start:stop] for tensor in tensors)
            adam_step(theta, gradient, mean, square, self.n_steps, its_rate)
            start = stop


class AdamW(Adam):
    """Adam with decoupled weight decay."""

    decoupled = True


def adam_step_as_written(
    theta: Tensor, gradient: Tensor, mean: Tensor, square: Tensor, t: int, rate: float
) -> None:
    """Take the t-th step of Adam in place."""
    mean.lerp_(gradient, 1 - BETA_1)
    square.mul_(BETA_2).addcmul_(gradient, gradient, value=1 - BETA_2)
    # Both means start at zero, which dividing by 1 - βᵗ undoes.
    root = (square / (1 - BETA_2**t)).sqrt_().add_(EPSILON)
    theta.addcdiv_(mean, root, value=-rate / (1 - BETA_1**t))


def adam_step_fused(
    theta: Tensor, gradient: Tensor, mean: Tensor, square: Tensor, t: int, rate: float
) -> None:
    """Take the same step by torch's kernel, in one pass over the numbers."""
    torch._fused_adam_(
        [theta],
        [gradient],
        [mean],
        [square],
        [],
        [torch.full((), t, dtype=torch.float32, device=theta.device)],
        lr=rate,
        beta1=BETA_1,
        beta2=BETA_2,
        weight_decay=0.0,
        eps=EPSILON,
        amsgrad=False,
        maximize=False,
    )


# The kernel is private to torch, and a later version may lack it.
adam_step = adam_step_fused if hasattr(torch, "_fused_adam_") else adam_step_as_written


class TorchOptimizer(Optimizer):
    """A torch.optim.Optimizer for each network, over copies of its ``W[l]`` and ``b[l]``.

    The layers keep their shapes, for optimizers of matrices. They are copied because the network's
    own tensors are laid out for its products, in strides that not every optimizer supports.
    """

    def __init__(
        self, network: Network, optimizer_class: Any, *, weight_decay: Option = 0.0
    ) -> None:
        super().__init__(network, weight_decay)
        self.name, self.network = optimizer_class.__name__, network
        self.parameters: list[list[torch.nn.Parameter]] = []
        self.optimizers: list[Any] = []
        with self._naming():
            for member in range(network.n_networks or 1):
                copies = [
                    torch.nn.Parameter(weights.clone(memory_format=torch.contiguous_format))
                    for weights, _ in _layers(network, member)
                ]
                for parameter in copies:
                    parameter.grad = torch.zeros_like(parameter)
                self.parameters.append(copies)
                self.optimizers.append(optimizer_class(copies, lr=1e-3))

    def part(self, network: Network, members: Members) -> "TorchOptimizer":
        """Return an optimizer for some networks of the stack, which `network` holds."""
        part = super().part(network, members)
        part.network = network
        chosen = members if isinstance(members, list) else [members]
        part.parameters = [self.parameters[member] for member in chosen]
        part.optimizers = [self.optimizers[member] for member in chosen]
        return part

    def step(self, objective: Objective, rate: Option) -> None:
        """Let the optimizers update theta; each may evaluate the gradient several times."""
        objective.compute_gradient()
        self.penalty.add_to(self.gradient)
        n = len(self.optimizers)
        for member in range(n):
            self._copy_to(member)
        rates = rate.flatten().tolist() if isinstance(rate, Tensor) else [rate] * n
        for member, optimizer in enumerate(self.optimizers):
            for group in optimizer.param_groups:
                group["lr"] = rates[member]
            with self._naming():
                optimizer.step(self._closure(objective, member))
            self._copy_from(member)

    def _closure(self, objective: Objective, member: int) -> Callable[[], Tensor]:
        """Return the function by which an optimizer evaluates cost and gradient of its network.

        Its first call uses the gradient that `step` has computed: the steps of the other networks
        do not change it.
        """
        is_computed = True

        def closure() -> Tensor:
            nonlocal is_computed
            if not is_computed:
                self._copy_from(member)
                objective.compute_gradient()
                self.penalty.add_to(self.gradient)
                self._copy_to(member)
            is_computed = False
            return (objective.cost() + self.penalty.value()).reshape(-1)[member]

        return closure

    def _copy_to(self, member: int) -> None:
        """Copy weights and gradient of a network to the parameters of its optimizer."""
        layers = _layers(self.network, member)
        for parameter, (weights, gradient) in zip(self.parameters[member], layers, strict=True):
            parameter.data.copy_(weights)
            parameter.grad.copy_(gradient)  # type: ignore[union-attr]  # made above

    def _copy_from(self, member: int) -> None:
        """Copy the parameters of an optimizer to its network."""
        layers = _layers(self.network, member)
        for parameter, (weights, _) in zip(self.parameters[member], layers, strict=True):
            weights.copy_(parameter.data)

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Name the optimizer in errors of the block, which runs with the CPU as default device."""
        # Some optimizers make tensors without naming a device.
        is_usual = torch.get_default_device().type == "cpu"
        try:
            with nullcontext() if is_usual else torch.device("cpu"):
                yield
        except (RuntimeError, TypeError) as error:
            raise ValueError(
                "optimizer must be a torch.optim.Optimizer class that is made of (parameters, lr) "
                f"and trains dense layers, but {self.name} raised: {error}"
            ) from error


def _layers(network: Network, member: int) -> list[list[Tensor]]:
    """Return pairs of weights and gradient of one network: those of each W, then of each b."""
    views = zip(network.W[1:] + network.b[1:], network.dW[1:] + network.db[1:], strict=True)
    return [[network.members(view)[member] for view in pair] for pair in views]


@dataclass(frozen=True)
class OptimizerKind:
    """What distinguishes an optimizer from others.

    Attributes
    ----------
    make : callable
        From a network and options to an Optimizer.
    options : tuple of str, default=()
        The options of `make_optimizer` that it has beside `weight_decay`.
    has_state : bool, default=False
        Whether its state is tensors and counters, which can be saved, restored and stacked.
    is_fast : bool, default=False
        Whether few epochs suffice, and few rows are soon overfitted.
    default_schedule : str, default="constant"
        A key of ``SCHEDULES``.
    is_penalized : bool, default=False
        Whether ``weight_decay="auto"`` penalises the weights.
    uses_all_rows : bool, default=False
        Whether each step takes all rows.
    chooses_steps : bool, default=False
        Whether it chooses the length of its steps and ends by a criterion of its own: it has no
        learning rate, clipped gradients or averages, and trains one network.
    needs_float64 : bool, default=False
        Whether it stops at gradients that float32 is too coarse for.
    """

    make: Callable[..., Optimizer]
    options: tuple[str, ...] = ()
    has_state: bool = False
    is_fast: bool = False
    default_schedule: str = "constant"
    is_penalized: bool = False
    uses_all_rows: bool = False
    chooses_steps: bool = False
    needs_float64: bool = False


OPTIMIZERS: dict[str, OptimizerKind] = {
    "sgd": OptimizerKind(GradientDescent, options=("momentum", "nesterov"), has_state=True),
    "adam": OptimizerKind(
        Adam, has_state=True, is_fast=True, default_schedule="cosine", is_penalized=True
    ),
    "adamw": OptimizerKind(AdamW, has_state=True, is_fast=True, default_schedule="cosine"),
    "lbfgs": OptimizerKind(LBFGS, uses_all_rows=True, chooses_steps=True, needs_float64=True),
}


def optimizer_kind(optimizer: Any) -> OptimizerKind:
    """Return what distinguishes an optimizer from others.

    Parameters
    ----------
    optimizer : {"sgd", "adam", "adamw", "lbfgs"} or torch.optim.Optimizer class
        SciPy hides the state of L-BFGS, and a class of torch may have any.

    Examples
    --------
    >>> from skdnn.training import optimizer_kind
    >>> optimizer_kind("adam").is_fast
    True
    """
    if isinstance(optimizer, str):
        return OPTIMIZERS[optimizer]
    return OptimizerKind(partial(TorchOptimizer, optimizer_class=optimizer))


def make_optimizer(
    optimizer: Any,
    network: Network,
    *,
    weight_decay: Option = 0.0,
    momentum: Option = 0.0,
    nesterov: bool = False,
    weight_averaging: float = 0.0,
) -> Optimizer:
    """Return an optimizer of a network's parameters.

    Parameters
    ----------
    optimizer : {"sgd", "adam", "adamw", "lbfgs"} or torch.optim.Optimizer class
    network : Network
    weight_decay : float or tensor of shape (M, 1), default=0.0
    momentum, nesterov : float or tensor of shape (M, 1), bool
        Only for "sgd".
    weight_averaging : float, default=0.0
        Above 0, the decay of a `WeightAverage` around the optimizer.

    Returns
    -------
    Optimizer

    Examples
    --------
    >>> from skdnn.network import Network
    >>> from skdnn.training import make_optimizer
    >>> make_optimizer("sgd", Network((3, 1), [])).state()
    {'velocity': array([0., 0., 0., 0.])}
    """
    kind = optimizer_kind(optimizer)
    values = {"weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov}
    made = kind.make(network, **{name: values[name] for name in ("weight_decay", *kind.options)})
    return made if weight_averaging == 0 else WeightAverage(made, network.theta, weight_averaging)
