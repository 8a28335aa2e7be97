"""The loop over epochs and steps: the only one in the house."""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import torch

from skdnn.network import cost

from ._averaging import WeightAverage
from ._lbfgs import LBFGS
from ._processor import flushed_denormals, threads_for
from ._progress import Progress
from ._schedules import SCHEDULES
from ._stopping import Stopping


@dataclass
class Objective:
    """The cost of one step's batch as a function of the network's theta, with its gradient."""

    network: object
    loss: str
    generators: list
    max_norm: float | None = None  # of the gradient of one network
    slabs: Sequence = ()
    Z: Sequence = ()  # a buffer for the logits of each slab

    def compute_gradient(self):
        """Fill the network's gradient; slabs add up, and what is too long is cut."""
        network, total = self.network, None
        for (X, y, share), Z in zip(self.slabs, self.Z, strict=True):
            network.propagate(X, y, share, self.loss, self.generators, out=Z)
            if len(self.slabs) > 1:
                total = network.gradient.clone() if total is None else total.add_(network.gradient)
        if total is not None:
            network.gradient.copy_(total)
        if self.max_norm is not None:
            norm = network.gradient.norm(dim=-1, keepdim=True)
            network.gradient.mul_((self.max_norm / norm).clamp_(max=1))

    def cost(self):
        """Return the cost of the logits of the last `compute_gradient`, of shape (...)."""
        y, share = (torch.cat(parts, dim=-1) for parts in list(zip(*self.slabs, strict=True))[1:])
        return cost(self.loss, torch.cat(list(self.Z), dim=-1), y, share)


def epoch_logits(network, epoch):
    """Return the logits of a network for the rows of an Epoch, of shape (..., 1, m)."""
    return torch.cat([network.logits(X) for X, _, _ in epoch.slabs], dim=-1)


def evaluate(network, batches, loss):
    """Return the cost and the accuracy of a network on the rows of `batches`.

    Parameters
    ----------
    network : Network
    batches : Batches
        Its full batch, in order.
    loss : {"log_loss", "squared_error"}

    Returns
    -------
    cost, accuracy : tensors of shape (...)
        Both weighted.
    """
    epoch = batches.epoch()
    Z = epoch_logits(network, epoch)
    correct = ((Z > 0) == (epoch.y > 0)) * epoch.share
    return cost(loss, Z, epoch.y, epoch.share), correct.sum((-2, -1)) / epoch.share.sum((-2, -1))


@dataclass
class _EpochEnd:
    """What happens after an epoch: measure, keep the best, let observers look."""

    progress: Progress
    validation: object
    loss: str
    score: object
    observers: list
    average: WeightAverage | None

    def __call__(self, training_cost):
        """Take the cost of the training rows, of shape (...)."""
        progress = self.progress
        with nullcontext() if self.average is None else self.average.in_place():
            progress.check_weights()
            progress.add(_numbers(training_cost), *self._measure(), by_score=self.score is not None)
            for observe in self.observers:
                observe(progress)

    def _measure(self):
        if self.validation is None:
            return ()
        validation_cost, accuracy = evaluate(self.progress.network, self.validation, self.loss)
        score = _numbers(accuracy) if self.score is None else self.score(self.progress.network)
        return _numbers(validation_cost), score


def _numbers(tensor):
    return tensor.double().cpu().numpy().reshape(-1)


def train(
    network,
    batches,
    optimizer,
    *,
    validation=None,
    score=None,
    learning_rate=1e-3,
    schedule="constant",
    loss="log_loss",
    max_grad_norm=None,
    max_iter=200,
    tol=1e-4,
    n_iter_no_change=10,
    keep_best=True,
    generators=(),
    observers=(),
    state=None,
    n_threads=None,
):
    """Train a network, or a stack of networks, from its present weights.

    Parameters
    ----------
    network : Network
        Ends with the weights kept.
    batches : Batches
    optimizer : update rule of `make_optimizer`
        For the same network.
    validation : Batches or None, default=None
        Rows to watch after each epoch.
    score : callable or None, default=None
        From the network to an array of shape (M,), higher is better: watched instead of the cost of
        the validation rows, and recorded instead of their accuracy.
    learning_rate : float or tensor of shape (M, 1), default=1e-3
    schedule : str or callable, default="constant"
        A key of ``SCHEDULES``, or a function of (epoch, max_iter) that returns a factor.
    loss : {"log_loss", "squared_error"}
    max_grad_norm : float or None, default=None
        Euclidean norm to which a longer gradient is shortened.
    max_iter : int, default=200
        Epochs; for L-BFGS iterations.
    tol, n_iter_no_change : float and int
        See `Stopping`. For L-BFGS, tol is the largest component of the gradient at which it ends.
    keep_best : bool, default=True
        Watch the validation rows, and keep the weights of the best epoch; without validation rows,
        no effect.
    generators : sequence of torch.Generator, default=()
        On the network's device, one for each network: the source of dropout masks.
    observers : sequence of callables, default=()
        Called after each epoch, in this order, with its Progress, the network's weights those that
        would be kept; one may ``stop()`` it.
    state : dict or None, default=None
        Of the `Progress` of the same training, to go on from.
    n_threads : int or None, default=None
        Of the processor. None is one where the work is small, else what torch is set to.

    Returns
    -------
    TrainingResult

    Raises
    ------
    ValueError
        If the cost is not finite.
    """
    keep_best = keep_best and validation is not None
    if isinstance(optimizer, LBFGS) and not keep_best:
        n_iter_no_change = math.inf  # its own criterion, the gradient, is the better one
    stopping = Stopping(
        network.n_networks or 1, tol=tol, n_iter_no_change=n_iter_no_change, keep_best=keep_best
    )
    drawn_from = [*batches.generators, *generators]
    n_steps, watches = len(batches.slabs), validation is not None
    progress = Progress(network, optimizer, stopping, drawn_from, max_iter, n_steps, watches)
    average = optimizer if isinstance(optimizer, WeightAverage) else None
    end_epoch = _EpochEnd(progress, validation, loss, score, observers, average)
    objective = Objective(network, loss, generators, max_grad_norm)
    # Of a stack, threads can take whole networks, so two of them count; but not all, since threads
    # meet at each product, and wait long for one another where the machine is busy.
    networks = min(network.n_networks or 1, 2)
    operations = 6 * network.n_parameters * networks * max(batches.sizes)
    converged = interrupted = False
    with torch.no_grad(), threads_for(operations, n_threads), flushed_denormals():
        if state is not None:
            progress.restore(state)
        try:
            if isinstance(optimizer, LBFGS):
                converged = _train_by_lbfgs(objective, batches, end_epoch, optimizer, max_iter, tol)
            else:
                rate = _scheduled(learning_rate, schedule, max_iter, network.theta.dtype)
                _train_by_steps(objective, batches, end_epoch, optimizer, rate)
        except KeyboardInterrupt:
            interrupted = True
        network.theta.copy_(progress.kept)
    return progress.result(converged | ~stopping.running, interrupted)


def _scheduled(learning_rate, schedule, max_iter, dtype):
    """Return the learning rate as a function of the epoch."""
    largest = torch.finfo(dtype).max
    factor = SCHEDULES[schedule] if isinstance(schedule, str) else partial(_factor, schedule)

    def rate(epoch):
        now = learning_rate * factor(epoch, max_iter)
        if not isinstance(now, torch.Tensor) and now > largest:
            raise ValueError(f"learning_rate must be a number that {dtype} can hold, got {now:g}.")
        return now

    return rate


def _factor(schedule, epoch, max_iter):
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


def _train_by_steps(objective, batches, end_epoch, optimizer, rate):
    n_steps, progress = len(batches.slabs), end_epoch.progress
    Z = objective.network.new_row(batches.n_rows)
    Z_steps = batches.split(Z)
    while not progress.is_last:
        epoch = batches.epoch()
        for step, (slabs, Z_slabs) in enumerate(zip(epoch.steps, Z_steps, strict=True)):
            objective.slabs, objective.Z = slabs, Z_slabs
            optimizer.step(objective, rate(progress.epoch + step / n_steps))
        end_epoch(cost(objective.loss, Z, epoch.y, epoch.share))


def _train_by_lbfgs(objective, batches, end_epoch, optimizer, max_iter, tol):
    (objective.slabs,) = batches.epoch().steps
    (objective.Z,) = batches.split(objective.network.new_row(batches.n_rows))

    def end_iteration():
        end_epoch(objective.cost())
        return end_epoch.progress.is_stopped

    return optimizer.minimize(objective, end_iteration, max_iter=max_iter, tol=tol)
