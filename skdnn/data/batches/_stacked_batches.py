"""The batches of several trainings as those of one stack of networks.

Each network keeps its own rows, and shuffles them by its own generator. Where one has fewer rows
than others, rows of weight zero fill it up, behind its last one.
"""

import torch

from ._batches import Batches


class StackedRows:
    """The rows of several networks, each with its own; they are asked for in an order for each.

    Parameters
    ----------
    rows : list of DenseRows, TableRows or OnDemandRows
        One for each network, all with as many columns.
    """

    def __init__(self, rows):
        self.rows, self.device = rows, rows[0].device
        self.shape = max(each.shape[0] for each in rows), rows[0].shape[1]
        self.are_made = any(each.are_made for each in rows)

    def take(self, index, out=None):
        """Return the rows of an index tensor of shape (M, m), of shape (M, m, n_outputs + 1).

        Where `out` is given, the rows go there.
        """
        if out is None:
            pairs = zip(self.rows, index, strict=True)
            return torch.stack([rows.take(places) for rows, places in pairs])
        for rows, places, part in zip(self.rows, index, out, strict=True):
            rows.take(places, out=part)
        return out


class StackedBatches(Batches):
    """Batches of a stack, made of those of several trainings with as many steps.

    Parameters
    ----------
    trainings : list of Batches
    n_networks : list of int
        How many networks each is for.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from skdnn.data.batches import Batches, StackedBatches, make_rows
    >>> from skdnn.data.encoding import identity_encoder
    >>> def of(n):
    ...     rows = make_rows(np.ones((n, 2)), np.arange(n), identity_encoder(2), torch.float32,
    ...                      torch.device("cpu"))
    ...     return Batches(rows, np.ones(n), np.ones(n), torch.float32)
    >>> StackedBatches([of(2), of(3)], [1, 1]).weight.mul(6).round()
    tensor([[[3., 3., 0.]],
    <BLANKLINE>
            [[2., 2., 2.]]])
    """

    def __init__(self, trainings, n_networks):
        pairs = zip(trainings, n_networks, strict=True)
        self._stack([(batches, k) for batches, n in pairs for k in range(n)])

    def _stack(self, members):
        """Take the batches of networks, each the k-th of those that some Batches are for."""
        self.members = members
        self.lengths = [batches.n_here for batches, _ in members]
        self.n_rows = self.n_here = max(self.lengths)
        self.batch_size = max(batches.batch_size for batches, _ in members)
        self.rows = StackedRows([batches.rows for batches, _ in members])
        self.n_inputs = self.rows.shape[1] - 1
        self.drawn_from = [batches.generators[k] if batches.generators else None
                           for batches, k in members]  # fmt: skip
        self.generators = [generator for generator in self.drawn_from if generator is not None]
        self.index = torch.stack([self._filled(_index(*member)) for member in members])
        self.y, self.weight = (
            torch.stack([self._filled(_of(getattr(batches, name), k)) for batches, k in members])
            for name in ("y", "weight")
        )
        self._cut_into_micro_batches()

    def _filled(self, tensor):
        """Return a tensor with zeros behind its last axis, up to the most rows."""
        return torch.nn.functional.pad(tensor, (0, self.n_rows - tensor.shape[-1]))

    def part(self, members):
        """Return the batches of some networks of the stack; of one as they were."""
        if not isinstance(members, list):
            batches, k = self.members[members]
            return batches.part(k)
        part = object.__new__(StackedBatches)
        part._stack([self.members[member] for member in members])
        return part

    def _order(self):
        if not self.generators:
            return None
        orders = [self._order_of(*each) for each in zip(self.lengths, self.drawn_from, strict=True)]
        return torch.stack(orders).to(self.rows.device)

    def _order_of(self, length, generator):
        """Return the order of the rows of a network; what fills them up stays behind them."""
        order = torch.arange(self.n_rows, device="cpu")
        if generator is not None:
            torch.randperm(length, generator=generator, out=order[:length])
        return order


def _index(batches, k):
    if batches.index is None:
        return torch.arange(batches.n_here, device=batches.rows.device)
    return batches.index[k]


def _of(tensor, k):
    return tensor[k] if tensor.ndim == 3 else tensor
