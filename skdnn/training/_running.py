"""The networks of a stack that are still trained, in groups, each on a thread of its own.

Those that have stopped leave, so that nothing more is computed for them; what the others reach does
not depend on who is beside them. The last one goes on as a network alone, without an axis of one.
Groups meet at the end of an epoch; threads that share a single network meet at each step.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skdnn.network import cost_sums
from skdnn.processes import ALONE

from ._objective import Objective, evaluate
from ._penalty import option_of
from ._threads import Workers

# Operations of a step from where groups on two threads are faster than one: below, one thread has
# Python most of the time, and the other waits for it.
OPERATIONS_WORTH_GROUPS = 2e7
# Of a step's examples each thread needs some, since it reads and writes as much as all the weights.
EXAMPLES_OF_A_THREAD = 40


@dataclass
class Running:
    """A stack of networks, or some of it, and all that trains it.

    Attributes
    ----------
    network : Network
    rule : update rule
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
    workers : Workers
        That share the examples of a step.
    processes : Alone or ProcessGroup
        Of the processes that share them, too.
    """

    network: Any
    rule: Any
    batches: Any
    validation: Any
    generators: Any
    rate: Any
    loss: Any
    max_norm: Any
    members: list[int]
    workers: Workers
    processes: Any = ALONE

    def __post_init__(self):
        n = self.workers.n
        self.slabbed = self.batches.in_slabs(n)
        self.watched = None if self.validation is None else self.validation.in_slabs(n)
        self.objective = Objective(
            self.network,
            self.loss,
            self.generators,
            max_norm=self.max_norm,
            workers=self.workers,
            n_twins=n,
            processes=self.processes,
        )
        self.Z = self.network.new_output(self.batches.most_rows)

    def groups(self, goes_on, workers):
        """Return the networks that go on in groups, one for each of the workers it is worth.

        Parameters
        ----------
        goes_on : array of bool of shape (M,)
        workers : Workers
        """
        members = [member for member in self.members if goes_on[member]]
        operations = operations_of_a_step(self.network, self.batches)
        operations *= len(members) / len(self.members)
        n = min(len(members), workers.worth(operations, OPERATIONS_WORTH_GROUPS))
        if n > 1:
            parts = np.array_split(members, n)
            return [self._part(part.tolist(), workers.some(1)) for part in parts]
        sharing = workers.some(self._n_sharing(operations, workers))
        if len(members) < len(self.members):
            return [self._part(members, sharing)]
        return [self if sharing.n == self.workers.n else replace(self, workers=sharing)]

    def _n_sharing(self, operations, workers):
        """Return how many of the workers are to share the examples of a step."""
        n = workers.worth(operations)
        if workers.is_asked_for:
            return n
        return max(1, min(n, int(self.batches.rows_of_a_step / EXAMPLES_OF_A_THREAD)))

    def _part(self, members, workers):
        chosen = members if len(members) > 1 else members[0]
        network = self.network.part(chosen)
        return Running(
            network,
            self.rule.part(network, chosen),
            self.batches.part(chosen),
            None if self.validation is None else self.validation.part(chosen),
            [self.generators[member] for member in members] if self.generators else (),
            self.rate.part(chosen),
            self.loss,
            option_of(self.max_norm, chosen),
            members,
            workers,
            self.processes,
        )

    def train(self, epoch):
        """Train for an epoch, and return the cost of its rows, of shape (...).

        Parameters
        ----------
        epoch : int
            Epochs before this one.
        """
        step, n_steps, sums = 0, self.slabbed.n_steps, 0
        for rows in self.slabbed.parts():
            answers = self.Z[..., : rows.y.shape[-1]]
            for slabs, Z in zip(rows.steps, rows.split(answers), strict=True):
                if self.workers.is_over.is_set():
                    break
                self.objective.slabs, self.objective.Z = slabs, Z
                self.rule.step(self.objective, self.rate.at(epoch + step / n_steps))
                step += 1
            sums = sums + cost_sums(self.loss, answers, rows.y, rows.share)
        losses, total = self.processes.sum(sums)
        return losses / total

    def evaluate(self):
        """Return cost and score on the validation rows, of shape (...)."""
        return evaluate(self.network, self.watched, self.loss, self.workers, self.processes)

    def report_to(self, whole):
        """Let the whole stack know what has become of its networks and of their rule."""
        if self.network is not whole.network:
            whole.network.theta[self.members] = self.network.theta
            whole.rule.take_back(self.rule, self.members)


def operations_of_a_step(network, batches):
    """Return the floating point operations of the products of a step, counted as of 32 bits."""
    n_networks, width = network.n_networks or 1, network.theta.element_size() / 4
    return 6 * width * n_networks * network.n_parameters * batches.rows_of_a_step
