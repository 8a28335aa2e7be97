"""Mini-batches, shuffled anew each epoch, or the full batch.

A batch is what one step of the optimizer sees. Where a batch has very many rows, it comes in
several slabs, whose gradients add up, so that memory is bounded by the slab.

All are handed out as the network takes them, an example a column: X of shape (..., n_x + 1, m)
with a last row of ones, y of shape (..., k, m) for k outputs, the weights of shape (..., 1, m).
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise

import numpy as np
import torch

from skdnn.processes import SINGLE_PROCESS

_MICRO_BATCH_ROWS = 4096
_MICRO_BATCH_SIZE = 2**22  # numbers in X
_MADE_MICRO_BATCH_SIZE = 2**18  # the same where X is made anew for each slab
# Up to this size the rows are copied in the epoch's order at once, so that batches are slices;
# above, each batch is gathered, so that there is no second copy of the data.
_COPY_SIZE = 2**22


@dataclass(frozen=True)
class Epoch:
    """The rows of a data set in the order of one epoch.

    Attributes
    ----------
    y : tensor of shape (..., k, m)
        0 or 1, or numbers.
    weight : tensor of shape (..., 1, m)
        Weight of each row in the cost of its batch: ``1 / batch_size`` where all weigh the same,
        the lecture's 1/m.
    steps : iterable of lists of (X, y, share)
        For each step its slabs; X is a function without arguments, which returns the tensor of
        shape (..., n_x + 1, rows): whoever computes with it makes it, too.
    micro_batches : iterable of (X, y, share)
        The same without steps.
    sizes : list of lists of int
        For each step the rows of its slabs.
    """

    y: torch.Tensor
    weight: torch.Tensor
    steps: Iterable
    micro_batches: Iterable
    sizes: list

    @classmethod
    def of_views(cls, X, y, weight, sizes):
        """Return that of rows X, a tensor in its order, whose slabs are views."""
        X_micro_batches = [partial(_itself, part) for part in X.mT.split(_flat(sizes), -1)]
        micro_batches = list(_micro_batches(X_micro_batches, y, weight, sizes))
        return cls(y, weight, list(_by_step(iter(micro_batches), sizes)), micro_batches, sizes)

    def split(self, predictions):
        """Cut a tensor of shape (..., m) as the rows are cut: for each step a list of slabs."""
        return list(_by_step(iter(predictions.split(_flat(self.sizes), -1)), self.sizes))


class Batches:
    """Rows, y and weights, handed out epoch by epoch.

    Parameters
    ----------
    rows : DenseRows, TableRows or OnDemandRows
    y : array of shape (m,), or (m, k) for several outputs
        0 or 1, or numbers.
    weight : array of shape (m,), or (M, m) for a stack of networks that weigh rows differently
    dtype : torch.dtype
    batch_size : int or None, default=None
        None for the full batch.
    generators : sequence of torch.Generator, default=()
        On the CPU, one for each network of a stack: the source of its shuffles. Without, or with a
        full batch, the order stays.
    index : array of int of shape (M, m) or None, default=None
        The rows of each network of a stack, with y and weight of that shape (y with a last axis of
        k); None gives all of them to all.
    processes : SingleProcess or Communicator, default=SINGLE_PROCESS
        Of the processes that have the other rows.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from skdnn.data.batches import Batches, make_rows
    >>> from skdnn.data.encoding import identity_encoder
    >>> X, y = np.arange(10.0).reshape(5, 2), np.array([0, 1, 0, 1, 1])
    >>> rows = make_rows(X, np.arange(5), identity_encoder(2), torch.float32,
    ...                  torch.device("cpu"))
    >>> batches = Batches(rows, y, np.ones(5), torch.float32, batch_size=2)
    >>> [X().shape for slabs in batches.epoch().steps for X, y, share in slabs]
    [torch.Size([3, 2]), torch.Size([3, 2]), torch.Size([3, 1])]
    """

    def __init__(
        self,
        rows,
        y,
        weight,
        dtype,
        *,
        batch_size=None,
        generators=(),
        index=None,
        processes=SINGLE_PROCESS,
    ):
        self.rows = rows
        self.index = None if index is None else torch.from_numpy(index).to(rows.device)
        self.n_inputs = rows.shape[1] - 1
        self.n_here = rows.shape[0] if index is None else index.shape[1]
        self.n_rows = int(processes.allreduce(np.array(self.n_here)))
        self.batch_size = min(batch_size or self.n_rows, self.n_rows)
        self.generators = generators if self.batch_size < self.n_rows else ()
        self.y = outputs(y, 1 if index is None else 2, dtype, rows.device)
        # Σ share over an epoch is the number of steps, however the weights are scaled.
        mean_weight = processes.allreduce(np.sum(weight, axis=-1, keepdims=True)) / self.n_rows
        weight = weight / mean_weight / self.batch_size
        self.weight = _tensor(weight, dtype, rows.device).unsqueeze(-2)
        self._cut_into_micro_batches()

    @property
    def n_steps(self):
        """Steps of an epoch."""
        return -(-self.n_rows // self.batch_size)

    @property
    def most_rows(self):
        """Rows of an epoch that are in memory at a time."""
        return self.n_here

    @property
    def rows_of_a_step(self):
        """Rows that a step has here, about."""
        return self.batch_size * self.n_here / self.n_rows

    def _cut_into_micro_batches(self, n=1):
        """Cut each step into n slabs, or as many as memory asks for."""
        self._n_at_once = n
        self._X = self._copied = None
        self._buffers = {}
        self._cut(pieces(self.n_rows, self.batch_size))

    def _cut(self, steps):
        micro_batch_size = _MADE_MICRO_BATCH_SIZE if self.rows.are_made else _MICRO_BATCH_SIZE
        self.sizes = micro_batch_sizes(steps, self._n_at_once, self.rows.shape[1], micro_batch_size)

    def in_micro_batches(self, n):
        """Return the same batches, each in n slabs at least, of which n are needed at a time."""
        if n == 1:
            return self
        cut = copy.copy(self)
        cut._cut_into_micro_batches(n)
        return cut

    def part(self, members):
        """Return the batches of some networks of a stack.

        Parameters
        ----------
        members : list of int, or int for one network without a first axis
        """
        part = copy.copy(self)
        if self.generators:
            chosen = members if isinstance(members, list) else [members]
            part.generators = [self.generators[k] for k in chosen]
        if self.index is not None:
            part.index = self.index[members]
        if self.y.ndim == 3:
            part.y = self.y[members]
        if self.weight.ndim == 3:
            part.weight = self.weight[members]
        part._cut_into_micro_batches()
        return part

    def epoch(self):
        """Shuffle, and return the Epoch, which ends where the next one begins."""
        order = self._order()
        index = self._index(order)
        if index is not None and index.numel() * self.rows.shape[1] <= _COPY_SIZE:
            return self._copied_epoch(order, index)
        y, weight = _reordered(self.y, order), _reordered(self.weight, order)
        micro_batches = _micro_batches(self._X_micro_batches(index), y, weight, self.sizes)
        return Epoch(y, weight, _by_step(micro_batches, self.sizes), micro_batches, self.sizes)

    def parts(self):
        """Shuffle, and return the epoch in parts of which one is in memory at a time: all of it."""
        return (self.epoch(),)

    def _order(self):
        if not self.generators:
            return None
        orders = [torch.randperm(self.n_rows, generator=g, device="cpu") for g in self.generators]
        order = orders[0] if len(orders) == 1 else torch.stack(orders)
        return order.to(self.rows.device)

    def _index(self, order):
        """Return which rows come in an order, None for all of them as they are."""
        if self.index is None or order is None:
            return order if self.index is None else self.index
        return self.index.take_along_dim(order, dim=-1)

    def _copied_epoch(self, order, index):
        """Copy the rows in their order to where they were copied before: the slabs are views."""
        if self._copied is None:
            y, weight = _reordered(self.y, order), _reordered(self.weight, order)
            self._X = self.rows.take(index)
            self._copied = Epoch.of_views(self._X, y, weight, self.sizes)
        elif order is not None:
            self.rows.take(index, out=self._X)
            self._copied.y.copy_(_reordered(self.y, order))
            self._copied.weight.copy_(_reordered(self.weight, order))
        return self._copied

    def _X_micro_batches(self, index):
        if index is None:
            edges = pairwise(np.cumsum([0, *_flat(self.sizes)]).tolist())
            return (partial(self._from_to, start, stop) for start, stop in edges)
        places = (
            micro_batch % self._n_at_once for step in self.sizes for micro_batch in range(len(step))
        )
        return map(partial(partial, self._taken), index.split(_flat(self.sizes), -1), places)

    def _from_to(self, start, stop):
        return self.rows[start:stop].mT

    def _taken(self, index, place):
        """Return rows where those of the same place were before: nobody needs them any more.

        New memory costs as much as the rows.
        """
        if self.rows.are_made:
            return self.rows.take(index).mT
        buffer, n = self._buffers.get(place), index.numel() * self.rows.shape[1]
        if buffer is None or len(buffer) < n:
            taken = self.rows.take(index)
            self._buffers[place] = taken.flatten()
        else:
            taken = self.rows.take(index, out=buffer[:n].view(*index.shape, self.rows.shape[1]))
        return taken.mT


def micro_batch_sizes(steps, n_at_once, width, micro_batch_size=_MICRO_BATCH_SIZE):
    """Return for each step, of so many rows, the rows of its slabs: n_at_once at least."""
    longest = -(-max(steps) // n_at_once)
    micro_batch = max(1, min(longest, _MICRO_BATCH_ROWS, micro_batch_size // width))
    return [pieces(step, micro_batch) for step in steps]


def _itself(X):
    return X


def _micro_batches(X_micro_batches, y, weight, sizes):
    return zip(
        X_micro_batches, y.split(_flat(sizes), -1), weight.split(_flat(sizes), -1), strict=True
    )


def _flat(lists):
    return [size for step in lists for size in step]


def _by_step(micro_batches, sizes):
    return (list(islice(micro_batches, len(step))) for step in sizes)


def _tensor(values, dtype, device):
    return torch.from_numpy(np.asarray(values, dtype=np.float64)).to(device, dtype)


def outputs(y, n_axes, dtype, device):
    """Return y as a tensor of shape (..., k, m)."""
    y = _tensor(y, dtype, device)
    return y.unsqueeze(-2) if y.ndim == n_axes else y.mT.contiguous()


def pieces(total, size):
    """Return sizes of at most `size` that add up to `total`."""
    return [size] * (total // size) + ([total % size] if total % size else [])


def _reordered(values, order):
    """Return values of shape (..., k, m) in an order, or in one for each network."""
    if order is None:
        return values
    if values.ndim == 2:
        ordered = values.index_select(1, order.flatten()).unflatten(1, order.shape)
        return ordered.movedim(0, -2)
    return values.take_along_dim(order.unsqueeze(-2), dim=-1)
