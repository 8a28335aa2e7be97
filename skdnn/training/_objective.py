"""The cost of a step's batch as a function of the network's theta, with its gradient."""

from itertools import islice

import torch

from skdnn.network import cost, cost_sums
from skdnn.processes import SINGLE_PROCESS

from ._threads import ThreadPool


class Objective:
    """The cost and the gradient of the batch in `slabs`.

    A gradient is a sum over examples, so each thread takes slabs of its own, on a twin of the
    network, and each process of a group those that it has.

    Parameters
    ----------
    network : Network
    loss : Loss
    generators : sequence of torch.Generator, default=()
        One for each network: the source of its dropout masks.
    max_norm : float, tensor of shape (M, 1) or None, default=None
        To which the gradient of one network is shortened.
    threads : Workers or None, default=None
    n_twins : int, default=1
        How many of the workers to give work to.
    processes : SingleProcess or Communicator, default=SINGLE_PROCESS
        Who sums the gradients of all processes.

    Attributes
    ----------
    micro_batches : sequence of (X, y, share)
        As an Epoch has them.
    Z : sequence of tensors
        Where the answers Z[L] for each slab go.
    """

    def __init__(
        self,
        network,
        loss,
        generators=(),
        *,
        max_norm=None,
        threads=None,
        n_twins=1,
        processes=SINGLE_PROCESS,
    ):
        self.network, self.loss, self.max_norm, self.processes = network, loss, max_norm, processes
        self.threads = threads or ThreadPool()
        self.twins = [network, *(network.twin() for _ in range(1, n_twins))]
        self.generators = generators
        self.drawing = [generators]
        if n_twins > 1:
            self.drawing = [
                [torch.Generator(generator.device) for generator in generators] for _ in self.twins
            ]
        self.micro_batches = self.Z = ()

    def compute_gradient(self):
        """Fill the network's gradient; what is too long is cut."""
        n, gradient = min(len(self.twins), len(self.micro_batches)), self.network.gradient
        if n == 0:
            gradient.zero_()  # all rows of this step are those of other processes
        elif n == 1:
            self._add_up(self.network, self.generators, self.micro_batches, self.Z)
        else:
            if self.network.drops:
                self._seed_the_drawing()
            weights = [self.micro_batches[k::n] for k in range(n)], [self.Z[k::n] for k in range(n)]
            self.threads.map(self._add_up, self.twins[:n], self.drawing[:n], *weights)
            for twin in self.twins[1:n]:
                gradient.add_(twin.gradient)
        self.processes.allreduce_(gradient)
        if self.max_norm is not None:
            norm = gradient.norm(dim=-1, keepdim=True)
            # Where any length is allowed, so is one that is infinite: inf / inf is 1 here.
            gradient.mul_((self.max_norm / norm).nan_to_num_(nan=1.0).clamp_(max=1))

    def cost(self):
        """Return the cost of the answers of the last `compute_gradient`, of shape (...)."""
        sums = self.network.theta.new_zeros((2, *self.network.theta.shape[:-1]))
        if self.micro_batches:
            parts = list(zip(*self.micro_batches, strict=True))[1:]
            y, weight = (torch.cat(part, dim=-1) for part in parts)
            sums = cost_sums(self.loss, torch.cat(list(self.Z), dim=-1), y, weight)
        losses, total = self.processes.allreduce(sums)
        return losses / total

    def _add_up(self, network, generators, micro_batches, Z_micro_batches):
        """Fill a network's gradient with the sum of those of some slabs."""
        total = None
        for (X, y, weight), Z in zip(micro_batches, Z_micro_batches, strict=True):
            network.propagate(X(), y, weight, self.loss, generators, out=Z)
            if len(micro_batches) > 1:
                total = network.gradient.clone() if total is None else total.add_(network.gradient)
        if total is not None:
            network.gradient.copy_(total)

    def _seed_the_drawing(self):
        """Let threads draw masks on their own, yet the same ones whichever comes first."""
        for drawing in self.drawing:
            for twin, generator in zip(drawing, self.generators, strict=True):
                seed = torch.randint(2**62, (), generator=generator, device=generator.device)
                twin.manual_seed(seed.item())


def epoch_raw_predictions(network, epoch, threads=None):
    """Return Z[L] of a network for the examples of an Epoch, of shape (..., n^[L], m).

    Parameters
    ----------
    network : Network
    epoch : Epoch
    threads : Workers or None, default=None
        To share the slabs, of which each has one at a time.
    """
    threads, micro_batches = threads or ThreadPool(), iter(epoch.micro_batches)
    predictions = [] if epoch.y.shape[-1] else [network.new_output(0)]
    while at_once := [X for X, _, _ in islice(micro_batches, threads.n)]:
        predictions += threads.map(lambda X: network.raw_predict(X()), at_once)
    return predictions[0] if len(predictions) == 1 else torch.cat(predictions, dim=-1)


def evaluate(network, batches, loss, threads=None, processes=SINGLE_PROCESS):
    """Return the cost and the score of a network on the rows of `batches`.

    Parameters
    ----------
    network : Network
    batches : Batches
        Its full batch, in order.
    loss : Loss
    threads : Workers or None, default=None
    processes : SingleProcess or Communicator, default=SINGLE_PROCESS
        Of the processes that have the other rows.

    Returns
    -------
    cost, score : tensors of shape (...)
        Both weighted; the score is that of the network's output unit.
    """
    epoch = batches.epoch()
    here = epoch_raw_predictions(network, epoch, threads), epoch.y, epoch.weight
    Z, y, weight = map(processes.allgather_concat, here)
    return cost(loss, Z, y, weight), network.output.score(Z, y, weight)
