"""A communicator of several processes that share the rows of a fit.

Tensors on a GPU are reduced by NCCL, everything else is exchanged by gloo. The connections belong
to the communicator, so that torch's default process group stays as it is, and fits in several
threads of a process do not disturb each other.
"""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import chain, pairwise
from typing import Any, Literal, TypeVar

import numpy as np
import torch
import torch.distributed as dist

from skdnn.processes import SingleProcess

from ._failures import ConnectionLost, error_of_another_process, poll, report_failure

T = TypeVar("T")  # types of torch.distributed are quoted: some builds of torch are without it


class Communicator(SingleProcess):
    """A communicator of several processes, with the methods of `SingleProcess`.

    All processes must call the same methods in the same order.

    Parameters
    ----------
    store : torch.distributed.Store
        Through which the processes find each other.
    rank, size : int
        The number of this process, from 0, and the number of processes.
    rows : {"all", "part"}, default="part"
        What each process passes to `fit`.
    timeout : float, default=600.0
        Seconds that one process waits for another.
    partitions : list of (key, n_rows) or None, default=None
        The parts that make up the rows of this process. The parts of all processes in the order of
        their keys are all rows. None is one part, whose key is the rank.
    host : str or None, default=None
        The address of this machine for the others; None is that of its name.
    hosts_store : bool, default=False
        Whether the store is in this process.
    """

    def __init__(
        self,
        store: "dist.Store",
        rank: int,
        size: int,
        *,
        rows: Literal["all", "part"] = "part",
        timeout: float = 600.0,
        partitions: list[tuple[int, int]] | None = None,
        host: str | None = None,
        hosts_store: bool = False,
    ) -> None:
        self.rank, self.size, self.rows, self.timeout = rank, size, rows, timeout
        self.partitions, self.host = partitions, host
        self._store, self._hosts_store = store, hosts_store
        self._connections: dict[str, Any] = {}  # by type of device
        self._n_failures = 0
        self._last_failure: BaseException | None = None

    @contextmanager
    def propagating_errors(self) -> Iterator[None]:
        """Raise an error of one process in the block in all processes."""
        try:
            yield
            self.allgather(None)  # wait until the others have left the block
        except ConnectionLost as error:
            self.close()
            store = self._store_for("failures")
            self._last_failure = error_of_another_process(store, self.size, self.timeout)
            self._n_failures += 1
            raise self._last_failure from error
        except BaseException as error:
            self.report(error)
            raise

    def allreduce(self, values: T) -> T:
        """Return the sum of the arrays of all processes."""
        # One dtype, as an array without rows may have another. Integers up to 2**53 are exact.
        total: Any = torch.from_numpy(np.array(values, dtype=np.float64))
        self.allreduce_(total)
        return total.numpy()

    def allreduce_(self, tensor: torch.Tensor) -> None:
        """Replace the tensor in each process by the sum of the tensors of all processes."""
        options: Any = dist.AllreduceOptions()
        options.reduceOp = dist.ReduceOp.SUM
        self._run("allreduce", [tensor], options, device_type=tensor.device.type)

    def allgather_concat(self, values: T) -> T:
        """Return the arrays or tensors of all processes, joined along the last axis by rank."""
        joined: Any
        if isinstance(values, torch.Tensor):
            joined = torch.cat(self.allgather(values.cpu()), dim=-1).to(values.device)
        else:
            joined = np.concatenate(self.allgather(values), axis=-1)
        return joined

    def allgather(self, value: T) -> list[T]:
        """Return a list of the objects of all processes, by rank; they are pickled."""
        here = torch.frombuffer(bytearray(pickle.dumps(value)), dtype=torch.uint8)
        sizes = [torch.empty(1, dtype=torch.int64, device="cpu") for _ in range(self.size)]
        self._run("allgather", [sizes], [torch.full_like(sizes[0], len(here))])
        n_bytes = [int(size) for size in sizes]
        padded = torch.nn.functional.pad(here, (0, max(n_bytes) - len(here)))  # to equal sizes
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        self._run("allgather", [parts], [padded])
        pairs = zip(parts, n_bytes, strict=True)
        return [pickle.loads(part[:n].numpy().tobytes()) for part, n in pairs]

    def broadcast(self, values: T) -> T:
        """Return the object of process 0."""
        of_all: list[Any] = self.allgather(values if self.rank == 0 else None)
        return of_all[0]

    def number_rows(self, is_chosen: np.ndarray) -> tuple[int, np.ndarray]:
        """Return numbers from 0 for the chosen rows of all processes, in the order of the parts."""
        partitions = self.partitions
        if partitions is None or sum(n for _, n in partitions) != len(is_chosen):
            partitions = [(self.rank, len(is_chosen))]
        ends = np.cumsum([n_rows for _, n_rows in partitions])
        counts = [np.count_nonzero(part) for part in np.split(is_chosen, ends[:-1])]
        here = [(key, self.rank, n) for (key, _), n in zip(partitions, counts, strict=True)]
        in_order = sorted(chain.from_iterable(self.allgather(here)))
        edges = np.cumsum([0, *(n for *_, n in in_order)]).tolist()
        numbers = [
            np.arange(start, end)
            for (_, rank, _), (start, end) in zip(in_order, pairwise(edges), strict=True)
            if rank == self.rank
        ]
        return edges[-1], np.concatenate(numbers)

    def report(self, error: BaseException) -> None:
        """Report an error of this process to the others, which then raise it as well."""
        if error is self._last_failure:
            return
        self._last_failure, store = error, self._store_for("failures")
        report_failure(store, self.rank, error)
        self.close()  # the others notice this, and look into the store
        if self._hosts_store:  # which may end with this process, as soon as all have read it
            poll(lambda: store.add("n_informed", 0) >= self.size)
        self._n_failures += 1

    def close(self) -> None:
        """Close the connections; the next fit opens new ones."""
        self._connections.clear()

    def _run(self, name: str, *arguments: Any, device_type: str = "cpu") -> None:
        """Run a collective operation, and wait until it is done."""
        try:
            getattr(self._connection(device_type), name)(*arguments).wait()
        except RuntimeError as error:
            raise ConnectionLost(str(error)) from error

    def _connection(self, device_type: str) -> Any:
        """Return the connection for tensors on a type of device, opened when it is first used."""
        if device_type in self._connections:
            return self._connections[device_type]
        backend: Any
        if device_type == "cuda":
            backend = dist.ProcessGroupNCCL
            options = backend.Options()
        else:
            backend = dist.ProcessGroupGloo
            options = backend._Options()
            options._devices = [
                backend.create_default_device()
                if self.host is None
                else backend.create_device(hostname=self.host)
            ]
        options._timeout = timedelta(seconds=self.timeout)
        connection = backend(self._store_for(device_type), self.rank, self.size, options)
        self._connections[device_type] = connection
        return connection

    def _store_for(self, name: str) -> "dist.Store":
        """Return a part of the store that no fit before the last failure has used."""
        return dist.PrefixStore(f"{self._n_failures}/{name}", self._store)
