"""The loop over epochs and steps, the same for all optimizers but L-BFGS."""

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from skdnn.network import LOSSES, Loss, Network
from skdnn.processes import SINGLE_PROCESS, SingleProcess

from ._averaging import WeightAverage
from ._early_stopping import EarlyStopping, Numbers
from ._evaluation import Batches, evaluate
from ._lbfgs import LBFGS
from ._optimizer import Optimizer, Option
from ._progress import Progress
from ._result import TrainingResult
from ._schedules import Rate, Schedule
from ._threads import OPERATIONS_WORTH_THREADS, ThreadPool, flushed_denormals, threads_for
from ._training_group import OPERATIONS_WORTH_GROUPS, TrainingGroup, operations_per_step

Score: TypeAlias = Callable[[Network, list[int]], np.ndarray]


def train(
    network: Network,
    batches: Batches,
    optimizer: Optimizer,
    *,
    validation: Batches | None = None,
    score: Score | None = None,
    learning_rate: Option = 1e-3,
    schedule: Schedule | list[Schedule] = "constant",
    loss: Loss = LOSSES["log_loss"],
    max_grad_norm: Option | None = None,
    max_iter: Numbers = 200,
    tol: Numbers = 1e-4,
    n_iter_no_change: Numbers = 10,
    keep_best: bool = True,
    generators: Sequence[torch.Generator] = (),
    observers: Sequence[Callable[[Progress], Any]] = (),
    on_start: Callable[[Progress], Any] | None = None,
    n_threads: int | None = None,
    processes: SingleProcess = SINGLE_PROCESS,
    drop_diverged: bool = False,
) -> TrainingResult:
    """Train a network, or a stack of networks, from its present weights.

    Parameters
    ----------
    network : Network
        Its theta ends as the weights of the best or last epoch.
    batches : Batches
    optimizer : Optimizer
        Made by `make_optimizer` for the same network.
    validation : Batches or None, default=None
        The validation set, evaluated after each epoch.
    score : callable or None, default=None
        From the network and a list of its members to an array with a number for each; higher is
        better. Used for early stopping in place of the validation cost, and recorded in place of
        the score of the network's output unit.
    learning_rate : float or tensor of shape (M, 1), default=1e-3
        A tensor if schedules or `max_iter` differ between networks.
    schedule : str, callable or a list with one for each network, default="constant"
        A key of ``SCHEDULES``, or a function of (epoch, max_iter) that returns a factor.
    loss : Loss, default=LOSSES["log_loss"]
    max_grad_norm : float, tensor of shape (M, 1) or None, default=None
        Longer gradients are shortened to this Euclidean norm.
    max_iter : int or array of int of shape (M,), default=200
        Epochs; for L-BFGS iterations.
    tol, n_iter_no_change : float and int, or arrays of shape (M,)
        See `EarlyStopping`. L-BFGS also stops when no component of the gradient is larger than tol.
    keep_best : bool, default=True
        Stop early by the validation set and keep the weights of the best epoch; no effect without a
        validation set.
    generators : sequence of torch.Generator, default=()
        One for each network, on its device, from which its dropout masks are drawn.
    observers : sequence of callables, default=()
        Called after each epoch, in this order, with the Progress. Meanwhile the network has the
        weights that would be kept. An observer may call ``stop()`` of the Progress.
    on_start : callable or None, default=None
        Called before the first epoch with the Progress, to which it may `restore` a state of the
        same training. `max_iter` may differ.
    n_threads : int or None, default=None
        Threads of the CPU. None: one if the work is small, else as many as torch is set to.
    processes : SingleProcess or Communicator, default=SINGLE_PROCESS
        The processes that hold the other rows: gradients are summed over them, and all end with the
        same weights.
    drop_diverged : bool, default=False
        Remove a network that diverges from the stack, instead of raising an error.

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
        n_iter_no_change = math.inf  # the gradient is the better criterion
    members = list(range(network.n_networks or 1))
    stopping = EarlyStopping(
        len(members),
        tol=tol,
        n_iter_no_change=n_iter_no_change,
        keep_best=keep_best,
        max_iter=max_iter,
    )
    progress = Progress(
        network,
        optimizer,
        stopping,
        [*batches.generators, *generators],
        int(np.max(max_iter)),
        batches.n_steps,
        validation is not None,
        drop_diverged,
    )
    rate = Rate(learning_rate, schedule, max_iter, network.theta.dtype)
    operations = operations_per_step(network, batches)
    least = OPERATIONS_WORTH_THREADS if network.n_networks is None else OPERATIONS_WORTH_GROUPS
    n_threads = n_threads if network.theta.is_cpu else 1
    ending, trained = "max_iter", np.array([])
    with torch.no_grad(), flushed_denormals(), threads_for(operations, n_threads, least) as threads:
        whole = TrainingGroup(
            network, optimizer, batches, validation, generators, rate, loss,
            max_grad_norm, members, replace(threads, n=1), processes,
        )  # fmt: skip
        if on_start is not None:
            on_start(progress)
        end_epoch = partial(_end_epoch, progress, whole, threads, score, observers)
        try:
            if isinstance(optimizer, LBFGS):
                (group,) = whole.groups(stopping.running, threads)
                ending = _train_by_lbfgs(optimizer, group, progress, end_epoch, float(tol))
            else:
                while (active := stopping.is_active(progress.epoch + 1)).any():
                    if not np.array_equal(trained, active):
                        trained, groups = active, whole.groups(active, threads)
                    train_epoch = partial(TrainingGroup.train, epoch=progress.epoch)
                    end_epoch(groups, threads.map(train_epoch, groups))
        except KeyboardInterrupt:
            if processes.size > 1:
                raise  # the other processes have not been interrupted
            ending = "interrupted"
        processes.broadcast_(progress.kept)
        network.theta.copy_(progress.kept)
    return progress.result(ending)


def _train_by_lbfgs(
    optimizer: LBFGS,
    group: TrainingGroup,
    progress: Progress,
    end_epoch: Callable[[list[TrainingGroup], list[Tensor]], None],
    tol: float,
) -> str:
    """Train by L-BFGS, and return why it ended."""
    rows = group.batches_in_parts.epoch()
    (group.micro_batches,), (group.Z,) = rows.steps, rows.split(group.epoch_Z)

    def end_iteration() -> bool:
        end_epoch([group], [group.cost()])
        return not progress.stopping.running.any()

    return optimizer.minimize(group, end_iteration, max_iter=progress.max_iter, tol=tol)


def _end_epoch(
    progress: Progress,
    whole: TrainingGroup,
    threads: ThreadPool,
    score: Score | None,
    observers: Sequence[Callable[[Progress], Any]],
    groups: list[TrainingGroup],
    costs: list[Tensor],
) -> None:
    """Evaluate the groups that were trained, update `progress` and call the observers.

    Parameters
    ----------
    progress : Progress
    whole : TrainingGroup
        The whole stack, which gets the weights of the groups.
    threads : ThreadPool
    score, observers : see `train`
    groups : list of TrainingGroup
    costs : list of tensors
        The training cost of the networks of each group.
    """
    with ExitStack() as stack:
        for group in groups:
            if isinstance(group.optimizer, WeightAverage):
                stack.enter_context(group.optimizer.in_place())
            if group.network is not whole.network:
                whole.network.theta[group.members] = group.network.theta
                whole.optimizer.merge(group.optimizer, group.members)
        progress.check_weights()
        members = [member for group in groups for member in group.members]
        measured: list[Sequence[Any]] = [costs]
        if whole.validation is not None:
            pairs = threads.map(
                lambda g: evaluate(g.network, g.validation, g.loss, g.threads, g.processes), groups
            )
            measured += zip(*pairs, strict=True)
            if score is not None:
                measured[-1] = [score(whole.network, members)]
        of_all = np.full((len(measured), len(progress.stopping.running)), np.nan)
        for row, parts in zip(of_all, measured, strict=True):
            arrays = [torch.as_tensor(part, device="cpu").double().numpy() for part in parts]
            row[members] = np.concatenate([array.reshape(-1) for array in arrays])
        # Rounding may differ between processes, their decisions must not.
        of_all = whole.processes.broadcast(of_all)
        progress.add(*of_all, by_score=score is not None)
        for observe in observers:
            observe(progress)
        progress.stopping.running = whole.processes.broadcast(progress.stopping.running)
