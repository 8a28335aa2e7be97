"""Outputs, cost and score of a network on the rows of a data set."""

from collections.abc import Callable
from itertools import islice
from typing import Any, TypeAlias

import torch
from torch import Tensor

from skdnn.network import Loss, Network, cost
from skdnn.processes import SINGLE_PROCESS, SingleProcess

from ._threads import ThreadPool

# Of skdnn.data.batches, which this package does not import.
Batches: TypeAlias = Any
Epoch: TypeAlias = Any
MicroBatch: TypeAlias = tuple[Callable[[], Tensor], Tensor, Tensor]  # X, y, weight
# SingleProcess of skdnn.processes or Communicator of skdnn.distributed.


def epoch_raw_predictions(
    network: Network, epoch: Epoch, threads: ThreadPool | None = None
) -> Tensor:
    """Return Z[L] of a network for the examples of an Epoch, of shape (..., n^[L], m).

    Parameters
    ----------
    network : Network
    epoch : Epoch
    threads : ThreadPool or None, default=None
        Each thread computes one micro-batch at a time.
    """
    threads, micro_batches = threads or ThreadPool(), iter(epoch.micro_batches)
    predictions = [] if epoch.y.shape[-1] else [network.new_output(0)]
    while at_once := [X for X, _, _ in islice(micro_batches, threads.n)]:
        predictions += threads.map(lambda X: network.raw_predict(X()), at_once)
    return predictions[0] if len(predictions) == 1 else torch.cat(predictions, dim=-1)


def evaluate(
    network: Network,
    batches: Batches,
    loss: Loss,
    threads: ThreadPool | None = None,
    processes: SingleProcess = SINGLE_PROCESS,
) -> tuple[Tensor, Tensor]:
    """Return the cost and the score of a network on the rows of `batches`.

    Parameters
    ----------
    network : Network
    batches : Batches
        One full batch, in order.
    loss : Loss
    threads : ThreadPool or None, default=None
    processes : SingleProcess or Communicator, default=SINGLE_PROCESS
        The processes that hold the other rows.

    Returns
    -------
    cost, score : tensors of shape (...)
        Both weighted; the score is that of the network's output unit.
    """
    epoch = batches.epoch()
    here = epoch_raw_predictions(network, epoch, threads), epoch.y, epoch.weight
    Z, y, weight = map(processes.allgather_concat, here)
    return cost(loss, Z, y, weight), network.output.score(Z, y, weight)
