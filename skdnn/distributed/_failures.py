"""How an error of one process ends the fit in all processes.

A process that fails writes its error into the store and closes its connections. The others notice
that at once, and read the error in the store. A process that was killed writes nothing; one that
hangs is noticed after the timeout.
"""

import pickle
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import torch.distributed as dist

T = TypeVar("T")

# Seconds to wait for the error of a process that has closed its connections, and for the others to
# have read it.
_SECONDS_TO_REPORT = 5.0
POLL_INTERVAL = 0.02
# Errors that are raised with their own type; others become a RuntimeError that names the type.
_RAISED_AS_THEY_ARE = {
    "ValueError": ValueError,
    "TypeError": TypeError,
    "MemoryError": MemoryError,
}


class ConnectionLost(RuntimeError):
    """Another process has ended, or has not answered within the timeout."""


def report_failure(store: "dist.Store", rank: int, error: BaseException) -> None:
    """Write the error of a process into the store."""
    failure: Any = pickle.dumps((rank, type(error).__name__, str(error)))
    with suppress(RuntimeError):  # the store has ended with its process
        store.set(f"failed/{rank}", failure)
        store.add("n_informed", 1)


def error_of_another_process(store: "dist.Store", size: int, timeout: float) -> Exception:
    """Return the error in the store; if there is none, one that says that a process has ended."""
    names = [f"failed/{rank}" for rank in range(size)]
    name = poll(lambda: next((name for name in names if store.check([name])), None))
    if name is None:
        return RuntimeError(
            "Another process that shares the fit has ended, or has not answered within "
            f"{timeout:g} s. If it needs longer, increase the timeout of data_parallel."
        )
    rank, kind, message = pickle.loads(store.get(name))
    with suppress(RuntimeError):  # the store has ended with its process
        store.add("n_informed", 1)
    if kind not in _RAISED_AS_THEY_ARE:
        message = f"{kind}: {message}"
    error_type = _RAISED_AS_THEY_ARE.get(kind, RuntimeError)
    return error_type(f"{message} (in process {rank} of {size})")


def poll(look: Callable[[], T]) -> T | None:
    """Return the first result of a function that is true, None if there is none for a while."""
    end = time.monotonic() + _SECONDS_TO_REPORT
    while time.monotonic() < end:
        with suppress(RuntimeError):  # the store has ended with its process
            if found := look():
                return found
        time.sleep(POLL_INTERVAL)
    return None
