"""How many threads a piece of work is worth.

Handing a small matrix product to a second thread costs more than the product: a training step of
4 million operations takes half as long on one thread as on two.
"""

from contextlib import contextmanager

import torch

OPERATIONS_WORTH_THREADS = 5e7


@contextmanager
def threads_for(operations):
    """Run the block on one thread if it is small, and give back the threads that were found.

    Parameters
    ----------
    operations : float
        Floating point operations between two points where threads must meet, such as a training
        step.

    Examples
    --------
    >>> import torch
    >>> from skdnn.training import threads_for
    >>> with threads_for(operations=1e3):
    ...     torch.get_num_threads()
    1
    """
    found = torch.get_num_threads()
    if operations >= OPERATIONS_WORTH_THREADS or found == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(found)
