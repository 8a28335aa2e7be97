"""What a fit wants to be trained, and which of such requests fit together."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from skdnn.data.batches import Batches, DenseRows
from skdnn.network import ACTIVATIONS, Network
from skdnn.training import (
    OPERATIONS_WORTH_GROUPS,
    OPERATIONS_WORTH_THREADS,
    Adam,
    GradientDescent,
    ThreadPool,
    WeightAverage,
    operations_of_a_step,
)

# Update rules whose tensors have a number for each parameter of a network.
OPTIMIZERS = (GradientDescent, Adam)
# A stack saves what an operation takes beside its numbers. With more networks, with longer products
# there is nothing more to save, and more parameters leave a processor's cache.
MOST_NETWORKS = 32
MOST_OPERATIONS = 1e8  # of a step
MOST_BYTES = 2**21  # of parameters
# What a fit that waits holds, beside its encoded rows: these as they came, of up to eight bytes a
# number, and as they were read; a network with its gradient, the rule's tensors, the weights kept.
COPIES_OF_ROWS, COPIES_OF_THETA = 2, 8


@dataclass(eq=False)
class Request:
    """The arguments of a call of `train`.

    Attributes
    ----------
    network : Network
    batches : Batches
    optimizer : update rule
    options : dict
    is_alone : bool, default=False
        Whether it is trained by itself, whatever it is.
    """

    network: Network
    batches: Any
    optimizer: Any
    options: dict
    is_alone: bool = False

    @property
    def n_members(self):
        """How many networks are asked for."""
        return self.network.n_networks or 1

    @property
    def kind(self):
        """What requests have in common that can be trained as one stack."""
        return self if self.is_alone or not self._can_be_stacked else self._kind

    @cached_property
    def _can_be_stacked(self):
        options, rate = self.options, self.options["learning_rate"]
        rows = [self.batches, *([options["validation"]] if options["validation"] else [])]
        return (
            isinstance(moved_by(self.optimizer), OPTIMIZERS)
            # A user's function may look at whatever it is shown.
            and all(g in ACTIVATIONS.values() for g in self.network.activations[1:])
            and all(type(batches) is Batches for batches in rows)
            and not options["observers"]
            and options["state"] is None
            and options["processes"].size == 1
            and options["n_threads"] is None
            and not self.needs_its_threads
            and rate <= torch.finfo(self.network.theta.dtype).max
        )

    @cached_property
    def _kind(self):
        options, network, batches = self.options, self.network, self.batches
        optimizer = moved_by(self.optimizer)
        return (
            network.layer_sizes,
            tuple(g.name for g in network.activations[1:]),
            network.output.name,
            network.n_networks,
            tuple(network.dropout),
            network.theta.dtype,
            network.theta.device,
            network.input_mask is None,
            options["loss"],
            options["keep_best"],
            options["validation"] is None,
            options["score"] is None,
            type(optimizer),
            getattr(optimizer, "nesterov", None),
            getattr(optimizer, "decoupled", None),
            batches.n_steps,
            batches.batch_size if batches.n_steps > 1 else None,
            # Dropout draws a number for each row.
            batches.n_rows if network.drops else None,
        )

    @cached_property
    def needs_its_threads(self):
        """Whether what it draws depends on how many threads it is trained on."""
        asks = self.options["n_threads"] not in (None, 1)
        return asks or (self.network.drops and self.operations >= OPERATIONS_WORTH_THREADS)

    @cached_property
    def operations(self):
        """Floating point operations of a step."""
        return operations_of_a_step(self.network, self.batches)

    @property
    def work(self):
        """Floating point operations of an epoch."""
        return self.operations * self.batches.n_steps

    @cached_property
    def most(self):
        """How many such requests pay to be one stack."""
        theta, n_networks = self.network.theta, self.n_members
        if self.kind is self:
            return 1
        if not theta.is_cpu:
            return 2**31  # a device of thousands of processors has use for all that there are
        most = min(
            MOST_NETWORKS / n_networks, MOST_OPERATIONS / self.operations, MOST_BYTES / theta.nbytes
        )
        return max(1, int(most))

    @property
    def n_bytes(self):
        """Bytes of memory that its data and its networks take, about."""
        kept = [batches.rows for batches in self._kept()]
        encoded = sum(rows.X.nbytes for rows in kept)
        as_they_came = sum(8 * rows.shape[0] * rows.n_columns for rows in kept)
        theta = COPIES_OF_THETA * self.network.theta.nbytes
        return encoded + COPIES_OF_ROWS * as_they_came + theta

    def _kept(self):
        """Return the Batches whose rows are in memory, encoded."""
        candidates = (self.batches, self.options["validation"])
        return [b for b in candidates if b is not None and isinstance(b.rows, DenseRows)]

    def generators(self):
        """Return all that a training draws from."""
        return [*self.batches.generators, *self.options["generators"]]

    def share_rows(self, known):
        """Take rows that are known already where they are the same numbers, a WeakSet."""
        for batches in self._kept():
            same = (rows for rows in known if rows.equals(batches.rows))
            batches.rows = next(same, batches.rows)
            known.add(batches.rows)


def in_pieces(pending, n_processors):
    """Return what asks for one kind in stacks, as many as are worth it.

    Parameters
    ----------
    pending : list of Asked
        Whose requests are of one kind.
    n_processors : int
        That have nothing else to do.
    """
    most = pending[0].request.most
    # Equal rates beside each other take one step of the rule.
    pending = sorted(pending, key=lambda each: each.request.options["learning_rate"])
    n_pieces = max(-(-len(pending) // most), min(len(pending), _n_worth(pending, n_processors)))
    edges = np.linspace(0, len(pending), n_pieces + 1).round().astype(int).tolist()
    return [pending[start:stop] for start, stop in pairwise(edges)]


def _n_worth(pending, n_processors):
    """Return on how many processors requests of a kind are faster than on one."""
    if not pending[0].request.network.theta.is_cpu:
        return 1
    operations = sum(each.request.operations for each in pending)
    return ThreadPool(n=n_processors).worth(operations, OPERATIONS_WORTH_GROUPS)


def moved_by(optimizer):
    """Return the rule that moves the weights, whether they are averaged or not."""
    return optimizer.optimizer if isinstance(optimizer, WeightAverage) else optimizer
