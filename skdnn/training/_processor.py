"""How the processor is set while a network computes: its threads, and its smallest numbers."""

from contextlib import contextmanager

import torch

# Handing a small matrix product to a second thread costs more than the product: a training step of
# 4 million operations takes half as long on one thread as on two.
OPERATIONS_WORTH_THREADS = 5e7


@contextmanager
def threads_for(operations, n_threads=None):
    """Compute on one thread where the work is small, and give back the threads that were found.

    Parameters
    ----------
    operations : float
        Floating point operations between two points where threads must meet, such as a training
        step.
    n_threads : int or None, default=None
        Threads to compute on however large the work is.

    Examples
    --------
    >>> import torch
    >>> from skdnn.training import threads_for
    >>> with threads_for(operations=1e3):
    ...     torch.get_num_threads()
    1
    """
    found = torch.get_num_threads()
    if n_threads is None:
        n_threads = found if operations >= OPERATIONS_WORTH_THREADS else 1
    if n_threads == found:
        yield
        return
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(found)


@contextmanager
def flushed_denormals():
    """Compute with zero in place of denormal numbers, and leave that as it was found.

    Gradients of units that die out, squared, fall below 1e-38: float32 goes on there with a tenth
    of the speed, for digits that change nothing.
    """
    denormal = torch.full((1,), 1e-40, dtype=torch.float32, device="cpu")
    found = (denormal * 1.0).item() == 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(found)
