"""The batches of several trainings as those of one stack of networks.

Each network keeps its own rows and shuffles them with its own generator. A network with fewer rows
than the others gets rows of weight zero behind its last one.
"""

from collections.abc import Sequence

import torch

from ._batches import Batches
from ._inputs import Rows


class StackedRows:
    """The rows of several networks, which are taken in a separate order for each.

    Parameters
    ----------
    rows : list of DenseRows, TableRows or OnDemandRows
        One for each network, all with the same number of columns.
    """

    def __init__(self, rows: list[Rows]) -> None:
        self.rows, self.device = rows, rows[0].device
        self.shape = max(each.shape[0] for each in rows), rows[0].shape[1]
        self.is_on_demand = any(each.is_on_demand for each in rows)

    def take(self, index: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
        """Return the rows of an index tensor of shape (M, m), of shape (M, m, n_outputs + 1).

        They are written into `out` if it is given.
        """
        if out is None:
            pairs = zip(self.rows, index, strict=True)
            return torch.stack([rows.take(positions) for rows, positions in pairs])
        for rows, positions, part in zip(self.rows, index, out, strict=True):
            rows.take(positions, out=part)
        return out


class StackedBatches(Batches):
    """Batches of a stack, from those of several trainings with the same number of steps.

    Parameters
    ----------
    trainings : list of Batches
    n_networks : list of int or None, default=None
        Number of networks of each; None for one each.

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

    def __init__(
        self, trainings: Sequence[Batches], n_networks: Sequence[int] | None = None
    ) -> None:
        if n_networks is None:
            self.members = list(trainings)
        else:
            pairs = zip(trainings, n_networks, strict=True)
            self.members = [
                batches
                if batches.y.ndim == batches.weight.ndim == 2 and n == 1
                else batches.part(k)
                for batches, n in pairs
                for k in range(n)
            ]
        self.n_rows = self.n_rows_in_memory = max(
            batches.n_rows_in_memory for batches in self.members
        )
        self.batch_size = max(batches.batch_size for batches in self.members)
        self.rows = StackedRows([batches.rows for batches in self.members])
        self.generators = [g for batches in self.members for g in batches.generators]
        index = [
            torch.arange(batches.n_rows_in_memory, device=self.rows.device)
            if batches.index is None
            else batches.index
            for batches in self.members
        ]
        self.index, self.y, self.weight = (
            torch.stack(
                [torch.nn.functional.pad(each, (0, self.n_rows - each.shape[-1])) for each in all_]
            )
            for all_ in (index, [b.y for b in self.members], [b.weight for b in self.members])
        )
        self._set_sizes()

    def part(self, members: int | list[int]) -> Batches:
        """Return the batches of some networks of the stack; for an int, the network's own."""
        if isinstance(members, list):
            return StackedBatches([self.members[member] for member in members])
        return self.members[members]

    def _order(self) -> torch.Tensor | None:
        """Return an order of the rows of each network; the padding stays behind them."""
        if not self.generators:
            return None
        orders = torch.arange(self.n_rows, device="cpu").repeat(len(self.members), 1)
        for order, batches in zip(orders, self.members, strict=True):
            for generator in batches.generators:
                torch.randperm(
                    batches.n_rows_in_memory,
                    generator=generator,
                    out=order[: batches.n_rows_in_memory],
                )
        return orders.to(self.rows.device)
