"""How torch and the processor are set while a network computes, whatever a user has set."""

import os
from contextlib import ExitStack, contextmanager
from threading import Thread

import numpy as np
import torch

# Handing a small matrix product to a second thread costs more than the product: a training step of
# 4 million operations takes half as long on one thread as on two.
OPERATIONS_WORTH_THREADS = 5e7


@contextmanager
def threads_for(operations, n_threads=None):
    """Compute on one thread where the work is small, and give back the threads that were found.

    Threads that begin meanwhile elsewhere in the process find what they would have found without.

    Parameters
    ----------
    operations : float
        Floating point operations between two points where threads must meet, such as a training
        step.
    n_threads : int or None, default=None
        Threads to compute on however large the work is, if the machine has so many.

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
    n_threads = min(n_threads, max(found, os.cpu_count() or 1))
    if n_threads == found:
        yield
        return
    _set_threads_here(n_threads, elsewhere=found)
    try:
        yield
    finally:
        torch.set_num_threads(found)


def _set_threads_here(n_threads, elsewhere):
    """Set the threads that this thread computes on, and leave those of threads to come.

    torch keeps a number for each thread and one for those that have none yet, and sets both. So
    another thread, which ends at once, sets the latter back.
    """
    torch.set_num_threads(n_threads)
    thread = Thread(target=torch.set_num_threads, args=(elsewhere,))
    thread.start()
    thread.join()


@contextmanager
def plainly():
    """Compute without autocast or inference mode, and let NumPy compute with what overflows.

    Numbers that are too large for a dtype are looked for where they would do harm.
    """
    with ExitStack() as stack:
        stack.enter_context(np.errstate(all="ignore"))
        for device_type in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device_type):
                stack.enter_context(torch.autocast(device_type, enabled=False))
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        yield


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
