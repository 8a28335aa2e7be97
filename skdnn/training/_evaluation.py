"""Outputs of a network for the rows of a data set."""

from collections.abc import Callable
from itertools import islice
from typing import Any, TypeAlias

import torch
from torch import Tensor

from skdnn.network import Network

from ._threads import ThreadPool

# Of skdnn.data.batches, which this package does not import.
Batches: TypeAlias = Any
Epoch: TypeAlias = Any
MicroBatch: TypeAlias = tuple[Callable[[], Tensor], Tensor, Tensor]  # X, y, weight


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
