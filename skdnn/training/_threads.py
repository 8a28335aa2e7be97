"""How torch and the processor are set while a network computes, whatever a user has set.

What is worth several threads is cut into parts, one for each thread, which meet when all of them
are done. (torch's own way is to share every single operation. Then threads meet some twenty times a
step, and where the machine is busy each time waits for the slowest: three times as long as on one
thread.)
"""

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import cache, partial, wraps
from threading import Event, Thread
from typing import Any, TypeVar, cast

import numpy as np
import torch

# What `on_one_thread` found, inside of it.
_found: ContextVar[int | None] = ContextVar("found", default=None)

Method = TypeVar("Method", bound=Callable[..., Any])

# From where two threads are faster than one, that is not to say twice as fast: handing work over
# takes some 50 µs.
OPERATIONS_WORTH_THREADS = 6e7


class ThreadPool:
    """Threads that compute at the same time, this one among them.

    Parameters
    ----------
    executor : concurrent.futures.Executor or None, default=None
        Of the other threads.
    n : int, default=1
        How many threads there are.
    is_asked_for : bool, default=False
        Whether they are to work however little there is to do.
    is_over : threading.Event or None, default=None
        Set once something was raised in one of them, such as by Ctrl-C; then what the others do is
        of no more use.
    """

    def __init__(self, executor=None, n=1, is_asked_for=False, is_over=None):
        self.executor, self.n, self.is_asked_for = executor, n, is_asked_for
        self.is_over = is_over or Event()

    def some(self, n):
        """Return n of them."""
        return ThreadPool(self.executor, n, self.is_asked_for, self.is_over)

    def worth(self, operations, least=OPERATIONS_WORTH_THREADS):
        """Return how many of them work of so many operations between two meetings is worth.

        Two from `least` on, three from half as many more, and so on.
        """
        if self.is_asked_for or self.n == 1:
            return self.n
        return max(1, int(min(self.n, 2 * operations / least)))

    def map(self, function, *arguments):
        """Return the results of a function for each item, all of them computed at the same time.

        Parameters
        ----------
        function : callable
        *arguments : sequences
            Each with an item for every thread that is to work, `n` at the most.

        Examples
        --------
        >>> from skdnn.training import threads_for
        >>> with threads_for(operations=1e12, n_threads=2) as workers:
        ...     workers.map(pow, [2, 3], [10, 4])
        [1024, 81]
        """
        mine, *others = zip(*arguments, strict=True)
        try:
            results = [self.executor.submit(function, *each) for each in others]
            return [function(*mine), *(result.result() for result in results)]
        except BaseException:
            self.is_over.set()
            raise


@contextmanager
def threads_for(operations, n_threads=None, least=OPERATIONS_WORTH_THREADS):
    """Return as many Workers as the work is worth; each of them computes on one thread.

    Threads that begin meanwhile elsewhere in the process find what they would have found without.

    Parameters
    ----------
    operations : float
        Floating point operations, of 32 bits, between two points where threads must meet, such as
        a training step.
    n_threads : int or None, default=None
        Threads to compute on however large the work is, if the machine has so many. None: as many
        as torch is set to, where the work is large enough.
    least : float, optional
        From how many operations it is.

    Examples
    --------
    >>> import torch
    >>> from skdnn.training import threads_for
    >>> with threads_for(operations=1e3) as workers:
    ...     torch.get_num_threads(), workers.n
    (1, 1)
    """
    with on_one_thread() as found:
        n = found if n_threads is None else min(n_threads, max(found, os.cpu_count() or 1))
        if n == 1 or (n_threads is None and operations < least):
            yield ThreadPool()
            return
        as_here = found, torch.is_grad_enabled(), _flushes_denormals()
        with ThreadPoolExecutor(n - 1, initializer=_begin, initargs=as_here) as executor:
            yield ThreadPool(executor, n, n_threads is not None)


@contextmanager
def on_one_thread():
    """Compute on one thread, and restore the number of threads afterwards.

    For small operations, waking a second thread takes longer than the operation. And a process in
    which OpenMP has started threads cannot be forked: they are missing in the child, which waits
    for them for ever.

    Yields
    ------
    int
        The number of threads before the outermost of nested blocks.
    """
    found = _found.get()
    if found is not None:
        yield found
        return
    found = torch.get_num_threads()
    token = _found.set(found)
    restore = _compute_on_one_thread(found) if found > 1 else None
    try:
        yield found
    finally:
        _found.reset(token)
        if restore is not None:
            restore()


def _begin(found, is_grad_enabled, flushes_denormals):
    """Let a thread compute as the one that began it; torch keeps all this for each thread."""
    torch.get_num_threads()  # initialises this thread, so that torch does so no more
    _compute_on_one_thread(found)
    torch.set_grad_enabled(is_grad_enabled)
    torch.set_flush_denormal(flushes_denormals)


def _compute_on_one_thread(found):
    """Let torch compute on one thread in this thread alone, and return the function that undoes it.

    `torch.set_num_threads` would change the number for threads that start later, too.

    Parameters
    ----------
    found : int
        The number of threads before.
    """
    setters = _setters_of_this_thread()
    if setters is None:
        torch.set_num_threads(1)
        # Set back for other threads by one of them, which ends at once.
        thread = Thread(target=torch.set_num_threads, args=(found,))
        thread.start()
        thread.join()
        return partial(torch.set_num_threads, found)
    set_openmp, set_mkl = setters
    set_openmp(1)
    mkl_found = set_mkl(1)

    def restore():
        set_openmp(found)
        set_mkl(mkl_found)

    return restore


@cache
def _setters_of_this_thread():
    """Return the functions of OpenMP and MKL that set the threads of the calling thread alone.

    Those of the very libraries that torch is linked with; None where they cannot be found, as on
    Windows.
    """
    linked = ctypes.PyDLL(torch._C.__file__)
    try:
        has_mkl = torch.backends.mkl.is_available()
        set_mkl = linked.MKL_Set_Num_Threads_Local if has_mkl else lambda n_threads: None
        return linked.omp_set_num_threads, set_mkl
    except AttributeError:
        return None


def with_default_torch_state(method: Method) -> Method:
    """Let a method compute on one thread, without autocast or inference mode.

    And without NumPy's warnings: numbers that are too large for a dtype are looked for where they
    would do harm.
    """

    @wraps(method)
    def computes_plainly(*arguments, **options):
        with np.errstate(all="ignore"), on_one_thread():
            if not _is_changed():
                return method(*arguments, **options)
            with ExitStack() as stack:
                for device_type in ("cpu", "cuda"):
                    stack.enter_context(torch.autocast(device_type, enabled=False))
                stack.enter_context(torch.inference_mode(False))
                return method(*arguments, **options)

    return cast(Method, computes_plainly)


def _is_changed():
    """Tell whether torch would compute otherwise than it does by default."""
    is_cast = torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda")
    return is_cast or torch.is_inference_mode_enabled()


@contextmanager
def flushed_denormals():
    """Compute with zero in place of denormal numbers, and leave that as it was found.

    Gradients of units that die out, squared, fall below 1e-38: float32 goes on there with a tenth
    of the speed, for digits that change nothing.
    """
    found = _flushes_denormals()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(found)


def _flushes_denormals():
    denormal = torch.full((1,), 1e-40, dtype=torch.float32, device="cpu")
    return (denormal * 1.0).item() == 0
