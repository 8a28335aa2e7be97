"""How the processor is set while a network computes: its threads, and its smallest numbers."""

from contextlib import contextmanager

import torch

# Handing a small matrix product to a second thread costs more than the product: a training step of
# 4 million operations takes half as long on one thread as on two.
OPERATIONS_WORTH_THREADS = 5e7


@contextmanager
def processor_for(operations):
    """Compute on one thread where the work is small, and without denormal numbers.

    What was set before is set again afterwards.

    Parameters
    ----------
    operations : float
        Floating point operations between two points where threads must meet, such as a training
        step.

    Examples
    --------
    >>> import torch
    >>> from skdnn.training import processor_for
    >>> with processor_for(operations=1e3):
    ...     torch.get_num_threads()
    1
    """
    threads, flushed = torch.get_num_threads(), _flushes_denormals()
    if operations < OPERATIONS_WORTH_THREADS and threads > 1:
        torch.set_num_threads(1)
    # Gradients of units that die out, squared, fall below 1e-38: float32 goes on there with a
    # hundredth of the speed, for digits that change nothing.
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)


def _flushes_denormals():
    denormal = torch.full((1,), 1e-40, dtype=torch.float32, device="cpu")
    return (denormal * 1.0).item() == 0
