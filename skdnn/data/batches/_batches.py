"""Mini-batches, shuffled in each epoch, or the full batch.

The optimizer makes one step for each batch. A batch of very many rows is split into micro-batches,
whose gradients are added up, so that memory is bounded by the micro-batch.

All tensors have an example in each column, as the network takes them: X has shape
(..., n_x + 1, m) with a last row of ones, y has shape (..., k, m) for k outputs, and the weights
have shape (..., 1, m).
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import accumulate, islice, pairwise
from typing import Any

import numpy as np
import torch

from skdnn.processes import SINGLE_PROCESS, SingleProcess

from ._inputs import Rows

_MICRO_BATCH_ROWS = 4096
_MICRO_BATCH_SIZE = 2**22  # numbers in X
_ENCODED_MICRO_BATCH_SIZE = 2**18  # the same where X is encoded anew for each micro-batch
# Up to this size, the rows of an epoch are copied in their order at once, and the batches are
# slices of the copy. Above, each batch is gathered, which avoids a second copy of the data.
_COPY_SIZE = 2**22


class Epoch:
    """The rows of a data set in the order of one epoch.

    Parameters
    ----------
    X : iterable of callables
        For each micro-batch a function without arguments that returns the tensor of shape
        (..., n_x + 1, rows). The thread that trains on it calls it.
    y : tensor of shape (..., k, m)
        0 or 1, or real numbers.
    weight : tensor of shape (..., 1, m)
        Weight of each row in the cost of its batch: ``1 / batch_size`` without sample weights,
        which is the lecture's 1/m.
    sizes : list of lists of int
        For each step the number of rows of its micro-batches.

    Attributes
    ----------
    steps : list of lists of (X, y, weight)
        For each step its micro-batches.
    micro_batches : list of (X, y, weight)
        The micro-batches of all steps.
    """

    def __init__(
        self,
        X: Iterable[Callable[[], torch.Tensor]],
        y: torch.Tensor,
        weight: torch.Tensor,
        sizes: list[list[int]],
    ) -> None:
        self.y, self.weight, self.sizes = y, weight, sizes
        self._lengths = [n for step in sizes for n in step]
        parts = X, y.split(self._lengths, -1), weight.split(self._lengths, -1)
        self.micro_batches = list(zip(*parts, strict=True))
        remaining = iter(self.micro_batches)
        self.steps = [list(islice(remaining, len(step))) for step in sizes]

    @classmethod
    def of_views(
        cls, X: torch.Tensor, y: torch.Tensor, weight: torch.Tensor, sizes: list[list[int]]
    ) -> "Epoch":
        """Return the Epoch of a tensor X of shape (..., m, n_x + 1), with its rows in order."""
        parts = X.mT.split([n for step in sizes for n in step], -1)
        functions = [lambda part=part: part for part in parts]
        return cls(functions, y, weight, sizes)

    def split(self, values: torch.Tensor) -> list[list[torch.Tensor]]:
        """Split a tensor of shape (..., m) into the micro-batches of each step."""
        parts = iter(values.split(self._lengths, -1))
        return [list(islice(parts, len(step))) for step in self.sizes]


class Batches:
    """Rows, y and weights of a data set in memory, in batches for each epoch.

    Parameters
    ----------
    rows : DenseRows, TableRows, OnDemandRows or RowsOfEachNetwork
    y : array of shape (m,), or (m, k) for several outputs
        0 or 1, or real numbers.
    weight : array of shape (m,), or (M, m) if the networks of a stack weight rows differently
    dtype : torch.dtype
    batch_size : int or None, default=None
        None for the full batch.
    generators : sequence of torch.Generator, default=()
        On the CPU, one for each network of a stack, to shuffle its rows. If it is empty, or with a
        full batch, rows are not shuffled.
    index : array of int of shape (M, m) or None, default=None
        The rows of each network of a stack, with y and weight of that shape (y with a last axis of
        k). None means all rows for all networks.
    numbers : array of int of shape (m,) or None, default=None
        The positions of these rows among those of all processes, ascending. All processes draw the
        same order of all rows, and each takes its own rows of every step. None if there are no
        other rows.
    processes : SingleProcess or Communicator, default=SINGLE_PROCESS
        The processes that have the other rows.

    Attributes
    ----------
    n_rows : int
        Number of rows of an epoch in all processes.
    n_rows_in_memory : int
        Number of rows of an epoch in the memory of this process.
    n_steps : int
        Number of steps of an epoch.
    rows_per_step : float
        Mean number of rows of a full step in this process.
    n_inputs : int
        Number of inputs of the network.
    sizes : list of lists of int
        For each step the number of rows of its micro-batches.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from skdnn.data.batches import Batches, make_rows
    >>> from skdnn.data.encoding import identity_encoder
    >>> X, y = np.arange(10.0).reshape(5, 2), np.array([0, 1, 0, 1, 1])
    >>> rows = make_rows(X, np.arange(5), identity_encoder(2), torch.float32,
    ...                  torch.device("cpu"))
    >>> batches = Batches(rows, y, np.ones(5), torch.float32, batch_size=2)
    >>> [X().shape for X, y, weight in batches.epoch().micro_batches]
    [torch.Size([3, 2]), torch.Size([3, 2]), torch.Size([3, 1])]
    """

    def __init__(
        self,
        rows: Rows,
        y: np.ndarray,
        weight: np.ndarray,
        dtype: torch.dtype,
        *,
        batch_size: int | None = None,
        generators: Sequence[torch.Generator] = (),
        index: np.ndarray | None = None,
        numbers: np.ndarray | None = None,
        processes: SingleProcess = SINGLE_PROCESS,
    ) -> None:
        self.rows: Any = rows
        self.index = None if index is None else torch.from_numpy(index).to(rows.device)
        self.numbers = None if numbers is None else torch.from_numpy(numbers).to(rows.device)
        self.n_rows_in_memory = rows.shape[0] if index is None else index.shape[1]
        self.n_rows = int(processes.allreduce(np.array(self.n_rows_in_memory)))
        self.batch_size = min(batch_size or self.n_rows, self.n_rows)
        self.generators = generators if self.batch_size < self.n_rows else ()
        self.y = row_tensor(y, 1 if index is None else 2, dtype, rows.device)
        # The weights of an epoch add up to the number of steps, whatever their scale was.
        mean_weight = processes.allreduce(np.sum(weight, axis=-1, keepdims=True)) / self.n_rows
        weight = weight / mean_weight / self.batch_size
        self.weight = torch.from_numpy(weight).to(rows.device, dtype).unsqueeze(-2)
        self._set_sizes()

    def _set_sizes(self, n: int = 1) -> None:
        """Set the sizes of steps, with n or more micro-batches each; forget all copies of rows."""
        self.n_inputs = self.rows.shape[1] - 1
        self.n_steps = -(-self.n_rows // self.batch_size)
        self.rows_per_step = self.batch_size * self.n_rows_in_memory / self.n_rows
        self._n_at_once = n
        self._X: torch.Tensor | None = None
        self._copied: Epoch | None = None
        self._buffers: dict[int, torch.Tensor] = {}
        steps, width = split_sizes(self.n_rows, self.batch_size), self.rows.shape[1]
        self.sizes = micro_batch_sizes(steps, n, width, self.rows.is_on_demand)

    def in_micro_batches(self, n: int) -> "Batches":
        """Return the same batches, each in n or more micro-batches, n of them needed at a time."""
        if n == 1:
            return self
        batches = copy.copy(self)
        batches._set_sizes(n)
        return batches

    def part(self, members: int | list[int]) -> "Batches":
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
        part._set_sizes()
        return part

    def epoch(self) -> Epoch:
        """Shuffle, and return the Epoch, which is valid until the next call."""
        order = self._order()
        index = order if self.index is None else self.index
        if self.index is not None and order is not None:
            index = self.index.take_along_dim(order, dim=-1)
        y, weight = _reordered(self.y, order), _reordered(self.weight, order)
        if index is not None and index.numel() * self.rows.shape[1] <= _COPY_SIZE:
            if self._copied is None:
                self._X = self.rows.take(index)
                self._copied = Epoch.of_views(self._X, y, weight, self.sizes)
            elif order is not None:
                self.rows.take(index, out=self._X)
                self._copied.y.copy_(y)
                self._copied.weight.copy_(weight)
            return self._copied
        lengths = [n for step in self.sizes for n in step]
        if index is None:
            slices = [slice(*edges) for edges in pairwise(accumulate(lengths, initial=0))]
            X = [lambda rows=rows: self.rows[rows].mT for rows in slices]
        else:
            buffers = [k % self._n_at_once for step in self.sizes for k in range(len(step))]
            pairs = zip(index.split(lengths, -1), buffers, strict=True)
            X = [partial(self._gather, *pair) for pair in pairs]
        return Epoch(X, y, weight, self.sizes)

    def parts(self) -> tuple[Epoch]:
        """Return the epoch in parts, one of which is in memory at a time: here a single one."""
        return (self.epoch(),)

    def _order(self) -> torch.Tensor | None:
        """Return a random order of the rows, or of those of each network; None for no shuffling."""
        order, generators = None, self.generators
        if generators:
            orders = [torch.randperm(self.n_rows, generator=g, device="cpu") for g in generators]
            order = (orders[0] if len(orders) == 1 else torch.stack(orders)).to(self.rows.device)
        return order if self.numbers is None else self._order_of_own_rows(order, self.numbers)

    def _order_of_own_rows(
        self, order_of_all: torch.Tensor | None, numbers: torch.Tensor
    ) -> torch.Tensor | None:
        """Return the order of the rows of this process, and set how many of them each step has."""
        positions, order = numbers, None
        if order_of_all is not None:
            positions, order = order_of_all.argsort()[numbers].sort()
        self._copied = None
        steps = torch.bincount(positions // self.batch_size, minlength=self.n_steps).tolist()
        width, is_on_demand = self.rows.shape[1], self.rows.is_on_demand
        self.sizes = micro_batch_sizes(steps, self._n_at_once, width, is_on_demand)
        return order

    def _gather(self, index: torch.Tensor, buffer: int) -> torch.Tensor:
        """Return rows in the memory of the earlier ones of a buffer, which are not needed any more.

        To allocate memory takes as long as to copy the rows.
        """
        if self.rows.is_on_demand:
            return self.rows.take(index).mT
        memory, n = self._buffers.get(buffer), index.numel() * self.rows.shape[1]
        if memory is None or len(memory) < n:
            rows = self.rows.take(index)
            self._buffers[buffer] = rows.flatten()
        else:
            rows = self.rows.take(index, out=memory[:n].view(*index.shape, self.rows.shape[1]))
        return rows.mT


def micro_batch_sizes(
    steps: list[int], n_at_once: int, width: int, is_on_demand: bool = False
) -> list[list[int]]:
    """Return for each step the number of rows of its micro-batches.

    Parameters
    ----------
    steps : list of int
        Number of rows of each step.
    n_at_once : int
        Number of micro-batches of the longest step, at least.
    width : int
        Number of columns of X.
    is_on_demand : bool, default=False
        Whether X is encoded anew for each micro-batch, which must then be smaller.
    """
    most_numbers = _ENCODED_MICRO_BATCH_SIZE if is_on_demand else _MICRO_BATCH_SIZE
    longest = -(-max(steps) // n_at_once)
    n_rows = max(1, min(longest, _MICRO_BATCH_ROWS, most_numbers // width))
    return [split_sizes(step, n_rows) for step in steps]


def split_sizes(total: int, size: int) -> list[int]:
    """Return sizes of at most `size` that add up to `total`."""
    return [size] * (total // size) + ([total % size] if total % size else [])


def row_tensor(
    y: np.ndarray, n_axes: int, dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    """Return y as a tensor of shape (..., k, m); `n_axes` is its number of axes for k = 1."""
    tensor = torch.from_numpy(np.asarray(y, dtype=np.float64)).to(device, dtype)
    return tensor.unsqueeze(-2) if tensor.ndim == n_axes else tensor.mT.contiguous()


def _reordered(values: torch.Tensor, order: torch.Tensor | None) -> torch.Tensor:
    """Return values of shape (..., k, m) in an order of shape (m,), or (M, m) for a stack."""
    if order is None:
        return values
    if values.ndim == 2:
        ordered = values.index_select(1, order.flatten()).unflatten(1, order.shape)
        return ordered.movedim(0, -2)
    return values.take_along_dim(order.unsqueeze(-2), dim=-1)
