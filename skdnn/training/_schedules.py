"""The learning rate's factor at a point of the training, by name.

A schedule is a function of the epoch, a real number from 0, and of `max_iter`, the epoch at which
training ends at the latest; the learning rate is multiplied by what it returns.

References
----------
.. [1] I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.
"""

import copy
import math
from functools import partial

import numpy as np
import torch

from ._penalty import option_of

WARMUP = 0.05  # share of the training in which "warmup_cosine" rises from 0 to 1


def constant(epoch, max_iter):
    """Return 1."""
    return 1.0


def inverse_scaling(epoch, max_iter):
    """Return ``1 / sqrt(1 + epoch)``."""
    return 1 / math.sqrt(1 + epoch)


def cosine(epoch, max_iter):
    """Return ``(1 + cos(π epoch / max_iter)) / 2``, which falls from 1 to 0.

    Examples
    --------
    >>> from skdnn.training import SCHEDULES
    >>> [round(SCHEDULES["cosine"](epoch, 100), 2) for epoch in (0, 50, 100)]
    [1.0, 0.5, 0.0]
    """
    return (1 + math.cos(math.pi * min(epoch / max_iter, 1.0))) / 2


def warmup_cosine(epoch, max_iter):
    """Return a straight rise from 0 over the first 5 % of the training, then a cosine to 0."""
    warm, progress = WARMUP * max_iter, epoch / max_iter
    if epoch < warm:
        return epoch / warm
    return cosine((progress - WARMUP) / (1 - WARMUP), 1)


class Rate:
    """The learning rate of a network, or of each network of a stack, over time.

    Parameters
    ----------
    learning_rate : float or tensor of shape (M, 1)
        A tensor, where schedules or `max_iter` differ.
    schedule : str, callable or a list with one for each network
    max_iter : int or a sequence with one for each network
    dtype : torch.dtype
        Of the network.
    """

    def __init__(self, learning_rate, schedule, max_iter, dtype):
        self.learning_rate, self.dtype = learning_rate, dtype
        pairs = [(schedule, max_iter)]
        if isinstance(schedule, list) or np.ndim(max_iter) > 0:
            schedules = schedule if isinstance(schedule, list) else [schedule] * len(max_iter)
            # Schedules count with integers of Python's, which may be of any size.
            epochs = np.broadcast_to(max_iter, len(schedules)).tolist()
            pairs = list(zip(schedules, epochs, strict=True))
        # What networks have in common is asked for once.
        self._take(pairs, [(_name(schedule), max_iter) for schedule, max_iter in pairs])
        self.factors = [_factor(*pair) for pair in self.factors]

    def _take(self, items, keys):
        """Keep what is distinct of items, one for each network, and which of it each has."""
        distinct = dict(zip(keys, items, strict=True))
        self.factors, places = list(distinct.values()), list(distinct)
        self.which = [places.index(key) for key in keys]

    def part(self, members):
        """Return that of some networks of a stack."""
        part = copy.copy(self)
        part.learning_rate = option_of(self.learning_rate, members)
        if len(self.which) > 1:
            chosen = members if isinstance(members, list) else [members]
            which = [self.which[member] for member in chosen]
            part._take([self.factors[k] for k in which], which)
        return part

    def at(self, epoch):
        """Return the rate at an epoch, a real number.

        Raises
        ------
        ValueError
            If a user's schedule gives no factor, or the rate is beyond what the dtype holds.
        """
        factors = [factor(epoch) for factor in self.factors]
        if len(factors) > 1:
            of_each = [[factors[k]] for k in self.which]
            return self.learning_rate * self.learning_rate.new_tensor(of_each)
        now = self.learning_rate * factors[0]
        if not isinstance(now, torch.Tensor) and now > torch.finfo(self.dtype).max:
            raise ValueError(
                f"learning_rate must be a number that {self.dtype} can hold, got {now:g}."
            )
        return now


def _name(schedule):
    return schedule if isinstance(schedule, str) else id(schedule)


def _factor(schedule, max_iter):
    """Return the function from the epoch to the factor there."""
    if isinstance(schedule, str):
        return lambda epoch: SCHEDULES[schedule](epoch, max_iter)
    return partial(_checked_factor, schedule, max_iter)


def _checked_factor(schedule, max_iter, epoch):
    """Return what a user's schedule says, if it is a factor."""
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


SCHEDULES = {
    "constant": constant,
    "inverse_scaling": inverse_scaling,
    "invscaling": inverse_scaling,  # scikit-learn's name
    "cosine": cosine,
    "warmup_cosine": warmup_cosine,
}
