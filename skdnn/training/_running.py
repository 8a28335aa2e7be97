"""The networks of a stack that are still trained.

Those that have stopped leave, so that nothing more is computed for them; what the others reach does
not depend on who is beside them. The last one goes on as a network alone, without an axis of one.
"""

from ._objective import Objective, evaluate
from ._optimizers import option_of
from ._processor import Workers


class Running:
    """A stack of networks and all that trains it, or what has become of it.

    Parameters
    ----------
    network : Network
    rule : update rule
        For the network.
    batches : Batches
    validation : Batches or None
    generators : sequence of torch.Generator
        One for each network: the source of its dropout masks.
    learning_rate : float or tensor of shape (M, 1)
    loss : {"log_loss", "squared_error"}
    max_norm : float or None
    workers : Workers
    members : list of int or None, default=None
        Which networks of the whole these are; None for all.

    Attributes
    ----------
    objective : Objective
    """

    def __init__(
        self, network, rule, batches, validation, generators, learning_rate, loss, max_norm,
        workers, members=None,
    ):  # fmt: skip
        self.network, self.rule, self.generators = network, rule, generators
        self.learning_rate, self.loss, self.max_norm = learning_rate, loss, max_norm
        self.workers, self.members = workers, members or list(range(network.n_networks or 1))
        n = workers.worth(operations_of_a_step(network, batches))
        self.batches = batches.in_slabs(n)
        self.validation = None if validation is None else validation.in_slabs(n)
        self.evaluating = workers if n > 1 else Workers()
        self.objective = Objective(
            network, loss, generators, max_norm=max_norm, workers=workers, n_twins=n
        )
        self.Z = network.new_row(batches.n_rows)
        self.Z_steps = self.batches.split(self.Z)

    def those(self, running):
        """Return the networks that go on, this itself where they all do.

        Parameters
        ----------
        running : array of bool of shape (M,)
            For each network of the whole whether it does.
        """
        places = [place for place, member in enumerate(self.members) if running[member]]
        if len(places) == len(self.members):
            return self
        members = places if len(places) > 1 else places[0]
        network = self.network.part(members)
        return Running(
            network,
            self.rule.part(network, members),
            self.batches.part(members),
            None if self.validation is None else self.validation.part(members),
            [self.generators[place] for place in places] if self.generators else (),
            option_of(self.learning_rate, members),
            self.loss,
            self.max_norm,
            self.workers,
            [self.members[place] for place in places],
        )

    def report_to(self, network, rule):
        """Let the whole know what has become of its networks and of the state of its rule."""
        if network is not self.network:
            network.theta[self.members] = self.network.theta
            rule.take_back(self.rule, self.members)

    def evaluate(self):
        """Return cost and accuracy on the validation rows, of shape (...)."""
        return evaluate(self.network, self.validation, self.loss, self.evaluating)


def operations_of_a_step(network, batches):
    """Return the floating point operations of the products of a step, counted as of 32 bits."""
    n_networks, width = network.n_networks or 1, network.theta.element_size() / 4
    return 6 * width * n_networks * network.n_parameters * batches.batch_size
