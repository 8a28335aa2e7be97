"""The group of one process, which has all rows: every answer is what it has itself."""

from contextlib import contextmanager

import numpy as np


class SingleProcess:
    """What a group of processes is asked; by all of them, in the same order.

    Attributes
    ----------
    rank : int
        Of this process, from 0.
    size : int
        How many processes there are.
    readers : SingleProcess or Communicator
        Whom to ask while rows are read: nobody, where each process reads all of them.
    """

    rank, size = 0, 1

    @property
    def readers(self):
        """Return itself."""
        return self

    def own_rows(self, n_rows):
        """Return the slice of the rows read that are this process's to train on."""
        return slice(0, n_rows)

    @contextmanager
    def failing_together(self):
        """Let an error in the block be one of all processes."""
        yield

    def allreduce(self, values):
        """Return the sum of the arrays or tensors of all processes."""
        return values

    def allreduce_max(self, values):
        """Return the largest of the numbers that all processes have, place by place."""
        return values

    def allreduce_(self, tensor):
        """Put the sum of the tensors of all processes into each of them."""

    def allgather_concat(self, values):
        """Return the arrays or tensors of all processes, joined along the last axis by rank."""
        return values

    def allgather(self, value):
        """Return a list of what each process has, of any kind, by rank."""
        return [value]

    def broadcast(self, value):
        """Return what process 0 has."""
        return value

    def broadcast_(self, tensor):
        """Put what the tensor of process 0 holds into those of all."""

    def number_rows(self, is_chosen):
        """Return numbers for the chosen rows of all processes.

        Parameters
        ----------
        is_chosen : array of bool of shape (m,)
            Of the rows of this process.

        Returns
        -------
        n_all : int
            How many rows all processes have chosen.
        numbers : array of int
            Those of the rows that this process has, ascending.

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
