"""The learning rate's factor at a point of the training, by name.

A schedule is a function of the epoch, a real number from 0, and of `max_iter`, the epoch at which
training ends at the latest; the learning rate is multiplied by what it returns.

References
----------
.. [1] I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.
"""

import math

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


SCHEDULES = {
    "constant": constant,
    "inverse_scaling": inverse_scaling,
    "invscaling": inverse_scaling,  # scikit-learn's name
    "cosine": cosine,
    "warmup_cosine": warmup_cosine,
}
