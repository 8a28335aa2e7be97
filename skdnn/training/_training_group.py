"""The networks of a stack that are still trained, in groups, each on a thread of its own.

Those that have stopped leave, so that nothing more is computed for them; what the others reach does
not depend on who is beside them. The last one goes on as a network alone, without an axis of one.
Groups meet at the end of an epoch; threads that share a single network meet at each step.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skdnn.network import cost_sums
from skdnn.processes import SINGLE_PROCESS

from ._objective import Objective, evaluate
from ._penalty import option_of
from ._threads import ThreadPool

# Operations of a step from where groups on two threads are faster than one: below, one thread has
# Python most of the time, and the other waits for it.
OPERATIONS_WORTH_GROUPS = 2e7
# Of a step's examples each thread needs some, since it reads and writes as much as all the weights.
EXAMPLES_OF_A_THREAD = 40


@dataclass
class TrainingGroup:
    """A stack of networks, or some of it, and all that trains it.

    Attributes
    ----------
    network : Network
    optimizer : update rule
        For the network.
    batches : Batches
    validation : Batches or None
    generators : sequence of torch.Generator
        One for each network: the source of its dropout masks.
    rate : Rate
    loss : Loss
    max_norm : float, tensor of shape (M, 1) or None
    members : list of int
        Which networks of the whole stack these are.
    threads : Workers
        That share the examples of a step.
    processes : SingleProcess or Communicator
        Of the processes that share them, too.
    """

    network: Any
    optimizer: Any
    batches: Any
    validation: Any
    generators: Any
    rate: Any
    loss: Any
    max_norm: Any
    members: list[int]
    threads: ThreadPool
    processes: Any = SINGLE_PROCESS

    def __post_init__(self):
        n = self.threads.n
        self.in_parts = self.batches.in_micro_batches(n)
        self.validation = None if self.validation is None else self.validation.in_micro_batches(n)
        self.objective = Objective(
            self.network,
            self.loss,
            self.generators,
            max_norm=self.max_norm,
            threads=self.threads,
            n_twins=n,
            processes=self.processes,
        )
        self.Z = self.network.new_output(self.batches.most_rows)

    def groups(self, goes_on, threads):
        """Return the networks that go on in groups, one for each of the workers it is worth.

        Parameters
        ----------
        goes_on : array of bool of shape (M,)
        threads : Workers
        """
        members = [member for member in self.members if goes_on[member]]
        operations = operations_of_a_step(self.network, self.batches)
        operations *= len(members) / len(self.members)
        n = min(len(members), threads.worth(operations, OPERATIONS_WORTH_GROUPS))
        if n > 1:
            parts = np.array_split(members, n)
            return [self._part(part.tolist(), threads.some(1)) for part in parts]
        sharing = threads.some(self._n_sharing(operations, threads))
        if len(members) < len(self.members):
            return [self._part(members, sharing)]
        return [self if sharing.n == self.threads.n else replace(self, threads=sharing)]

    def _n_sharing(self, operations, threads):
        """Return how many of the workers are to share the examples of a step."""
        n = threads.worth(operations)
        if threads.is_asked_for:
            return n
        return max(1, min(n, int(self.batches.rows_of_a_step / EXAMPLES_OF_A_THREAD)))

    def _part(self, members, threads):
        chosen = members if len(members) > 1 else members[0]
        network = self.network.part(chosen)
        return TrainingGroup(
            network,
            self.optimizer.part(network, chosen),
            self.batches.part(chosen),
            None if self.validation is None else self.validation.part(chosen),
            [self.generators[member] for member in members] if self.generators else (),
            self.rate.part(chosen),
            self.loss,
            option_of(self.max_norm, chosen),
            members,
            threads,
            self.processes,
        )

    def train(self, epoch):
        """Train for an epoch, and return the cost of its rows, of shape (...).

        Parameters
        ----------
        epoch : int
            Epochs before this one.
        """
        step, n_steps, sums = 0, self.in_parts.n_steps, 0
        for rows in self.in_parts.parts():
            predictions = self.Z[..., : rows.y.shape[-1]]
            for micro_batches, Z in zip(rows.steps, rows.split(predictions), strict=True):
                if self.threads.is_over.is_set():
                    break
                self.objective.micro_batches, self.objective.Z = micro_batches, Z
                self.optimizer.step(self.objective, self.rate.at(epoch + step / n_steps))
                step += 1
            sums = sums + cost_sums(self.loss, predictions, rows.y, rows.weight)
        losses, total = self.processes.allreduce(sums)
        return losses / total

    def evaluate(self):
        """Return cost and score on the validation rows, of shape (...)."""
        return evaluate(self.network, self.validation, self.loss, self.threads, self.processes)

    def report_to(self, whole):
        """Let the whole stack know what has become of its networks and of their rule."""
        if self.network is not whole.network:
            whole.network.theta[self.members] = self.network.theta
            whole.optimizer.merge(self.optimizer, self.members)


def operations_of_a_step(network, batches):
    """Return the floating point operations of the products of a step, counted as of 32 bits."""
    n_networks, width = network.n_networks or 1, network.theta.element_size() / 4
    return 6 * width * n_networks * network.n_parameters * batches.rows_of_a_step
