"""The networks of a stack that are still trained, in groups of which each has a thread.

Networks that have stopped leave the stack, so that nothing more is computed for them; the results
of the others do not depend on it. The last one is trained as a single network, without the axis of
the stack. Groups wait for each other at the end of an epoch; threads that share the examples of a
single network wait for each other in each step.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from skdnn.network import Network, cost, cost_sums
from skdnn.processes import SINGLE_PROCESS, SingleProcess

from ._config import TrainingConfig, option
from ._evaluation import Batches, MicroBatch, epoch_raw_predictions
from ._optimizer import Optimizer
from ._schedules import Rate
from ._threads import ThreadPool

# Operations of a step above which groups on two threads are faster than one. Below, the threads
# mostly wait for each other, since one thread at a time runs Python.
OPERATIONS_WORTH_GROUPS = 2e7
# The fewest examples of a step for each thread, since it also reads and writes all the weights.
EXAMPLES_PER_THREAD = 40


@dataclass
class TrainingGroup:
    """Some networks of a stack, or all, with everything that trains them.

    It is the objective that its optimizer minimises: the cost of the batch in `micro_batches`.

    Attributes
    ----------
    network : Network
    optimizer : Optimizer
        For the network.
    config : TrainingConfig
    batches : Batches
    validation : Batches or None
    generators : sequence of torch.Generator
        One for each network, from which its dropout masks are drawn.
    members : list of int
        The places of these networks in the whole stack.
    threads : ThreadPool
        They share the examples of a step: each thread has a twin of the network.
    processes : SingleProcess or Communicator
        They share the examples of a step as well.
    micro_batches : sequence of (X, y, weight)
        Those of the present step, as an Epoch has them.
    Z : sequence of tensors
        Where Z[L] for each micro-batch is written.
    """

    network: Network
    optimizer: Optimizer
    config: TrainingConfig
    batches: Batches
    validation: Batches | None
    generators: Sequence[torch.Generator]
    members: list[int]
    threads: ThreadPool
    processes: SingleProcess = SINGLE_PROCESS

    def __post_init__(self) -> None:
        n, theta = self.threads.n, self.network.theta
        self.loss, self.rate = self.config.loss, Rate(self.config, theta)
        self.max_norm = option(self.config.max_grad_norm, theta)
        self.batches_in_parts = self.batches.in_micro_batches(n)
        if self.validation is not None:
            self.validation = self.validation.in_micro_batches(n)
        self.twins = [self.network, *(self.network.twin() for _ in range(1, n))]
        self.twin_generators = [self.generators]
        if n > 1:
            self.twin_generators = [
                [torch.Generator(g.device) for g in self.generators] for _ in self.twins
            ]
        self.epoch_Z = self.network.new_output(self.batches.n_rows_in_memory)
        self.micro_batches: Sequence[MicroBatch] = ()
        self.Z: Sequence[Tensor] = ()

    def groups(self, is_active: np.ndarray, threads: ThreadPool) -> list["TrainingGroup"]:
        """Return the active networks in groups, one for each thread that pays off.

        Parameters
        ----------
        is_active : array of bool of shape (M,)
        threads : ThreadPool
        """
        members = [member for member in self.members if is_active[member]]
        operations = operations_per_step(self.network, self.batches)
        operations *= len(members) / len(self.members)
        n = min(len(members), threads.worth(operations, OPERATIONS_WORTH_GROUPS))
        if n > 1:
            one = replace(threads, n=1)
            return [self._part(part.tolist(), one) for part in np.array_split(members, n)]
        n = threads.worth(operations)
        if not threads.is_requested:
            n = max(1, min(n, int(self.batches.rows_per_step / EXAMPLES_PER_THREAD)))
        sharing = replace(threads, n=n)
        if len(members) < len(self.members):
            return [self._part(members, sharing)]
        return [self if n == self.threads.n else replace(self, threads=sharing)]

    def _part(self, members: list[int], threads: ThreadPool) -> "TrainingGroup":
        chosen = members if len(members) > 1 else members[0]
        network = self.network.part(chosen)
        return TrainingGroup(
            network,
            self.optimizer.part(network, chosen),
            self.config.part(chosen),
            self.batches.part(chosen),
            None if self.validation is None else self.validation.part(chosen),
            [self.generators[member] for member in members] if self.generators else (),
            members,
            threads,
            self.processes,
        )

    def train(self, epoch: int) -> Tensor:
        """Train for an epoch, and return the cost of its rows, of shape (...).

        Parameters
        ----------
        epoch : int
            Epochs trained before.
        """
        step, n_steps = 0, self.batches_in_parts.n_steps
        sums = self.network.theta.new_zeros((2, *self.network.theta.shape[:-1]))
        for rows in self.batches_in_parts.parts():
            predictions = self.epoch_Z[..., : rows.y.shape[-1]]
            for micro_batches, Z in zip(rows.steps, rows.split(predictions), strict=True):
                if self.threads.is_over.is_set():
                    break
                self.micro_batches, self.Z = micro_batches, Z
                self.optimizer.step(self, self.rate.at(epoch + step / n_steps))
                step += 1
            sums += cost_sums(self.loss, predictions, rows.y, rows.weight)
        self.processes.allreduce_(sums)
        return sums[0] / sums[1]

    def take_full_batch(self) -> None:
        """Make all training rows the batch of the objective."""
        rows = self.batches_in_parts.epoch()
        (self.micro_batches,), (self.Z,) = rows.steps, rows.split(self.epoch_Z)

    def compute_gradient(self) -> None:
        """Fill the network's gradient, summed over threads and processes and clipped."""
        n, gradient = min(len(self.twins), len(self.micro_batches)), self.network.gradient
        if n == 0:
            gradient.zero_()  # all rows of this step are those of other processes
        elif n == 1:
            self._sum_gradients(self.network, self.generators, self.micro_batches, self.Z)
        else:
            if self.network.drops:
                # So that the masks do not depend on which thread comes first.
                for generators in self.twin_generators:
                    for twin, g in zip(generators, self.generators, strict=True):
                        seed = torch.randint(2**62, (), generator=g, device=g.device)
                        twin.manual_seed(int(seed))
            work = [self.micro_batches[k::n] for k in range(n)], [self.Z[k::n] for k in range(n)]
            self.threads.map(self._sum_gradients, self.twins[:n], self.twin_generators[:n], *work)
            for twin_network in self.twins[1:n]:
                gradient.add_(twin_network.gradient)
        self.processes.allreduce_(gradient)
        if self.max_norm is not None:
            norm = gradient.norm(dim=-1, keepdim=True)
            # An infinite max_norm allows an infinite norm: inf / inf is 1 here.
            gradient.mul_((self.max_norm / norm).nan_to_num_(nan=1.0).clamp_(max=1))

    def _sum_gradients(
        self,
        network: Network,
        generators: Sequence[torch.Generator],
        micro_batches: Sequence[MicroBatch],
        Z_of_each: Sequence[Tensor],
    ) -> None:
        """Fill a network's gradient with the sum over some micro-batches."""
        total = None
        for (X, y, weight), Z in zip(micro_batches, Z_of_each, strict=True):
            network.propagate(X(), y, weight, self.loss, generators, out=Z)
            if len(micro_batches) > 1:
                total = network.gradient.clone() if total is None else total.add_(network.gradient)
        if total is not None:
            network.gradient.copy_(total)

    def cost(self) -> Tensor:
        """Return the cost at the last `compute_gradient`, of shape (...)."""
        sums = self.network.theta.new_zeros((2, *self.network.theta.shape[:-1]))
        if self.micro_batches:
            _, ys, weights = zip(*self.micro_batches, strict=True)
            y, weight, Z = (torch.cat(list(parts), dim=-1) for parts in (ys, weights, self.Z))
            sums = cost_sums(self.loss, Z, y, weight)
        self.processes.allreduce_(sums)
        return sums[0] / sums[1]

    def evaluate(self) -> tuple[Tensor, Tensor]:
        """Return the cost and the score on the validation set, both weighted, of shape (...)."""
        epoch = self.validation.epoch()  # type: ignore[union-attr]  # called if there is one
        here = epoch_raw_predictions(self.network, epoch, self.threads), epoch.y, epoch.weight
        Z, y, weight = map(self.processes.allgather_concat, here)
        return cost(self.loss, Z, y, weight), self.network.output.score(Z, y, weight)


def operations_per_step(network: Network, batches: Batches) -> float:
    """Return the floating point operations of the products of a step, counted as of 32 bits."""
    n_networks, width = network.n_networks or 1, network.theta.element_size() / 4
    n_rows: float = batches.rows_per_step
    return 6 * width * n_networks * network.n_parameters * n_rows
