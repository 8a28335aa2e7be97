"""Learning rate schedules: the factor of the learning rate at each point of the training.

A schedule is a function of the epoch, a real number from 0, and of `max_iter`, the last epoch at
which the training may end. It returns the factor by which the learning rate is multiplied.

References
----------
.. [1] I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ._config import Option, TrainingConfig, option

WARMUP = 0.05  # fraction of the training in which "warmup_cosine" rises from 0 to 1


def constant(epoch: float, max_iter: int) -> float:
    """Return 1."""
    return 1.0


def inverse_scaling(epoch: float, max_iter: int) -> float:
    """Return ``1 / sqrt(1 + epoch)``."""
    return 1 / math.sqrt(1 + epoch)


def cosine(epoch: float, max_iter: int) -> float:
    """Return ``(1 + cos(π epoch / max_iter)) / 2``, which falls from 1 to 0.

    Examples
    --------
    >>> from skdnn.training import SCHEDULES
    >>> [round(SCHEDULES["cosine"](epoch, 100), 2) for epoch in (0, 50, 100)]
    [1.0, 0.5, 0.0]
    """
    return (1 + math.cos(math.pi * min(epoch / max_iter, 1.0))) / 2


def warmup_cosine(epoch: float, max_iter: int) -> float:
    """Return a linear rise from 0 over the first 5 % of the training, then a cosine to 0."""
    warm, progress = WARMUP * max_iter, epoch / max_iter
    if epoch < warm:
        return epoch / warm
    return cosine((progress - WARMUP) / (1 - WARMUP), 1)


SCHEDULES: dict[str, Callable[[float, int], float]] = {
    "constant": constant,
    "inverse_scaling": inverse_scaling,
    "invscaling": inverse_scaling,  # scikit-learn's name
    "cosine": cosine,
    "warmup_cosine": warmup_cosine,
}


class Rate:
    """The learning rate of a network, or of each network of a stack, over time.

    Parameters
    ----------
    config : TrainingConfig
        Its `learning_rate`, `schedule` and `max_iter`.
    theta : tensor of shape (P,) or (M, P)
        Of the network.
    """

    def __init__(self, config: TrainingConfig, theta: Tensor) -> None:
        self.learning_rate: Option = option(config.learning_rate, theta)
        self.theta, n = theta, theta.shape[:-1].numel()
        settings: tuple[Any, Any] = config.schedule, config.max_iter
        of_each = [s if isinstance(s, tuple) else (s,) * n for s in settings]
        pairs = list(zip(*of_each, strict=True))
        # Each distinct pair is evaluated once. Functions are compared by identity.
        self.keys = [(s if isinstance(s, str) else id(s), epochs) for s, epochs in pairs]
        self.schedules = dict(zip(self.keys, pairs, strict=True))

    def at(self, epoch: float) -> Option:
        """Return the learning rate at an epoch, a real number.

        Raises
        ------
        ValueError
            If a user's schedule returns no factor, or the dtype cannot hold the rate.
        """
        factors = {}
        for key, (schedule, max_iter) in self.schedules.items():
            if isinstance(schedule, str):
                factors[key] = SCHEDULES[schedule](epoch, max_iter)
            else:
                factors[key] = _checked_factor(schedule, epoch, max_iter)
        if len(factors) > 1:
            column = self.theta.new_tensor([[factors[key]] for key in self.keys])
            return self.learning_rate * column
        now = self.learning_rate * factors[self.keys[0]]
        if not isinstance(now, Tensor) and now > torch.finfo(self.theta.dtype).max:
            raise ValueError(
                f"learning_rate must be a number that {self.theta.dtype} can hold, got {now:g}."
            )
        return now


def _checked_factor(schedule: Callable[[float, int], Any], epoch: float, max_iter: int) -> float:
    """Return the factor of a user's schedule, or raise a ValueError if it is none."""
    found = schedule(epoch, max_iter)
    try:
        factor = float(found)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        factor = math.nan
    if not 0 <= factor < math.inf:
        raise ValueError(
            "learning_rate_schedule must return a finite number of at least 0, got "
            f"{found!r} at epoch {epoch:g} of {max_iter}."
        )
    return factor
