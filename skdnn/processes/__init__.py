"""The communicator of a fit: how processes that share a fit exchange data.

Every process calls the same functions in the same order. `SingleProcess` is the communicator of an
ordinary fit; `skdnn.distributed.Communicator` has the same methods for several processes. `fit`
finds its communicator by `current_processes`.
"""

from ._context import current_processes, current_trainer, use_processes, use_trainer
from ._single_process import SINGLE_PROCESS, SingleProcess, check_same

__all__ = [
    "SINGLE_PROCESS",
    "SingleProcess",
    "check_same",
    "current_processes",
    "current_trainer",
    "use_processes",
    "use_trainer",
]
