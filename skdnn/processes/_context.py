"""The processes among which a fit that begins now is to share its rows."""

from contextlib import contextmanager
from contextvars import ContextVar

from ._single_process import SINGLE_PROCESS

_current: ContextVar = ContextVar("processes", default=SINGLE_PROCESS)


def current_processes():
    """Return the group of the innermost `fitting_among`, SINGLE_PROCESS outside."""
    return _current.get()


_trainer: ContextVar = ContextVar("trainer", default=None)


def current_trainer(alone):
    """Return who trains for this thread, `alone` where nobody else does."""
    return _trainer.get() or alone


@contextmanager
def training_by(trainer):
    """Let somebody else do the trainings of fits in the block; None is everybody's own.

    Parameters
    ----------
    trainer : callable or None
        Takes what `train` takes.
    """
    token = _trainer.set(trainer)
    try:
        yield
    finally:
        _trainer.reset(token)


@contextmanager
def fitting_among(processes):
    """Let fits in the block share their rows with the other processes of a group."""
    token = _current.set(processes)
    try:
        yield processes
    finally:
        _current.reset(token)
