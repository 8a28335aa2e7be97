"""Update rules: from theta and its gradient to a better theta.

A rule is a few elementwise operations on tensors of shape (P,) for one network or (M, P) for a
stack, and its state is tensors of the same shape. What the networks of a stack may differ in,
learning rate, momentum and weight decay, is a number or a tensor of shape (M, 1). All rules descend
on ``J + λ/2 Σ W²``, λ the weight decay, biases free; only "adamw" shrinks the weights directly
instead of through the gradient.

References
----------
.. [1] I. Sutskever, J. Martens, G. Dahl, G. Hinton, "On the importance of initialization and
       momentum in deep learning", ICML 2013.
.. [2] D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.
.. [3] I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR 2019.
"""

import copy
import os
import warnings
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import groupby

import torch

from ._averaging import WeightAverage
from ._lbfgs import LBFGS
from ._penalty import Penalty, option_of

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # of Adam
_SET_BY_COMPILER = "TORCHINDUCTOR_CACHE_DIR"


class Optimizer:
    """What update rules share: a penalty, and tensors with a number for each parameter."""

    tensors: tuple[str, ...] = ()

    def __init__(self, network, weight_decay):
        self.theta, self.gradient = network.theta, network.gradient
        self.penalty = Penalty(network, weight_decay)
        for name in self.tensors:
            setattr(self, name, torch.zeros_like(self.theta))

    def state(self):
        """Return what, beside theta, the next step depends on: arrays and numbers."""
        return {name: getattr(self, name).cpu().numpy() for name in self.tensors}

    def restore(self, state):
        """Go on from a state."""
        for name in self.tensors:
            getattr(self, name).copy_(torch.from_numpy(state[name]))

    def part(self, network, members):
        """Return the rule for some networks of a stack, which are `network` now."""
        part = copy.copy(self)
        part.theta, part.gradient = network.theta, network.gradient
        part.penalty = self.penalty.part(network, members)
        for name in self.tensors:
            setattr(part, name, getattr(self, name)[members].clone())
        return part

    def merge(self, part, members):
        """Take over what has become of the state of a part."""
        for name in self.tensors:
            getattr(self, name)[members] = getattr(part, name)


class GradientDescent(Optimizer):
    """``W := W - α dW``, the lecture's rule; with momentum ``v := μ v + dW``, ``W := W - α v``.

    Nesterov's variant looks ahead along the velocity: ``W := W - α (dW + μ v)``.
    """

    tensors = ("velocity",)

    def __init__(self, network, *, momentum=0.0, nesterov=False, weight_decay=0.0):
        super().__init__(network, weight_decay)
        self.momentum, self.nesterov = momentum, nesterov

    def part(self, network, members):
        """Return the rule for some networks of a stack, which are `network` now."""
        part = super().part(network, members)
        part.momentum = option_of(self.momentum, members)
        return part

    def step(self, objective, rate):
        """Compute the gradient, then update theta at the learning rate `rate`."""
        objective.compute_gradient()
        self.penalty.add_to(self.gradient)
        if isinstance(rate, torch.Tensor):
            self.theta.sub_(rate * self._direction())
        else:
            self.theta.sub_(self._direction(), alpha=rate)

    def _direction(self):
        if not isinstance(self.momentum, torch.Tensor) and self.momentum == 0:
            return self.gradient
        self.velocity.mul_(self.momentum).add_(self.gradient)
        if self.nesterov:
            return self.gradient.add_(self.momentum * self.velocity)
        return self.velocity


class Adam(Optimizer):
    """The running mean of the gradient over the root of its running mean square.

    With ``decoupled=True`` it is AdamW.
    """

    tensors = ("mean", "square")

    def __init__(self, network, *, weight_decay=0.0, decoupled=False):
        super().__init__(network, weight_decay)
        self.decoupled, self.n_steps = decoupled, 0

    def state(self):
        """Return what, beside theta, the next step depends on: arrays and numbers."""
        return {**super().state(), "n_steps": self.n_steps}

    def restore(self, state):
        """Go on from a state."""
        super().restore(state)
        self.n_steps = state["n_steps"]

    def merge(self, part, members):
        """Take over what has become of the state of a part."""
        super().merge(part, members)
        self.n_steps = part.n_steps

    def step(self, objective, rate):
        """Compute the gradient, then update theta at the learning rate `rate`."""
        objective.compute_gradient()
        if self.decoupled:
            self.penalty.shrink(rate)
        else:
            self.penalty.add_to(self.gradient)
        self.n_steps += 1
        tensors = self.theta, self.gradient, self.mean, self.square
        if not isinstance(rate, torch.Tensor):
            adam_step(*tensors, self.n_steps, rate)
            return
        for members, its_rate in _runs(rate.flatten().tolist()):
            adam_step(*(tensor[members] for tensor in tensors), self.n_steps, its_rate)


def _runs(numbers):
    """Yield slices of numbers that are equal beside each other, and the number."""
    start = 0
    for number, run in groupby(numbers):
        stop = start + len(list(run))
        yield slice(start, stop), number
        start = stop


def adam_step_as_written(theta, gradient, mean, square, t, rate):
    """Take a step of Adam, the t-th, in place."""
    mean.lerp_(gradient, 1 - BETA_1)
    square.mul_(BETA_2).addcmul_(gradient, gradient, value=1 - BETA_2)
    # Both means start at zero, which dividing by 1 - βᵗ undoes.
    root = (square / (1 - BETA_2**t)).sqrt_().add_(EPSILON)
    theta.addcdiv_(mean, root, value=-rate / (1 - BETA_1**t))


def adam_step_fused(theta, gradient, mean, square, t, rate):
    """Take the same step by torch's own kernel, in one pass over the numbers."""
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


# The kernel is private to torch, so it may be gone one day.
adam_step = adam_step_fused if hasattr(torch, "_fused_adam_") else adam_step_as_written


class TorchOptimizer:
    """A torch.optim.Optimizer for each network, whose parameters are its ``W[l]`` and ``b[l]``.

    Layers keep their shapes, so that optimizers of matrices see matrices. They are copies, since
    the network's own lie in memory as its products like it, which not every optimizer takes.
    """

    def __init__(self, network, optimizer_class, *, weight_decay=0.0):
        self.name, self.network = optimizer_class.__name__, network
        self.penalty = Penalty(network, weight_decay)
        with self._naming(), _traceless_import():
            self.optimizers = [
                optimizer_class(_parameters(network, member), lr=1e-3)
                for member in range(network.n_networks or 1)
            ]

    def part(self, network, members):
        """Return the rule for some networks of a stack, which are `network` now."""
        part = copy.copy(self)
        part.network, part.penalty = network, self.penalty.part(network, members)
        chosen = members if isinstance(members, list) else [members]
        part.optimizers = [self.optimizers[member] for member in chosen]
        return part

    def merge(self, part, members):
        """Take over nothing: the optimizers are the same."""

    def step(self, objective, rate):
        """Let the optimizers update theta; they may ask for the gradient several times."""
        self._compute_gradient(objective)
        for member in range(len(self.optimizers)):
            self._copy_to(member)
        rates = rate.flatten().tolist() if isinstance(rate, torch.Tensor) else None
        for member, optimizer in enumerate(self.optimizers):
            for group in optimizer.param_groups:
                group["lr"] = rate if rates is None else rates[member]
            with self._naming():
                optimizer.step(self._closure(objective, member))
            self._copy_from(member)

    def _closure(self, objective, member):
        """Return the function from which an optimizer has cost and gradient of its network.

        At its first call these are at hand: what the others have done is nothing to this one.
        """
        is_at_hand = True

        def closure():
            nonlocal is_at_hand
            if not is_at_hand:
                self._copy_from(member)
                self._compute_gradient(objective)
                self._copy_to(member)
            is_at_hand = False
            return (objective.cost() + self.penalty.value()).reshape(-1)[member]

        return closure

    def _compute_gradient(self, objective):
        objective.compute_gradient()
        self.penalty.add_to(self.network.gradient)

    def _copy_to(self, member):
        """Show an optimizer the weights and the gradient of its network."""
        for parameter, (weights, gradient) in self._pairs(member):
            parameter.data.copy_(weights)
            parameter.grad.copy_(gradient)

    def _copy_from(self, member):
        """Give a network the weights that its optimizer has come to."""
        for parameter, (weights, _) in self._pairs(member):
            weights.copy_(parameter.data)

    def _pairs(self, member):
        groups = self.optimizers[member].param_groups
        held = [parameter for group in groups for parameter in group["params"]]
        return zip(held, _layers(self.network, member), strict=True)

    @contextmanager
    def _naming(self):
        """Name the optimizer in what it raises, and let it find torch as it is by default."""
        # Some make tensors without saying where.
        is_usual = torch.get_default_device().type == "cpu"
        try:
            with nullcontext() if is_usual else torch.device("cpu"):
                yield
        except (RuntimeError, TypeError) as error:
            raise ValueError(
                "optimizer must be a torch.optim.Optimizer class that is made of (parameters, lr) "
                f"and trains dense layers, but {self.name} raised: {error}"
            ) from error


@contextmanager
def _traceless_import():
    """Take back what torch's compiler leaves, which the first optimizer of a process imports."""
    found = os.environ.get(_SET_BY_COMPILER)
    try:
        with warnings.catch_warnings():
            yield
    finally:
        if found is None:
            os.environ.pop(_SET_BY_COMPILER, None)


def _layers(network, member):
    """Return weights and gradients of one network, layer by layer, then the biases."""
    views = zip(network.W[1:] + network.b[1:], network.dW[1:] + network.db[1:], strict=True)
    return [[network.members(view)[member] for view in pair] for pair in views]


def _parameters(network, member):
    """Return copies of the layers of one network as torch's parameters, with gradients."""
    parameters = []
    for weights, _ in _layers(network, member):
        parameters.append(torch.nn.Parameter(weights.clone(memory_format=torch.contiguous_format)))
        parameters[-1].grad = torch.zeros_like(parameters[-1])
    return parameters


OPTIMIZERS = {
    "sgd": GradientDescent,
    "adam": Adam,
    "adamw": partial(Adam, decoupled=True),
    "lbfgs": LBFGS,
}


def make_optimizer(
    optimizer, network, *, weight_decay=0.0, momentum=0.0, nesterov=False, weight_averaging=0.0
):
    """Return the update rule for a network's parameters.

    Parameters
    ----------
    optimizer : {"sgd", "adam", "adamw", "lbfgs"} or torch.optim.Optimizer class
    network : Network
    weight_decay : float or tensor of shape (M, 1), default=0.0
    momentum, nesterov : float or tensor of shape (M, 1), bool
        For "sgd" alone.
    weight_averaging : float, default=0.0
        Above 0, the decay of a `WeightAverage` around the rule.

    Examples
    --------
    >>> from skdnn.network import Network
    >>> from skdnn.training import make_optimizer
    >>> make_optimizer("sgd", Network((3, 1), [])).state()
    {'velocity': array([0., 0., 0., 0.])}
    """
    if not isinstance(optimizer, str):
        optimizer = TorchOptimizer(network, optimizer, weight_decay=weight_decay)
    else:
        options = {"momentum": momentum, "nesterov": nesterov} if optimizer == "sgd" else {}
        optimizer = OPTIMIZERS[optimizer](network, weight_decay=weight_decay, **options)
    if weight_averaging == 0:
        return optimizer
    return WeightAverage(optimizer, network.theta, weight_averaging)
