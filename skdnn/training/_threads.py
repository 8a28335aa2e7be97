"""Threads of the CPU, and the default state of torch while a network computes.

Work that is large enough is cut into one part for each thread, and the threads wait for each other
when all parts are done. torch itself would split every single operation instead: then threads wait
for each other some twenty times a step, and on a busy machine each time for the slowest, which
takes three times as long as one thread.
"""

import ctypes
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from functools import cache, wraps
from threading import Event, Thread
from typing import Any, TypeVar, cast

import numpy as np
import torch

from skdnn.network import ONE_BLAS_THREAD

# The number of threads that the outermost OneThread of this context has replaced.
_n_threads_before: ContextVar[int | None] = ContextVar("n_threads_before", default=None)

Method = TypeVar("Method", bound=Callable[..., Any])
Result = TypeVar("Result")

# Operations above which two threads are faster than one, though not twice as fast: passing work to
# another thread takes about 50 µs.
OPERATIONS_WORTH_THREADS = 6e7


@dataclass(frozen=True)
class ThreadPool:
    """Threads that compute at the same time, including the calling one.

    Parameters
    ----------
    executor : concurrent.futures.Executor or None, default=None
        Runs the other threads.
    n : int, default=1
        Number of threads.
    is_requested : bool, default=False
        Whether to use all of them even for little work.
    is_over : threading.Event
        Set when one of them has raised, for example by Ctrl-C: the others may stop.
    """

    executor: Executor | None = None
    n: int = 1
    is_requested: bool = False
    is_over: Event = field(default_factory=Event)

    def worth(self, operations: float, least: float = OPERATIONS_WORTH_THREADS) -> int:
        """Return how many threads pay off for so many operations between two synchronisations.

        Two from `least` on, three from 1.5 times as many, and so on.
        """
        if self.is_requested or self.n == 1:
            return self.n
        return max(1, int(min(self.n, 2 * operations / least)))

    def map(self, function: Callable[..., Result], *arguments: Iterable[Any]) -> list[Result]:
        """Return the results of a function for each item, computed at the same time.

        Parameters
        ----------
        function : callable
        *arguments : sequences
            Each with at most `n` items, one for each thread.

        Examples
        --------
        >>> from skdnn.training import threads_for
        >>> with threads_for(operations=1e12, n_threads=2) as threads:
        ...     threads.map(pow, [2, 3], [10, 4])
        [1024, 81]
        """
        mine, *others = zip(*arguments, strict=True)
        try:
            results = [cast(Executor, self.executor).submit(function, *each) for each in others]
            return [function(*mine), *(result.result() for result in results)]
        except BaseException:
            self.is_over.set()
            raise


@contextmanager
def threads_for(
    operations: float, n_threads: int | None = None, least: float = OPERATIONS_WORTH_THREADS
) -> Iterator[ThreadPool]:
    """Return a ThreadPool for some work; torch uses one thread in each thread of the pool.

    NumPy's floating point warnings are off. Other threads of the process keep the number of threads
    that torch is set to.

    Parameters
    ----------
    operations : float
        Floating point operations, of 32 bits, between two synchronisations of the threads, for
        example of a training step.
    n_threads : int or None, default=None
        The number of threads whatever the work, at most the CPUs of the machine. None: as many as
        torch is set to if the work is large enough, else one.
    least : float, optional
        The number of operations from which it is.

    Examples
    --------
    >>> import torch
    >>> from skdnn.training import threads_for
    >>> with threads_for(operations=1e3) as threads:
    ...     torch.get_num_threads(), threads.n
    (1, 1)
    """
    with np.errstate(all="ignore"), OneThread() as before:
        n = before if n_threads is None else min(n_threads, max(before, os.cpu_count() or 1))
        if n == 1 or (n_threads is None and operations < least):
            yield ThreadPool()
            return
        state = before, torch.is_grad_enabled(), _flushes_denormals()
        with ThreadPoolExecutor(n - 1, initializer=_initialize_thread, initargs=state) as executor:
            yield ThreadPool(executor, n, n_threads is not None)


class OneThread:
    """Context manager: torch computes on one thread, in the calling thread only, and so NumPy.

    For small operations, waking a second thread takes longer than the operation. And a process in
    which OpenMP has started threads cannot be forked: the child does not have them, and waits for
    them forever.

    The context manager returns the number of threads before the outermost of nested blocks.
    """

    __slots__ = ("token", "undo")

    def __enter__(self) -> int:
        self.token: Token[int | None] | None = None
        n_threads = _n_threads_before.get()
        if n_threads is None:
            n_threads = torch.get_num_threads()
            self.token = _n_threads_before.set(n_threads)
            self.undo = _compute_on_one_thread(n_threads) if n_threads > 1 else []
            ONE_BLAS_THREAD.__enter__()
        return n_threads

    def __exit__(self, *exception: object) -> None:
        if self.token is not None:
            _n_threads_before.reset(self.token)
            ONE_BLAS_THREAD.__exit__()
            for function, argument in self.undo:
                function(argument)


def _initialize_thread(n_threads: int, is_grad_enabled: bool, flushes_denormals: bool) -> None:
    """Give a new thread the state of the one that started it; torch keeps it for each thread."""
    torch.get_num_threads()  # initialises the thread; later torch would overwrite what is set here
    _compute_on_one_thread(n_threads)
    torch.set_grad_enabled(is_grad_enabled)
    torch.set_flush_denormal(flushes_denormals)
    np.seterr(all="ignore")


def _compute_on_one_thread(n_threads: int) -> list[tuple[Callable[[int], Any], int]]:
    """Let torch compute on one thread in the calling thread only.

    `torch.set_num_threads` would also change the number for threads that start later.

    Parameters
    ----------
    n_threads : int
        The number of threads before.

    Returns
    -------
    list of (function, argument)
        The calls that undo it.
    """
    setters = _setters_of_this_thread()
    if setters is None:
        torch.set_num_threads(1)
        # Another thread, which ends at once, sets the number back for all others.
        thread = Thread(target=torch.set_num_threads, args=(n_threads,))
        thread.start()
        thread.join()
        return [(torch.set_num_threads, n_threads)]
    set_openmp, set_mkl = setters
    set_openmp(1)
    return [(set_openmp, n_threads), (set_mkl, set_mkl(1))]


@cache
def _setters_of_this_thread() -> tuple[Callable[[int], Any], Callable[[int], Any]] | None:
    """Return the functions of OpenMP and MKL that set the number of threads of one thread.

    They are those of the libraries that torch is linked with; None if they are not found, as on
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
    """Return a method that computes on one thread, without autocast or inference mode.

    NumPy's floating point warnings are off as well: numbers that are too large for a dtype are
    checked for where they would do harm.
    """

    @wraps(method)
    def in_default_state(*arguments: Any, **options: Any) -> Any:
        with np.errstate(all="ignore"), OneThread():
            if not (
                torch.is_autocast_enabled("cpu")
                or torch.is_autocast_enabled("cuda")
                or torch.is_inference_mode_enabled()
            ):
                return method(*arguments, **options)
            with ExitStack() as stack:
                for device_type in ("cpu", "cuda"):
                    stack.enter_context(torch.autocast(device_type, enabled=False))
                stack.enter_context(torch.inference_mode(False))
                return method(*arguments, **options)

    return cast(Method, in_default_state)


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Compute with zero in place of denormal numbers inside the block.

    Squared gradients of inactive units fall below 1e-38, where float32 is ten times slower, for
    digits that do not matter.
    """
    before = _flushes_denormals()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def _flushes_denormals() -> bool:
    denormal = torch.full((1,), 1e-40, dtype=torch.float32, device="cpu")
    return (denormal * 1.0).item() == 0
