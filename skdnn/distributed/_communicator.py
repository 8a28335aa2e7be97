"""A group of processes that share the rows of a fit: what they ask each other.

Gradients and other tensors on a GPU go by NCCL, all else by gloo. The connections are the group's
own, so that those of a user stay as they are, and two fits in threads of one process have each
their own.
"""

import pickle
from contextlib import contextmanager
from itertools import chain, pairwise

import numpy as np
import torch
import torch.distributed as dist

from skdnn.processes import SINGLE_PROCESS

from ._failures import ConnectionCut, tell, time_limit, wait_until_known, what_happened


class Communicator:
    """Answers the questions of `skdnn.processes.Alone` for one of several processes.

    All of them ask the same questions in the same order.

    Parameters
    ----------
    store : torch.distributed.Store
        Where the processes find each other.
    rank, size : int
        Which of how many processes this is.
    rows : {"all", "part"}, default="part"
        What each process passes to `fit`.
    timeout : float, default=600.0
        Seconds that one process waits for another.
    pieces : list of (key, n_rows) or None, default=None
        The parts of which the rows of this process are made: in the order of the keys of all
        processes they are all rows. None is one part, in the order of the ranks.
    host : str or None, default=None
        The address of this machine for the others; None is that of its name.
    is_keeper : bool, default=False
        Whether the store is in this process.

    Attributes
    ----------
    rank, size : int
    """

    def __init__(
        self,
        store,
        rank,
        size,
        *,
        rows="part",
        timeout=600.0,
        pieces=None,
        host=None,
        is_keeper=False,
    ):
        self.rank, self.size, self.rows, self.timeout = rank, size, rows, timeout
        self.readers = SINGLE_PROCESS if rows == "all" else self
        self.pieces, self.host = pieces, host
        self._store, self._is_keeper = store, is_keeper
        self._n_failed, self._told, self._connections = 0, None, {}

    def own_rows(self, n_rows):
        """Return the slice of the rows read that are this process's to train on."""
        if self.rows == "part":
            return slice(0, n_rows)
        return slice(n_rows * self.rank // self.size, n_rows * (self.rank + 1) // self.size)

    @contextmanager
    def failing_together(self):
        """Let an error in the block be one of all processes."""
        try:
            yield
            self.allgather(None)  # until the others are through
        except ConnectionCut as error:
            self.close()
            self._told = what_happened(self._here("failures"), self.size, self.timeout)
            self._n_failed += 1
            raise self._told from error
        except BaseException as error:
            self.tell(error)
            raise

    def allreduce(self, values):
        """Return the sum of the arrays or tensors of all processes."""
        return self._reduced(values, dist.ReduceOp.SUM)

    def allreduce_max(self, values):
        """Return the largest of the numbers that all processes have, place by place."""
        return self._reduced(values, dist.ReduceOp.MAX)

    def allreduce_(self, tensor):
        """Put the sum of the tensors of all processes into each of them."""
        self._reduce(tensor, dist.ReduceOp.SUM)

    def allgather_concat(self, values):
        """Return the arrays or tensors of all processes, joined along the last axis by rank."""
        if isinstance(values, torch.Tensor):
            parts = self.allgather(values.cpu())
            return torch.cat(parts, dim=-1).to(values.device)
        return np.concatenate(self.allgather(values), axis=-1)

    def allgather(self, value):
        """Return a list of what each process has, of any kind, by rank."""
        here = torch.frombuffer(bytearray(pickle.dumps(value)), dtype=torch.uint8)
        sizes = [torch.empty(1, dtype=torch.int64, device="cpu") for _ in range(self.size)]
        self._done("allgather", [sizes], [torch.full_like(sizes[0], len(here))])
        sizes = [int(size) for size in sizes]
        # All must be of one size.
        padded = torch.nn.functional.pad(here, (0, max(sizes) - len(here)))
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        self._done("allgather", [parts], [padded])
        pairs = zip(parts, sizes, strict=True)
        return [pickle.loads(part[:size].numpy().tobytes()) for part, size in pairs]

    def broadcast(self, value):
        """Return what process 0 has."""
        return self.allgather(value if self.rank == 0 else None)[0]

    def broadcast_(self, tensor):
        """Put what the tensor of process 0 holds into those of all."""
        if self.rank > 0:
            tensor.zero_()
        self._reduce(tensor, dist.ReduceOp.SUM)

    def number_rows(self, is_chosen):
        """Return numbers for the chosen rows of all processes, piece by piece in their order."""
        pieces = self.pieces
        if pieces is None or sum(n_rows for _, n_rows in pieces) != len(is_chosen):
            pieces = [(self.rank, len(is_chosen))]
        ends = np.cumsum([n_rows for _, n_rows in pieces])
        counts = [np.count_nonzero(part) for part in np.split(is_chosen, ends[:-1])]
        here = [(key, self.rank, n) for (key, _), n in zip(pieces, counts, strict=True)]
        in_order = sorted(chain.from_iterable(self.allgather(here)))
        edges = np.cumsum([0, *(n for *_, n in in_order)]).tolist()
        numbers = [
            np.arange(start, end)
            for (_, rank, _), (start, end) in zip(in_order, pairwise(edges), strict=True)
            if rank == self.rank
        ]
        return edges[-1], np.concatenate(numbers)

    def tell(self, error):
        """Let the others know what has failed in this process, and leave them."""
        if error is self._told:
            return
        self._told, store = error, self._here("failures")
        tell(store, self.rank, error)
        self.close()
        if self._is_keeper:
            wait_until_known(store, self.size)
        self._n_failed += 1

    def close(self):
        """Leave the other processes; a later fit would meet them again."""
        self._connections.clear()

    def _reduced(self, values, operation):
        if isinstance(values, torch.Tensor):
            reduced = values.clone(memory_format=torch.contiguous_format)
            self._reduce(reduced, operation)
            return reduced
        # In one dtype, whatever an array without rows has: integers are exact there up to 2**53.
        reduced = torch.from_numpy(np.array(values, dtype=np.float64))
        self._reduce(reduced, operation)
        return reduced.numpy()

    def _reduce(self, tensor, operation):
        options = dist.AllreduceOptions()
        options.reduceOp = operation
        self._done("allreduce", [tensor], options, device_type=tensor.device.type)

    def _done(self, name, *arguments, device_type="cpu"):
        """Let all processes do something together, and wait until it is done."""
        try:
            getattr(self._connection(device_type), name)(*arguments).wait()
        except RuntimeError as error:
            raise ConnectionCut(str(error)) from error

    def _connection(self, device_type):
        if device_type not in self._connections:
            store = self._here(device_type)
            self._connections[device_type] = _CONNECT[device_type](store, self)
        return self._connections[device_type]

    def _here(self, name):
        """Return the store of what belongs to the fits since the last that failed."""
        return dist.PrefixStore(f"{self._n_failed}/{name}", self._store)


def _connect_by_gloo(store, group):
    options = dist.ProcessGroupGloo._Options()
    options._timeout = time_limit(group.timeout)
    options._devices = [_device(group.host)]
    return dist.ProcessGroupGloo(store, group.rank, group.size, options)


def _device(host):
    if host is None:
        return dist.ProcessGroupGloo.create_default_device()
    return dist.ProcessGroupGloo.create_device(hostname=host)


def _connect_by_nccl(store, group):
    options = dist.ProcessGroupNCCL.Options()
    options._timeout = time_limit(group.timeout)
    return dist.ProcessGroupNCCL(store, group.rank, group.size, options)


_CONNECT = {"cpu": _connect_by_gloo, "cuda": _connect_by_nccl}
