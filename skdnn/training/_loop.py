"""The loop over epochs and steps."""

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from skdnn.network import Network
from skdnn.processes import SINGLE_PROCESS, SingleProcess

from ._config import TrainingConfig
from ._early_stopping import EarlyStopping
from ._evaluation import Batches
from ._optimizer import Objective, Optimizer
from ._progress import Progress
from ._result import TrainingResult
from ._threads import OPERATIONS_WORTH_THREADS, ThreadPool, flushed_denormals, threads_for
from ._training_group import OPERATIONS_WORTH_GROUPS, TrainingGroup, operations_per_step

Score: TypeAlias = Callable[[Network, list[int]], np.ndarray]


def train(
    network: Network,
    batches: Batches,
    optimizer: Optimizer,
    config: TrainingConfig,
    *,
    validation: Batches | None = None,
    score: Score | None = None,
    criterion: Score | None = None,
    generators: Sequence[torch.Generator] = (),
    observers: Sequence[Callable[[Progress], Any]] = (),
    on_start: Callable[[Progress], Any] | None = None,
    processes: SingleProcess = SINGLE_PROCESS,
) -> TrainingResult:
    """Train a network, or a stack of networks, from its present weights.

    Parameters
    ----------
    network : Network
        Its theta ends as the weights of the best or last epoch.
    batches : Batches
    optimizer : Optimizer
        Made by `make_optimizer` for the same network and config.
    config : TrainingConfig
    validation : Batches or None, default=None
        The validation set, evaluated after each epoch.
    score : callable or None, default=None
        From the network and a list of its members to an array with a number for each; higher is
        better. Used for early stopping in place of the validation cost, and recorded in place of
        the score of the network's output unit.
    criterion : callable or None, default=None
        As `score`, but lower is better: by what the weights to keep are chosen, in place of the
        validation cost.
    generators : sequence of torch.Generator, default=()
        One for each network, on its device, from which its dropout masks are drawn.
    observers : sequence of callables, default=()
        Called after each epoch, in this order, with the Progress. Meanwhile the network has the
        weights that would be kept. An observer may call ``stop()`` of the Progress.
    on_start : callable or None, default=None
        Called before the first epoch with the Progress, to which it may `restore` a state of the
        same training. `max_iter` may differ.
    processes : SingleProcess or Communicator, default=SINGLE_PROCESS
        The processes that hold the other rows: gradients are summed over them, and all end with the
        same weights.

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
    keep_best = config.keep_best and validation is not None
    members = list(range(network.n_networks or 1))
    tol, n_iter_no_change, max_iter, first_kept = (
        np.array(setting) if isinstance(setting, tuple) else setting
        for setting in (config.tol, config.n_iter_no_change, config.max_iter, config.first_kept)
    )
    if optimizer.has_criterion and not keep_best:
        n_iter_no_change = math.inf
    stopping = EarlyStopping(
        len(members),
        tol=tol,
        n_iter_no_change=n_iter_no_change,
        keep_best=keep_best,
        max_iter=max_iter,
        first_kept=first_kept if keep_best else 1,
    )
    progress = Progress(
        network,
        optimizer,
        stopping,
        [*batches.generators, *generators],
        int(np.max(max_iter)),
        batches.n_steps,
        validation is not None,
        config.drop_diverged,
    )
    operations = operations_per_step(network, batches)
    least = OPERATIONS_WORTH_THREADS if network.n_networks is None else OPERATIONS_WORTH_GROUPS
    n_threads = config.n_threads if network.theta.is_cpu else 1
    with torch.no_grad(), flushed_denormals(), threads_for(operations, n_threads, least) as threads:
        one = replace(threads, n=1)
        whole = TrainingGroup(
            network, optimizer, config, batches, validation, generators, members, one, processes
        )
        if on_start is not None:
            on_start(progress)
        try:
            loop = TrainingLoop(progress, config, whole, threads, score, criterion, observers)
            ending = optimizer.run(loop)
        except KeyboardInterrupt:
            if processes.size > 1:
                raise  # the other processes have not been interrupted
            ending = "interrupted"
        if processes.size > 1:
            progress.kept.copy_(processes.broadcast(progress.kept.cpu()))
        network.theta.copy_(progress.kept)
    return progress.result(ending)


@dataclass
class TrainingLoop:
    """The epochs of a training, which its optimizer runs.

    Attributes
    ----------
    progress : Progress
    config : TrainingConfig
    whole : TrainingGroup
        The whole stack, which gets the weights of the groups.
    threads : ThreadPool
    score, criterion, observers : see `train`
    is_active : array of bool of shape (M,)
        The networks that are trained in this epoch.
    groups : list of TrainingGroup
        These networks.
    """

    progress: Progress
    config: TrainingConfig
    whole: TrainingGroup
    threads: ThreadPool
    score: Score | None
    criterion: Score | None
    observers: Sequence[Callable[[Progress], Any]]
    is_active: np.ndarray = field(default_factory=lambda: np.array([]))
    groups: list[TrainingGroup] = field(default_factory=list)

    def is_over(self) -> bool:
        """Return whether there is no network left to train."""
        return self.progress.is_last

    def train_epoch(self) -> None:
        """Train the networks that have not stopped for an epoch of steps."""
        epoch = self.progress.epoch
        is_active = self.progress.stopping.is_active(epoch + 1)
        if not np.array_equal(self.is_active, is_active):
            self.is_active, self.groups = is_active, self.whole.groups(is_active, self.threads)
        self.end_epoch(self.threads.map(partial(TrainingGroup.train, epoch=epoch), self.groups))

    def full_batch(self) -> Objective:
        """Return the cost of all training rows, for an optimizer that does not train by steps."""
        (group,) = self.groups = self.whole.groups(np.array([True]), self.threads)
        group.take_full_batch()
        return group

    def end_epoch(self, costs: list[Tensor]) -> None:
        """Evaluate the networks that were trained, record the epoch and call the observers.

        Parameters
        ----------
        costs : list of tensors
            The training cost of the networks of each group.
        """
        progress, whole, groups = self.progress, self.whole, self.groups
        with ExitStack() as stack:
            for group in groups:
                stack.enter_context(group.optimizer.evaluated_weights())
                if group.network is not whole.network:
                    whole.network.theta[group.members] = group.network.theta
                    whole.optimizer.merge(group.optimizer, group.members)
            progress.check_weights()
            members = [member for group in groups for member in group.members]
            measured: list[Sequence[Any]] = [costs]
            if whole.validation is not None:
                measured += zip(*self.threads.map(TrainingGroup.evaluate, groups), strict=True)
                if self.score is not None:
                    measured[-1] = [self.score(whole.network, members)]
            of_all = np.full((len(measured), len(progress.stopping.running)), np.nan)
            for row, parts in zip(of_all, measured, strict=True):
                arrays = [torch.as_tensor(part, device="cpu").double().numpy() for part in parts]
                row[members] = np.concatenate([array.reshape(-1) for array in arrays])
            # Rounding may differ between processes, their decisions must not.
            of_all = whole.processes.broadcast(of_all)
            criteria = None
            if self.criterion is not None:
                criteria = np.full(len(progress.stopping.running), np.nan)
                criteria[members] = self.criterion(whole.network, members)
            progress.add(*of_all, by_score=self.score is not None, criteria=criteria)
            for observe in self.observers:
                observe(progress)
            progress.stopping.running = whole.processes.broadcast(progress.stopping.running)
