"""The loop over epochs and steps: the only one in the house."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from skdnn.network import cost

from ._lbfgs import LBFGS
from ._processor import flushed_denormals, threads_for
from ._result import TrainingResult
from ._schedules import SCHEDULES
from ._stopping import Stopping


@dataclass
class Objective:
    """The cost of one step's batch as a function of the network's theta, with its gradient."""

    network: object
    loss: str
    generators: list
    slabs: list = ()
    Z: list = ()  # a buffer for the logits of each slab

    def compute_gradient(self):
        """Fill the network's gradient; slabs add up."""
        network, total = self.network, None
        for (X, y, share), Z in zip(self.slabs, self.Z, strict=True):
            Z.copy_(network.propagate(X, y, share, self.loss, self.generators))
            if len(self.slabs) > 1:
                total = network.gradient.clone() if total is None else total.add_(network.gradient)
        if total is not None:
            network.gradient.copy_(total)

    def cost(self):
        """Return the cost of the logits of the last `compute_gradient`, of shape (...)."""
        y, share = (torch.cat(parts, dim=-2) for parts in list(zip(*self.slabs, strict=True))[1:])
        return cost(self.loss, torch.cat(list(self.Z), dim=-2), y, share)


class _Watch:
    """What happens at the end of an epoch: curves grow, weights are kept, the end is decided."""

    def __init__(self, network, validation, loss, stopping, on_epoch):
        self.network, self.validation, self.loss = network, validation, loss
        self.stopping, self.on_epoch = stopping, on_epoch
        self.kept = network.theta.clone()
        self.costs, self.validation_costs, self.accuracies = [], [], []
        self.interrupted = False

    def end_epoch(self, training_cost):
        """Take the cost of the training rows, of shape (...), and say whether all is done."""
        epoch = len(self.costs) + 1
        watched = self._numbers(training_cost, epoch)
        self.costs.append(watched)
        if self.validation is not None:
            validation_cost, accuracy = evaluate(self.network, self.validation, self.loss)
            self.validation_costs.append(self._numbers(validation_cost, epoch))
            self.accuracies.append(np.atleast_1d(accuracy.double().cpu().numpy()))
            watched = self.validation_costs[-1] if self.stopping.keep_best else watched
        self._keep(self.stopping.update(epoch, watched))
        if self.on_epoch is not None:
            self.on_epoch(epoch, self.costs[-1], self.validation_costs[-1:])
        return not self.stopping.running.any()

    def result(self, converged):
        """Return the TrainingResult, the kept weights back in the network."""
        self.network.theta.copy_(self.kept)
        has_validation = self.validation is not None
        return TrainingResult(
            theta=self.kept,
            n_iter=self.stopping.n_iter,
            best_iter=self.stopping.best_iter,
            best_cost=self.stopping.best,
            cost_curve=self._curve(self.costs),
            validation_cost_curve=self._curve(self.validation_costs) if has_validation else None,
            validation_accuracy_curve=self._curve(self.accuracies) if has_validation else None,
            converged=converged,
            interrupted=self.interrupted,
        )

    def _curve(self, numbers):
        n_iter = self.stopping.n_iter  # an interruption may have left part of one more epoch
        return np.reshape(numbers[: n_iter.max()], (-1, len(n_iter)))

    def _numbers(self, costs, epoch):
        numbers = np.atleast_1d(costs.double().cpu().numpy())
        diverged = ~np.isfinite(numbers) & self.stopping.running
        if diverged.any():
            raise ValueError(
                f"The cost became {numbers[diverged][0]} in epoch {epoch}: the training diverged. "
                "Try a smaller learning_rate, or standardize=True where the features are large."
            )
        return numbers

    def _keep(self, mask):
        mask = torch.from_numpy(mask).to(self.kept.device)
        if self.kept.ndim == 2:
            mask = mask.unsqueeze(-1)
        torch.where(mask, self.network.theta, self.kept, out=self.kept)


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
    Z = torch.cat([network.logits(X) for slabs in epoch.steps for X, _, _ in slabs], dim=-2)
    correct = ((Z > 0) == (epoch.y > 0)) * epoch.share
    return cost(loss, Z, epoch.y, epoch.share), correct.sum((-2, -1)) / epoch.share.sum((-2, -1))


def train(
    network,
    batches,
    optimizer,
    *,
    validation=None,
    learning_rate=1e-3,
    schedule="constant",
    loss="log_loss",
    max_iter=200,
    tol=1e-4,
    n_iter_no_change=10,
    keep_best=True,
    generators=(),
    on_epoch=None,
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
    learning_rate : float or tensor of shape (M, 1), default=1e-3
    schedule : str or callable, default="constant"
        A key of ``SCHEDULES``, or a function of (epoch, max_iter) that returns a factor.
    loss : {"log_loss", "squared_error"}
    max_iter : int, default=200
        Epochs; for L-BFGS iterations.
    tol, n_iter_no_change : float and int
        See `Stopping`. For L-BFGS, tol is the largest component of the gradient at which it ends.
    keep_best : bool, default=True
        Watch the cost of the validation rows, and keep the weights of its best epoch; without
        validation rows, no effect.
    generators : sequence of torch.Generator, default=()
        On the network's device, one for each network: the source of dropout masks.
    on_epoch : callable or None, default=None
        Called with (epoch, costs, validation costs in a list that may be empty).

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
    watch = _Watch(network, validation, loss, stopping, on_epoch)
    objective = Objective(network, loss, generators)
    operations = 6 * network.theta.numel() * max(batches.sizes)
    with torch.no_grad(), threads_for(operations), flushed_denormals():
        try:
            if isinstance(optimizer, LBFGS):
                converged = _train_by_lbfgs(objective, batches, watch, optimizer, max_iter, tol)
            else:
                rate = _scheduled(learning_rate, schedule, max_iter)
                _train_by_steps(objective, batches, watch, optimizer, rate, max_iter)
                converged = ~stopping.running
        except KeyboardInterrupt:
            watch.interrupted, converged = True, ~stopping.running
    return watch.result(np.atleast_1d(converged))


def _scheduled(learning_rate, schedule, max_iter):
    factor = SCHEDULES[schedule] if isinstance(schedule, str) else schedule
    return lambda epoch: learning_rate * factor(epoch, max_iter)


def _train_by_steps(objective, batches, watch, optimizer, rate, max_iter):
    n_steps = len(batches.slabs)
    Z = objective.network.new_column(batches.n_rows)
    Z_steps = batches.split(Z)
    for epoch_number in range(max_iter):
        epoch = batches.epoch()
        for step, (slabs, Z_slabs) in enumerate(zip(epoch.steps, Z_steps, strict=True)):
            objective.slabs, objective.Z = slabs, Z_slabs
            optimizer.step(objective, rate(epoch_number + step / n_steps))
        if watch.end_epoch(cost(objective.loss, Z, epoch.y, epoch.share)):
            return


def _train_by_lbfgs(objective, batches, watch, optimizer, max_iter, tol):
    (objective.slabs,) = batches.epoch().steps
    (objective.Z,) = batches.split(objective.network.new_column(batches.n_rows))
    return optimizer.minimize(
        objective, lambda: watch.end_epoch(objective.cost()), max_iter=max_iter, tol=tol
    )
