"""Context variables: which communicator and which training function a fit uses."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ._single_process import SINGLE_PROCESS, SingleProcess

_processes: ContextVar[SingleProcess] = ContextVar("processes", default=SINGLE_PROCESS)
_trainer: ContextVar[Callable[..., Any]] = ContextVar("trainer")

current_processes = _processes.get  # current_processes(): the communicator
current_trainer = _trainer.get  # current_trainer(train): the training function, by default `train`


@contextmanager
def use_processes(processes: SingleProcess) -> Iterator[SingleProcess]:
    """Use a communicator for the fits in the block."""
    token = _processes.set(processes)
    try:
        yield processes
    finally:
        _processes.reset(token)


@contextmanager
def use_trainer(trainer: Callable[..., Any]) -> Iterator[None]:
    """Use a function with the arguments of `train` in place of it for the fits in the block."""
    token = _trainer.set(trainer)
    try:
        yield
    finally:
        _trainer.reset(token)
