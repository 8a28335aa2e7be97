"""The batches of one process of several, each of which has some of the rows.

All draw the same order of all rows, and take from each step those that are their own. So what they
compute together is what one process with all rows would.
"""

import torch

from ._batches import Batches


class OwnBatches(Batches):
    """Batches of which the other rows are in other processes.

    Parameters
    ----------
    rows, y, weight, dtype, **options
        As of `Batches`, of the rows that are here; `batch_size` counts those of all.
    numbers : array of int of shape (m,)
        The places of these rows among all rows, ascending.
    processes : Communicator
    """

    def __init__(self, rows, y, weight, dtype, *, numbers, processes, **options):
        self.numbers = torch.from_numpy(numbers).to(rows.device)
        super().__init__(rows, y, weight, dtype, processes=processes, **options)

    def _order(self):
        """Return the order of the rows that are here, None for the one that they have."""
        order_of_all, order = super()._order(), None
        places = self.numbers
        if order_of_all is not None:
            places_of_all = torch.empty_like(order_of_all)
            places_of_all[order_of_all] = torch.arange(self.n_rows, device=places.device)
            places, order = places_of_all[self.numbers].sort()
        self._copied = None
        self._cut(torch.bincount(places // self.batch_size, minlength=self.n_steps).tolist())
        return order
