"""The settings of a training: one dataclass for one network and for a stack of networks."""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeAlias, TypeVar

from torch import Tensor

from skdnn.network import LOSSES, Loss

T = TypeVar("T")
# One value for all networks of a stack, or a tuple with one for each.
OneOrEach: TypeAlias = T | tuple[T, ...]
# Some networks of a stack, or one, which then loses the axis of the stack.
Members: TypeAlias = list[int] | int
# A setting in arithmetic: a number, or a tensor of shape (M, 1) with one for each network.
Option: TypeAlias = float | Tensor
# A key of SCHEDULES or a user's function.
Schedule: TypeAlias = str | Callable[[float, int], Any]

# Metadata of a field: what holds for networks that are trained as one stack.
MUST_BE_EQUAL = {"may_differ": False}
MAY_DIFFER = {"may_differ": True}


@dataclass(frozen=True)
class TrainingConfig:
    """The settings of a training.

    In those that may differ between the networks of a stack, a tuple has a value for each network.

    Parameters
    ----------
    optimizer : {"sgd", "adam", "adamw", "lbfgs"} or torch.optim.Optimizer class, default="adam"
    loss : Loss, default=LOSSES["log_loss"]
    learning_rate : float or tuple of float, default=1e-3
    schedule : str, callable or tuple of these, default="constant"
        A key of ``SCHEDULES``, or a function of (epoch, max_iter) that returns a factor.
    momentum : float or tuple of float, default=0.0
        Of "sgd".
    nesterov : bool, default=False
        Whether momentum is Nesterov's.
    weight_decay : float or tuple of float, default=0.0
        λ of the penalty ``λ/2 Σ W²``.
    weight_averaging : float or tuple of float, default=0.0
        Above 0, the decay of a `WeightAverage` of the weights, which is evaluated and kept.
    max_grad_norm : float, None or tuple of these, default=None
        Longer gradients are shortened to this Euclidean norm.
    max_iter : int or tuple of int, default=200
        Epochs; for L-BFGS iterations.
    tol : float or tuple of float, default=1e-4
        An epoch improves if it lowers the best cost, or raises the best score, by more than this.
        L-BFGS stops when no component of the gradient is larger.
    n_iter_no_change : int or tuple of int, default=10
        A network stops after so many epochs in a row without improvement. L-BFGS does so only if
        the best epoch is kept.
    keep_best : bool, default=True
        Stop early by the validation set and keep the weights of the best epoch; no effect without a
        validation set.
    first_kept : int or tuple of int, default=1
        The first epoch whose weights may be kept as the best.
    n_threads : int or None, default=None
        Threads of the CPU. None: one if the work is small, else as many as torch is set to.
    drop_diverged : bool, default=False
        Remove a network that diverges from the stack, instead of raising an error.

    Examples
    --------
    >>> from skdnn.training import TrainingConfig
    >>> slow, fast = TrainingConfig(learning_rate=0.001), TrainingConfig(learning_rate=0.01)
    >>> slow.stack_key() == fast.stack_key()
    True
    >>> TrainingConfig.stack([slow, fast]).learning_rate
    (0.001, 0.01)
    """

    optimizer: Any = field(default="adam", metadata=MUST_BE_EQUAL)
    loss: Loss = field(default=LOSSES["log_loss"], metadata=MUST_BE_EQUAL)
    learning_rate: OneOrEach[float] = field(default=1e-3, metadata=MAY_DIFFER)
    schedule: OneOrEach[Schedule] = field(default="constant", metadata=MAY_DIFFER)
    momentum: OneOrEach[float] = field(default=0.0, metadata=MAY_DIFFER)
    nesterov: bool = field(default=False, metadata=MUST_BE_EQUAL)
    weight_decay: OneOrEach[float] = field(default=0.0, metadata=MAY_DIFFER)
    weight_averaging: OneOrEach[float] = field(default=0.0, metadata=MAY_DIFFER)
    max_grad_norm: OneOrEach[float | None] = field(default=None, metadata=MAY_DIFFER)
    max_iter: OneOrEach[int] = field(default=200, metadata=MAY_DIFFER)
    tol: OneOrEach[float] = field(default=1e-4, metadata=MAY_DIFFER)
    n_iter_no_change: OneOrEach[float] = field(default=10, metadata=MAY_DIFFER)
    keep_best: bool = field(default=True, metadata=MUST_BE_EQUAL)
    first_kept: OneOrEach[int] = field(default=1, metadata=MAY_DIFFER)
    n_threads: int | None = field(default=None, metadata=MUST_BE_EQUAL)
    drop_diverged: bool = field(default=False, metadata=MUST_BE_EQUAL)

    def stack_key(self) -> Hashable:
        """Return what must be equal for networks that are trained as one stack."""
        return tuple(getattr(self, name) for name in self._names(MUST_BE_EQUAL))

    @staticmethod
    def stack(configs: Sequence["TrainingConfig"]) -> "TrainingConfig":
        """Return the config of a stack from those of its networks, which have equal stack keys."""
        names = configs[0]._names(MAY_DIFFER)
        settings: dict[str, Any] = {
            name: tuple(getattr(config, name) for config in configs) for name in names
        }
        return replace(configs[0], **settings)

    def part(self, members: Members) -> "TrainingConfig":
        """Return the config of some networks of a stack."""
        settings: dict[str, Any] = {}
        for name in self._names(MAY_DIFFER):
            of_each = getattr(self, name)
            if isinstance(of_each, tuple):
                if isinstance(members, int):
                    settings[name] = of_each[members]
                else:
                    settings[name] = tuple(of_each[k] for k in members)
        return replace(self, **settings)

    def _names(self, metadata: dict[str, bool]) -> list[str]:
        """Return the names of the fields with this metadata.

        Raises
        ------
        TypeError
            If a field does not say whether it may differ in a stack.
        """
        for each in fields(self):
            if "may_differ" not in each.metadata:
                raise TypeError(
                    f"{type(self).__name__}.{each.name} does not say whether networks of a stack "
                    "may differ in it. Set its metadata to MUST_BE_EQUAL or MAY_DIFFER."
                )
        return [each.name for each in fields(self) if each.metadata == metadata]


def option(setting: Any, theta: Tensor) -> Any:
    """Return a setting for arithmetic with theta: one value, or a tensor of shape (M, 1).

    A value of None becomes infinity where other networks have a number.
    """
    if not isinstance(setting, tuple):
        return setting
    if len(set(setting)) == 1:  # one number for all is faster
        return setting[0]
    numbers = [math.inf if value is None else value for value in setting]
    return theta.new_tensor(numbers).unsqueeze(-1)
