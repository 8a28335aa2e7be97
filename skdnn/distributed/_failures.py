"""How all processes end where one of them fails, with its error.

One that fails says so in the store and cuts its connections, which others notice at once: then they
look there for what has happened. One that was killed says nothing, and one that hangs is noticed
when the time limit is over.
"""

import pickle
import time
from datetime import timedelta

# For a word of the process that has cut a connection, and for the others to have read it.
_SECONDS_TO_TELL = 5.0
SECONDS_BETWEEN_LOOKS = 0.02
# Errors that a user is to see as what they are.
_KEPT = {"ValueError": ValueError, "TypeError": TypeError, "MemoryError": MemoryError}


class ConnectionCut(RuntimeError):
    """Another process has ended, or does not answer."""


def tell(store, rank, error):
    """Let other processes know what has failed in this one."""
    story = rank, type(error).__name__, str(error)
    _quietly(store.set, f"failed/{rank}", pickle.dumps(story))
    _quietly(store.add, "know", 1)


def wait_until_known(store, size):
    """Give the others time to learn of it, before the store goes with this process."""
    _looked_for(lambda: store.add("know", 0) >= size)


def what_happened(store, size, timeout):
    """Return the error that another process has told, or one that says that none has."""

    def look():
        names = [f"failed/{rank}" for rank in range(size)]
        return next((name for name in names if store.check([name])), None)

    name = _looked_for(look)
    if name is None:
        return RuntimeError(
            "Another of the processes that share a fit has ended, or has not answered within "
            f"{timeout:g} s (see the timeout of data_parallel)."
        )
    rank, kind, message = pickle.loads(store.get(name))
    _quietly(store.add, "know", 1)
    told = message if kind in _KEPT else f"{kind}: {message}"
    return _KEPT.get(kind, RuntimeError)(f"{told} (in process {rank} of {size})")


def _looked_for(look):
    """Return what is found as soon as it is there, None where it does not come."""
    end = time.monotonic() + _SECONDS_TO_TELL
    while time.monotonic() < end:
        found = _quietly(look)
        if found:
            return found
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return None


def _quietly(function, *arguments):
    """Return what a function returns, None where the store has gone with its process."""
    try:
        return function(*arguments)
    except RuntimeError:
        return None


def time_limit(seconds):
    """Return a time limit as torch takes it."""
    return timedelta(seconds=seconds)
