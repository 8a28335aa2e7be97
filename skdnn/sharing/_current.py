"""The processes among which a fit that begins now is to share its rows."""

from contextlib import contextmanager
from contextvars import ContextVar

from ._alone import ALONE

_current: ContextVar = ContextVar("processes", default=ALONE)


def current_processes():
    """Return the group of the innermost `fitting_among`, ALONE outside."""
    return _current.get()


@contextmanager
def fitting_among(processes):
    """Let fits in the block share their rows with the other processes of a group."""
    token = _current.set(processes)
    try:
        yield processes
    finally:
        _current.reset(token)
