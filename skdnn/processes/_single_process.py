"""The communicator of a fit in one process, which has all rows."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, TypeVar

import numpy as np
import torch

T = TypeVar("T")


class SingleProcess:
    """A communicator of one process: every collective operation returns what it was given.

    `skdnn.distributed.Communicator` documents the same methods for several processes.

    Attributes
    ----------
    rank : int
        Number of this process, from 0.
    size : int
        Number of processes.
    rows : {"all", "part"}
        What each process passes to `fit`: all rows, of which it trains on a part, or its own part.
    """

    rank, size = 0, 1
    rows: Literal["all", "part"] = "part"

    def propagating_errors(self) -> AbstractContextManager[None]:
        """Return a context without effect: there is no other process to raise an error in."""
        return nullcontext()

    def allreduce(self, values: T) -> T:
        """Return the values: there are none of other processes to combine them with."""
        return values

    allgather_concat = broadcast = allreduce

    def allreduce_(self, tensor: torch.Tensor) -> None:
        """Leave the tensor as it is."""

    def allgather(self, value: T) -> list[T]:
        """Return a list of the value."""
        return [value]

    def number_rows(self, is_chosen: np.ndarray) -> tuple[int, np.ndarray]:
        """Return numbers from 0 for the chosen rows of all processes.

        Parameters
        ----------
        is_chosen : array of bool of shape (m,)
            Whether a row of this process is chosen.

        Returns
        -------
        n_all : int
            How many rows are chosen in all processes.
        numbers : array of int
            The numbers of the chosen rows of this process, ascending.

        Examples
        --------
        >>> import numpy as np
        >>> from skdnn.processes import SINGLE_PROCESS
        >>> n_all, numbers = SINGLE_PROCESS.number_rows(np.array([True, False, True]))
        >>> n_all, numbers.tolist()
        (2, [0, 1])
        """
        n_all = int(np.count_nonzero(is_chosen))
        return n_all, np.arange(n_all)


SINGLE_PROCESS = SingleProcess()


def check_same(processes: SingleProcess, values: dict[str, Any]) -> None:
    """Raise a ValueError if the processes that share a fit have different values.

    Parameters
    ----------
    processes : SingleProcess or Communicator
    values : dict
        From the name of a value, for the error message, to the value in this process.
    """
    for rank, values_of_rank in enumerate(processes.allgather(values)):
        for name, value in values.items():
            if values_of_rank[name] != value:
                raise ValueError(
                    f"{name} must be the same in all processes that share a fit, got {value} in "
                    f"process {processes.rank} and {values_of_rank[name]} in process {rank}."
                )
