"""The loop over epochs and steps, the only one for all optimizers but L-BFGS."""

import math
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from skdnn.network import LOSSES
from skdnn.processes import SINGLE_PROCESS

from ._averaging import WeightAverage
from ._early_stopping import EarlyStopping
from ._lbfgs import LBFGS
from ._progress import Progress
from ._schedules import Rate
from ._threads import OPERATIONS_WORTH_THREADS, ThreadPool, flushed_denormals, threads_for
from ._training_group import OPERATIONS_WORTH_GROUPS, TrainingGroup, operations_of_a_step


@dataclass
class _EpochEnd:
    """What happens after an epoch: measure, keep the best, let observers look."""

    progress: Progress
    whole: TrainingGroup
    threads: ThreadPool
    score: object
    observers: list
    processes: object

    def __call__(self, groups, costs):
        """Take the groups that were trained, and for each the costs of its training rows."""
        progress = self.progress
        with ExitStack() as stack:
            for group in groups:
                if isinstance(group.optimizer, WeightAverage):
                    stack.enter_context(group.optimizer.in_place())
                group.report_to(self.whole)
            progress.check_weights()
            members = [member for group in groups for member in group.members]
            measured = [costs, *self._measure(groups, members)]
            measured = [self._of_all(members, numbers) for numbers in measured]
            # Processors that round otherwise must not come to other decisions.
            progress.add(*self.processes.broadcast(measured), by_score=self.score is not None)
            for observe in self.observers:
                observe(progress)
            progress.stopping.running = self.processes.broadcast(progress.stopping.running)

    def _measure(self, groups, members):
        if self.whole.validation is None:
            return ()
        costs, scores = zip(*self.threads.map(TrainingGroup.evaluate, groups), strict=True)
        if self.score is not None:
            scores = [self.score(self.whole.network, members)]
        return costs, scores

    def _of_all(self, members, measured):
        """Return what was measured for the whole stack, NaN for networks that have stopped."""
        everyone = np.full(len(self.progress.stopping.running), np.nan)
        everyone[members] = np.concatenate([_numbers(part) for part in measured])
        return everyone


def _numbers(measured):
    return torch.as_tensor(measured, device="cpu").double().numpy().reshape(-1)


def train(
    network,
    batches,
    optimizer,
    *,
    validation=None,
    score=None,
    learning_rate=1e-3,
    schedule="constant",
    loss=LOSSES["log_loss"],
    max_grad_norm=None,
    max_iter=200,
    tol=1e-4,
    n_iter_no_change=10,
    keep_best=True,
    generators=(),
    observers=(),
    state=None,
    on_start=None,
    n_threads=None,
    processes=SINGLE_PROCESS,
    fails_apart=False,
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
        From the network and a list of its members to an array with a number for each, higher is
        better: watched instead of the cost of the validation rows, and recorded instead of
        the score of the network's output unit.
    learning_rate : float or tensor of shape (M, 1), default=1e-3
        A tensor, where schedules or `max_iter` differ.
    schedule : str, callable or a list with one for each network, default="constant"
        A key of ``SCHEDULES``, or a function of (epoch, max_iter) that returns a factor.
    loss : Loss, default=LOSSES["log_loss"]
    max_grad_norm : float, tensor of shape (M, 1) or None, default=None
        Euclidean norm to which a longer gradient is shortened.
    max_iter : int or array of int of shape (M,), default=200
        Epochs; for L-BFGS iterations.
    tol, n_iter_no_change : float and int, or arrays of shape (M,)
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
        Of the `Progress` of the same training, to resume it. `max_iter` may be another one.
    on_start : callable or None, default=None
        Called before the first epoch with the Progress, which a state has restored.
    n_threads : int or None, default=None
        Of the processor. None is one where the work is small, else what torch is set to.
    processes : SingleProcess or Communicator, default=SINGLE_PROCESS
        Of the processes that have the other rows: it sums their gradients, and all end with the
        same weights.
    fails_apart : bool, default=False
        Let a network of a stack that diverges leave the others.

    Returns
    -------
    TrainingResult

    Raises
    ------
    ValueError
        If the cost is not finite.
    KeyboardInterrupt
        If Ctrl-C ended the training of one of several processes.
    """
    keep_best = keep_best and validation is not None
    if isinstance(optimizer, LBFGS) and not keep_best:
        n_iter_no_change = math.inf  # its own criterion, the gradient, is the better one
    stopping = EarlyStopping(
        network.n_networks or 1,
        tol=tol,
        n_iter_no_change=n_iter_no_change,
        keep_best=keep_best,
        max_iter=max_iter,
    )
    rate = Rate(learning_rate, schedule, max_iter, network.theta.dtype)
    drawn_from = [*batches.generators, *generators]
    progress = Progress(
        network, optimizer, stopping, drawn_from, int(np.max(max_iter)), batches.n_steps,
        validation is not None, fails_apart,
    )  # fmt: skip
    operations = operations_of_a_step(network, batches)
    least = OPERATIONS_WORTH_THREADS if network.n_networks is None else OPERATIONS_WORTH_GROUPS
    n_threads = n_threads if network.theta.is_cpu else 1
    members = list(range(network.n_networks or 1))
    ending = "max_iter"
    with torch.no_grad(), flushed_denormals(), threads_for(operations, n_threads, least) as threads:
        whole = TrainingGroup(
            network, optimizer, batches, validation, generators, rate, loss,
            max_grad_norm, members, threads.some(1), processes,
        )  # fmt: skip
        if state is not None:
            progress.restore(state)
        if on_start is not None:
            on_start(progress)
        end_epoch = _EpochEnd(progress, whole, threads, score, observers, processes)
        try:
            if isinstance(optimizer, LBFGS):
                ending = _train_by_lbfgs(end_epoch, max_iter, tol)
            else:
                _train_by_steps(end_epoch)
        except KeyboardInterrupt:
            if processes.size > 1:
                raise  # the others know nothing of it
            ending = "interrupted"
        processes.broadcast_(progress.kept)
        network.theta.copy_(progress.kept)
    return progress.result(ending)


def _train_by_steps(end_epoch):
    progress, threads = end_epoch.progress, end_epoch.threads
    goes_on = groups = None
    while not progress.is_last:
        now = progress.stopping.is_active(progress.epoch + 1)
        if not np.array_equal(goes_on, now):
            goes_on, groups = now, end_epoch.whole.groups(now, threads)
        train_group = partial(TrainingGroup.train, epoch=progress.epoch)
        end_epoch(groups, threads.map(train_group, groups))


def _train_by_lbfgs(end_epoch, max_iter, tol):
    progress = end_epoch.progress
    (group,) = end_epoch.whole.groups(progress.stopping.running, end_epoch.threads)
    objective, rows = group.objective, group.in_parts.epoch()
    (objective.micro_batches,), (objective.Z,) = rows.steps, rows.split(group.Z)

    def end_iteration():
        end_epoch([group], [objective.cost()])
        return progress.is_stopped

    return group.optimizer.minimize(objective, end_iteration, max_iter=max_iter, tol=tol)
